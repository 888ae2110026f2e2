//! One frame: kind, session, offset, payload, CRC-32; byte-stuffed by COBS (Cheshire and Baker, "Consistent Overhead Byte
//! Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999) so that zero bytes occur only between frames.

use crate::crc::{Crc32, crc32};

/// Most payload bytes of a frame.
pub const PIECE: usize = 256;
/// Bytes of a frame before its payload.
const HEAD: usize = 9;
/// Bytes of the checksum.
const CRC: usize = 4;
/// Bytes of a frame before stuffing.
const PLAIN: usize = HEAD + PIECE + CRC;
/// Most bytes of a frame on the line: one code byte for each 254 bytes begun, and a zero on either side.
pub const FRAME_WIRE: usize = PLAIN + PLAIN.div_ceil(254) + 2;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Host: start a conversation. Offset: protocol version. No payload.
    Open = b'O',
    /// Board: ready. Offset: protocol version. No payload.
    Hello = b'H',
    /// Board: send the request from this offset on. Payload: how many bytes at most, u16.
    Want = b'W',
    /// Host: bytes of the request from this offset on; none at its end.
    Data = b'D',
    /// Board: bytes of the answer from this offset on.
    Answer = b'A',
    /// Host: every byte of the answer before this offset has arrived. No payload.
    Ack = b'K',
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Open, Kind::Hello, Kind::Want, Kind::Data, Kind::Answer, Kind::Ack];
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: Kind,
    /// Chosen by the host for one conversation; frames of another one are ignored.
    pub session: u32,
    /// Place in the stream, in bytes.
    pub offset: u32,
    /// At most [`PIECE`] bytes.
    pub payload: &'a [u8],
}

/// The bytes of a frame for the line, zero bytes at both ends. A payload is cut at [`PIECE`].
pub fn encode<'o>(frame: &Frame<'_>, out: &'o mut [u8; FRAME_WIRE]) -> &'o [u8] {
    let payload = frame.payload.get(..PIECE).unwrap_or(frame.payload);
    let [s, o] = [frame.session.to_le_bytes(), frame.offset.to_le_bytes()];
    let head = [frame.kind as u8, s[0], s[1], s[2], s[3], o[0], o[1], o[2], o[3]];
    let mut crc = Crc32::new();
    crc.update(&head);
    crc.update(payload);
    let mut stuffer = Stuffer { out: &mut out[..], code_at: 1, next: 2 };
    stuffer.put_raw(0, 0);
    head.iter().chain(payload).chain(&crc.finish().to_le_bytes()).for_each(|b| stuffer.put(*b));
    let length = stuffer.finish();
    out.get(..length).unwrap_or_default()
}

/// Writes blocks of a code byte and up to 254 bytes that are not zero.
struct Stuffer<'o> {
    out: &'o mut [u8],
    code_at: usize,
    next: usize,
}

impl Stuffer<'_> {
    fn put_raw(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.out.get_mut(at) {
            *place = byte;
        }
    }

    fn close(&mut self) {
        self.put_raw(self.code_at, (self.next - self.code_at) as u8); // at most 255: see `put`
        self.code_at = self.next;
        self.next += 1;
    }

    fn put(&mut self, byte: u8) {
        if byte != 0 {
            self.put_raw(self.next, byte);
            self.next += 1;
        }
        if byte == 0 || self.next - self.code_at == 255 {
            self.close();
        }
    }

    fn finish(mut self) -> usize {
        self.close();
        self.put_raw(self.code_at, 0);
        self.next
    }
}

/// What a byte from the line led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Nothing yet.
    More,
    /// A frame: take it with [`Decoder::frame`] before the next byte.
    Frame,
    /// Something that is no frame; the next one is found by itself.
    Damaged,
}

/// Finds frames in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Decoder {
    plain: [u8; PLAIN],
    /// Bytes of the present frame; more than `PLAIN` when it is too long.
    length: usize,
    /// Bytes left in the present block; 0: a code byte comes next.
    left: u8,
    /// The present block ends with a zero of the frame, unless the frame ends with it.
    zero_follows: bool,
    /// A whole frame lies in `plain`.
    whole: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the start of a line.
    pub const fn new() -> Self {
        Decoder { plain: [0; PLAIN], length: 0, left: 0, zero_follows: false, whole: false }
    }

    /// Takes the next byte of the line.
    pub fn push(&mut self, byte: u8) -> Pushed {
        if self.whole {
            (self.whole, self.length) = (false, 0);
        }
        if byte == 0 {
            return self.end();
        }
        if self.left == 0 {
            if self.zero_follows {
                self.store(0);
            }
            self.left = byte - 1;
            self.zero_follows = byte != 255;
        } else {
            self.left -= 1;
            self.store(byte);
        }
        Pushed::More
    }

    fn store(&mut self, byte: u8) {
        if let Some(place) = self.plain.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn end(&mut self) -> Pushed {
        let (began, cut) = (self.length > 0 || self.zero_follows || self.left > 0, self.left > 0);
        (self.left, self.zero_follows) = (0, false);
        if !began {
            return Pushed::More; // one zero after another
        }
        self.whole = !cut && self.parse().is_some();
        if self.whole {
            return Pushed::Frame;
        }
        self.length = 0;
        Pushed::Damaged
    }

    fn parse(&self) -> Option<Frame<'_>> {
        let (content, crc) = self.plain.get(..self.length)?.split_last_chunk::<CRC>()?;
        let ([kind, s0, s1, s2, s3, o0, o1, o2, o3], payload) = content.split_first_chunk::<HEAD>()?;
        let kind = Kind::ALL.into_iter().find(|k| *k as u8 == *kind)?;
        let whole = crc32(content) == u32::from_le_bytes(*crc);
        whole.then_some(Frame {
            kind,
            session: u32::from_le_bytes([*s0, *s1, *s2, *s3]),
            offset: u32::from_le_bytes([*o0, *o1, *o2, *o3]),
            payload,
        })
    }

    /// The frame that the last byte completed.
    pub fn frame(&self) -> Option<Frame<'_>> {
        if self.whole { self.parse() } else { None }
    }
}
