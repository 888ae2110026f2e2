//! The board's end of the link: waits for a host, then reads the request and writes the answer as plain byte streams.

use super::VERSION;
use super::frame::{Decoder, FRAME_WIRE, Frame, Kind, PIECE, Pushed, encode};

/// A serial port.
pub trait Port {
    /// Why the port broke.
    type Error;
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The port broke.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
    /// Waits for bytes, about a quarter of a second at most; returns how many lie at the front of `bytes`, 0 after silence.
    ///
    /// # Errors
    /// The port broke.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error>;
}

/// Why a conversation ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost<E> {
    /// The port broke.
    Port(E),
    /// The host does not answer any more.
    Silent,
    /// The host has opened another conversation.
    Restarted,
    /// The host has no more bytes of the request.
    Short,
}

impl<E: core::fmt::Debug> core::fmt::Display for Lost<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Lost::Port(e) => write!(f, "port error {e:?}"),
            Lost::Silent => f.write_str("the host does not answer"),
            Lost::Restarted => f.write_str("the host started again"),
            Lost::Short => f.write_str("the request is shorter than its header says"),
        }
    }
}

/// Silences (quarters of a second) after which the host counts as gone.
const PATIENCE: u32 = 40;
/// Damaged or unexpected frames after which the question is repeated.
const NOISE: u32 = 1;

/// One conversation after the other over one port.
pub struct Board<P> {
    port: P,
    decoder: Decoder,
    session: u32,
    /// Bytes of the request read so far.
    read: u32,
    /// Bytes of the answer that the host has.
    sent: u32,
    pending: [u8; PIECE],
    filled: usize,
    /// An OPEN that ended the conversation before.
    opened: Option<u32>,
    /// The conversation has ended; nothing is tried again before the next one.
    over: bool,
}

impl<P: Port> Board<P> {
    /// At the port, no conversation yet.
    pub const fn new(port: P) -> Self {
        let (decoder, pending) = (Decoder::new(), [0; PIECE]);
        Board { port, decoder, session: 0, read: 0, sent: 0, pending, filled: 0, opened: None, over: false }
    }

    /// Waits for a host, for ever; afterwards a new request can be read.
    ///
    /// # Errors
    /// The port broke.
    pub fn accept(&mut self) -> Result<(), Lost<P::Error>> {
        loop {
            if let Some(session) = self.opened.take() {
                (self.session, self.read, self.sent, self.filled, self.over) = (session, 0, 0, 0, false);
                return self.hello();
            }
            match self.receive(|_| None::<()>) {
                Ok(_) | Err(Lost::Restarted) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn hello(&mut self) -> Result<(), Lost<P::Error>> {
        self.send(Kind::Hello, VERSION, &[])
    }

    fn send(&mut self, kind: Kind, offset: u32, payload: &[u8]) -> Result<(), Lost<P::Error>> {
        let mut wire = [0; FRAME_WIRE];
        let bytes = encode(&Frame { kind, session: self.session, offset, payload }, &mut wire);
        self.port.write(bytes).map_err(Lost::Port)
    }

    /// Reads until the line is silent or a frame is of use; what `take` makes of it. Err when a new conversation begins.
    fn receive<T>(&mut self, mut take: impl FnMut(&Frame<'_>) -> Option<T>) -> Result<Option<T>, Lost<P::Error>> {
        let mut noise = 0;
        loop {
            // One byte at a time: nothing behind a frame may be lost, and ports buffer by themselves.
            let mut byte = [0];
            if self.port.read(&mut byte).map_err(Lost::Port)? == 0 {
                return Ok(None);
            }
            let [byte] = byte;
            match self.decoder.push(byte) {
                Pushed::More => continue,
                Pushed::Damaged => noise += 1,
                Pushed::Frame => {
                    let Some(frame) = self.decoder.frame() else { continue };
                    if frame.kind == Kind::Open && frame.offset == VERSION {
                        if frame.session == self.session && self.read + self.sent == 0 && self.filled == 0 {
                            self.hello()?; // the first HELLO was lost
                            continue;
                        }
                        (self.opened, self.over) = (Some(frame.session), true);
                        return Err(Lost::Restarted);
                    }
                    if frame.kind == Kind::Open {
                        self.hello()?; // tells our version
                    } else if frame.session == self.session
                        && let Some(value) = take(&frame)
                    {
                        return Ok(Some(value));
                    }
                }
            }
            if noise > NOISE {
                return Ok(None);
            }
        }
    }

    /// Asks until there is an answer: `ask` sends, `take` recognises.
    fn exchange<T>(
        &mut self,
        ask: impl Fn(&mut Self) -> Result<(), Lost<P::Error>>,
        mut take: impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> Result<T, Lost<P::Error>> {
        for _ in 0..PATIENCE {
            if self.over {
                break;
            }
            ask(self)?;
            if let Some(value) = self.receive(&mut take)? {
                return Ok(value);
            }
        }
        self.over = true;
        Err(Lost::Silent)
    }

    /// Fills `bytes` from the request.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<(), Lost<P::Error>> {
        // What was said so far may be what the host waits for.
        self.flush()?;
        for piece in bytes.chunks_mut(PIECE) {
            let mut filled = 0;
            while filled < piece.len() {
                let Some(rest) = piece.get_mut(filled..) else { break };
                let (offset, most) = (self.read, rest.len() as u16);
                let ask = |board: &mut Self| board.send(Kind::Want, offset, &most.to_le_bytes());
                let came = self.exchange(ask, |frame| {
                    let fits = frame.kind == Kind::Data && frame.offset == offset;
                    let place = rest.get_mut(..frame.payload.len()).filter(|_| fits)?;
                    place.copy_from_slice(frame.payload);
                    Some(frame.payload.len())
                })?;
                if came == 0 {
                    return Err(Lost::Short);
                }
                filled += came;
                self.read = self.read.wrapping_add(came as u32);
            }
        }
        Ok(())
    }

    /// Adds `bytes` to the answer.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Lost<P::Error>> {
        while !bytes.is_empty() {
            let room = self.pending.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(room.len().min(bytes.len()));
            room.iter_mut().zip(now).for_each(|(place, byte)| *place = *byte);
            self.filled += now.len();
            bytes = later;
            if self.filled == PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sends what [`Board::write`] has gathered and waits until the host has it.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn flush(&mut self) -> Result<(), Lost<P::Error>> {
        if self.filled == 0 {
            return Ok(());
        }
        let (piece, filled, offset) = (self.pending, self.filled, self.sent);
        let piece = piece.get(..filled).unwrap_or_default();
        let end = offset.wrapping_add(filled as u32);
        let ask = |board: &mut Self| board.send(Kind::Answer, offset, piece);
        self.exchange(ask, |frame| (frame.kind == Kind::Ack && frame.offset == end).then_some(()))?;
        (self.sent, self.filled) = (end, 0);
        Ok(())
    }
}
