//! A gallery as bytes: a header of 64 bytes, then the entries. Little-endian.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u8[8] | `LDAEGAL1` |
//! | 8 | u32 | sequence number of the saved state |
//! | 12 | u32 | length of the entries in bytes |
//! | 16 | u32 | CRC-32 of the entries |
//! | 20 | u32 | number of entries |
//! | 24 | u32 | next id |
//! | 28 | u32 | components E |
//! | 32 | u8[16] | first half of the encoder's identity (docs/FORMAT.md) |
//! | 48 | u32 | CRC-32 of the encoder's shape |
//! | 52 | u32[2] | zero |
//! | 60 | u32 | CRC-32 of the 60 bytes before |
//!
//! An entry is id u32 (ascending, below the next id), label u16, zero u16, E codes i8. Norms are computed again.
//!
//! Refused: damaged or foreign bytes, another encoder's embeddings (their components mean something else), more entries than
//! the gallery has room for. A CRC-32 finds accidents, not intent.

use super::cosine::norm2;
use super::{Entry, Gallery};
use ldae_shared::crc::{Crc32, crc32};
use ldae_shared::format::Artifact;

const MAGIC: [u8; 8] = *b"LDAEGAL1";
/// Header length in bytes.
pub(super) const HEADER: usize = 64;
/// Bytes of an entry without its codes.
const ENTRY: usize = 8;

/// Which encoder made the embeddings. Weights in another layout for another core (`ldae pack`) keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderId {
    identity: [u8; 16],
    spec: u32,
}

impl EncoderId {
    /// Of an artifact: half of its SHA-256 identity, and its shape.
    pub fn of(artifact: &Artifact<'_>) -> Self {
        let identity = artifact.identity().first_chunk().copied().unwrap_or_default(); // 32 bytes have 16 in front
        let s = artifact.spec();
        let mut spec = Crc32::new();
        for field in [s.image, s.patch, s.rank, s.width, s.depth, s.heads] {
            spec.update(&field.to_le_bytes());
        }
        spec.update(&[s.channels, s.mlp_ratio, s.pooling.code()]);
        EncoderId { identity, spec: spec.finish() }
    }
}

/// Why bytes are not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// Not a saved gallery, or damaged.
    Damaged,
    /// Saved with another encoder: its embeddings cannot be compared with this one's.
    OtherEncoder,
    /// More entries than this gallery has room for.
    TooMany {
        /// Entries saved.
        entries: u32,
    },
    /// The buffer is too small.
    Buffer {
        /// Bytes needed.
        needed: usize,
    },
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            ImageError::Damaged => f.write_str("no saved gallery, or a damaged one"),
            ImageError::OtherEncoder => f.write_str("gallery of another encoder: learn the examples again"),
            ImageError::TooMany { entries } => write!(f, "{entries} saved entries do not fit in this gallery"),
            ImageError::Buffer { needed } => write!(f, "a saved gallery needs {needed} bytes here"),
        }
    }
}

impl core::error::Error for ImageError {}

/// The header, checked by its own CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub sequence: u32,
    pub body_bytes: u32,
    pub body_crc: u32,
    entries: u32,
    next_id: u32,
    components: u32,
    encoder: EncoderId,
}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let words = [self.sequence, self.body_bytes, self.body_crc, self.entries, self.next_id, self.components];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + field.len()) {
                place.copy_from_slice(field);
            }
            at += field.len();
        };
        put(&MAGIC);
        words.iter().for_each(|w| put(&w.to_le_bytes()));
        put(&self.encoder.identity);
        put(&self.encoder.spec.to_le_bytes());
        let crc = header_crc(&bytes);
        if let Some(place) = bytes.last_chunk_mut() {
            *place = crc.to_le_bytes();
        }
        bytes
    }

    /// None unless every bit is as written.
    pub fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |i: usize| words.get(i).map(|w| u32::from_le_bytes(*w));
        let identity = *bytes.get(32..)?.first_chunk()?;
        let header = Header {
            sequence: word(2)?,
            body_bytes: word(3)?,
            body_crc: word(4)?,
            entries: word(5)?,
            next_id: word(6)?,
            components: word(7)?,
            encoder: EncoderId { identity, spec: word(12)? },
        };
        // Magic, zeros and the CRC: all of it must come out the same again.
        (header.to_bytes() == *bytes).then_some(header)
    }
}

fn header_crc(bytes: &[u8; HEADER]) -> u32 {
    crc32(bytes.split_last_chunk::<4>().map_or(&[], |(front, _)| front))
}

impl<const E: usize, const CAP: usize> Gallery<E, CAP> {
    /// Bytes of the gallery when saved: at most `MAX_IMAGE_BYTES`.
    pub fn image_bytes(&self) -> usize {
        HEADER + self.len() * (ENTRY + E)
    }

    /// Bytes of a full gallery when saved.
    pub const MAX_IMAGE_BYTES: usize = HEADER + CAP * (ENTRY + E);

    /// Writes the gallery to the front of `out`; returns the length.
    ///
    /// # Errors
    /// `out` is shorter than [`Gallery::image_bytes`].
    pub fn to_bytes(&self, encoder: &EncoderId, out: &mut [u8]) -> Result<usize, ImageError> {
        let needed = self.image_bytes();
        let too_small = ImageError::Buffer { needed };
        let (head, mut rest) = out.split_first_chunk_mut::<HEADER>().ok_or(too_small)?;
        self.write_body(|piece| {
            let (place, after) = core::mem::take(&mut rest).split_at_mut_checked(piece.len()).ok_or(too_small)?;
            place.copy_from_slice(piece);
            rest = after;
            Ok::<(), ImageError>(())
        })?;
        *head = self.header(0, encoder).to_bytes();
        Ok(needed)
    }

    /// Replaces the gallery by what [`Gallery::to_bytes`] wrote; bytes behind its end are not looked at. After an error the
    /// gallery is empty.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn restore_bytes(&mut self, encoder: &EncoderId, bytes: &[u8]) -> Result<(), ImageError> {
        self.clear();
        let (head, body) = bytes.split_first_chunk::<HEADER>().ok_or(ImageError::Damaged)?;
        let header = Header::from_bytes(head).ok_or(ImageError::Damaged)?;
        let mut body = body.get(..header.body_bytes as usize).ok_or(ImageError::Damaged)?;
        if crc32(body) != header.body_crc {
            return Err(ImageError::Damaged);
        }
        self.read_body(&header, encoder, |piece| {
            let (front, rest) = body.split_at_checked(piece.len()).ok_or(ImageError::Damaged)?;
            piece.copy_from_slice(front);
            body = rest;
            Ok(())
        })
    }

    /// The header of the present state.
    pub(super) fn header(&self, sequence: u32, encoder: &EncoderId) -> Header {
        let mut crc = Crc32::new();
        let Ok(()) = self.write_body(|piece| {
            crc.update(piece);
            Ok::<(), core::convert::Infallible>(())
        });
        Header {
            sequence,
            body_bytes: (self.image_bytes() - HEADER) as u32,
            body_crc: crc.finish(),
            entries: self.len() as u32,
            next_id: self.next_id,
            components: E as u32,
            encoder: *encoder,
        }
    }

    /// The entries as bytes, piece by piece.
    pub(super) fn write_body<R>(&self, mut sink: impl FnMut(&[u8]) -> Result<(), R>) -> Result<(), R> {
        self.entries.iter().try_for_each(|entry| {
            let ([a, b, c, d], [l, m]) = (entry.id.to_le_bytes(), entry.label.to_le_bytes());
            sink(&[a, b, c, d, l, m, 0, 0])?;
            sink(bytemuck::cast_slice(&entry.codes))
        })
    }

    /// Fills the gallery from bytes whose CRC was found right. After an error the gallery is empty.
    pub(super) fn read_body<R: From<ImageError>>(
        &mut self,
        header: &Header,
        encoder: &EncoderId,
        source: impl FnMut(&mut [u8]) -> Result<(), R>,
    ) -> Result<(), R> {
        self.clear();
        let read = self.read_entries(header, encoder, source);
        if read.is_err() {
            self.clear();
        }
        read
    }

    fn read_entries<R: From<ImageError>>(
        &mut self,
        header: &Header,
        encoder: &EncoderId,
        mut source: impl FnMut(&mut [u8]) -> Result<(), R>,
    ) -> Result<(), R> {
        let entries = header.entries;
        if header.encoder != *encoder {
            return Err(ImageError::OtherEncoder.into());
        }
        if entries as usize > CAP {
            return Err(ImageError::TooMany { entries }.into());
        }
        if header.components as usize != E || header.body_bytes as usize != entries as usize * (ENTRY + E) {
            return Err(ImageError::Damaged.into());
        }
        let mut lowest = 0;
        for _ in 0..entries {
            let mut head = [0; ENTRY];
            let mut codes = [0i8; E];
            source(&mut head)?;
            source(bytemuck::cast_slice_mut(&mut codes))?;
            let [a, b, c, d, l, m, zeros @ ..] = head;
            let id = u32::from_le_bytes([a, b, c, d]);
            if id < lowest || id >= header.next_id || zeros != [0, 0] {
                return Err(ImageError::Damaged.into());
            }
            lowest = id + 1; // id < next_id: no overflow
            let entry = Entry { id, label: u16::from_le_bytes([l, m]), norm2: norm2(&codes), codes };
            self.entries.push(entry).map_err(|_| ImageError::TooMany { entries })?;
        }
        self.next_id = header.next_id;
        Ok(())
    }
}
