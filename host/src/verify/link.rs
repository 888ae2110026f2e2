//! The host's end of the serial link (docs/PROTOCOL.md): opens the conversation, sends the pieces of the request that the
//! board asks for, gathers and acknowledges its answer. The bytes come from outside: anything may be in them.

use super::answer::Answer;
use ldae_shared::link::{Decoder, FRAME_WIRE, Frame, Kind, PIECE, Pushed, VERSION, encode};
use ldae_shared::parity::tag;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Time between two OPEN frames. A board answers within milliseconds; one that is busy with an old conversation notices the
/// frame while it waits for its host.
const OPEN_AGAIN: Duration = Duration::from_millis(300);
/// A board that has not said HELLO by then is not there.
const OPEN_PATIENCE: Duration = Duration::from_secs(6);

/// What came of a conversation.
pub struct Heard {
    /// The answer, whole or in part.
    pub answer: Vec<u8>,
    /// Why it is not whole, and what to look at.
    pub trouble: Option<String>,
}

/// Speaks with the board at `port`, whose reads return within a fraction of a second. Gives up when nothing new arrives
/// for `patience`. `progress` hears the length of the answer.
pub fn converse(
    port: &mut (impl Read + Write),
    name: &str,
    request: &[u8],
    patience: Duration,
    progress: &(dyn Fn(u64) + Sync),
) -> Heard {
    let mut conversation = Conversation {
        port,
        request,
        session: session(),
        decoder: Decoder::new(),
        answer: Vec::new(),
        open: false,
        noise: 0,
        heard: 0,
    };
    let trouble = conversation.run(name, patience, progress).err();
    progress(conversation.answer.len() as u64);
    Heard { answer: conversation.answer, trouble }
}

/// A number that no conversation with this board had lately.
fn session() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u32 ^ std::process::id().rotate_left(16)).max(1)
}

struct Conversation<'c, P> {
    port: &'c mut P,
    request: &'c [u8],
    session: u32,
    decoder: Decoder,
    answer: Vec<u8>,
    open: bool,
    /// Damaged frames.
    noise: usize,
    /// Bytes heard.
    heard: usize,
}

/// What a frame of the board led to.
enum Step {
    Nothing,
    Progress,
    Done,
}

impl<P: Read + Write> Conversation<'_, P> {
    fn run(&mut self, name: &str, patience: Duration, progress: &(dyn Fn(u64) + Sync)) -> Result<(), String> {
        let (started, mut last, mut opened) = (Instant::now(), Instant::now(), None::<Instant>);
        let open_patience = OPEN_PATIENCE.min(patience);
        let mut bytes = [0; 512];
        loop {
            if !self.open && opened.is_none_or(|o| o.elapsed() > OPEN_AGAIN) {
                self.say(Kind::Open, VERSION, &[]).map_err(|e| self.broken(name, &e))?;
                opened = Some(Instant::now());
            }
            let came = match self.port.read(&mut bytes) {
                Ok(0) => return Err(self.broken(name, &io::Error::from(io::ErrorKind::UnexpectedEof))),
                Ok(n) => n,
                Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => 0,
                Err(e) => return Err(self.broken(name, &e)),
            };
            self.heard += came;
            for byte in &bytes[..came] {
                match self.hear(*byte, name)? {
                    Step::Nothing => {}
                    Step::Progress => {
                        last = Instant::now();
                        progress(self.answer.len() as u64);
                    }
                    Step::Done => return Ok(()),
                }
            }
            if !self.open && started.elapsed() > open_patience {
                return Err(self.unopened(name));
            }
            if self.open && last.elapsed() > patience {
                let (seconds, got) = (patience.as_secs(), self.answer.len());
                return Err(format!("{name} sent nothing new for {seconds} s after {got} bytes{}", self.damage()));
            }
        }
    }

    /// Takes a byte; acts on the frame that it completes.
    fn hear(&mut self, byte: u8, name: &str) -> Result<Step, String> {
        match self.decoder.push(byte) {
            Pushed::More => return Ok(Step::Nothing),
            Pushed::Damaged => {
                self.noise += 1;
                return Ok(Step::Nothing);
            }
            Pushed::Frame => {}
        }
        let Some(Frame { kind, session, offset, payload }) = self.decoder.frame() else { return Ok(Step::Nothing) };
        if kind == Kind::Hello && offset != VERSION {
            return Err(format!(
                "the firmware at {name} speaks version {offset} of the protocol, this program {VERSION}: flash it again"
            ));
        }
        if session != self.session {
            return Ok(Step::Nothing);
        }
        let sent = match kind {
            Kind::Hello => {
                self.open = true;
                Ok(Step::Progress)
            }
            Kind::Want => {
                let most = payload.try_into().map_or(PIECE, |most| usize::from(u16::from_le_bytes(most))).min(PIECE);
                let from = self.request.len().min(offset as usize);
                let piece = &self.request[from..self.request.len().min(from + most)];
                say(self.port, self.session, Kind::Data, offset, piece).map(|()| Step::Progress)
            }
            Kind::Answer => {
                let new = offset as usize == self.answer.len();
                if new {
                    self.answer.extend_from_slice(payload);
                }
                let step = match (new, whole(&self.answer)) {
                    (_, true) => Step::Done,
                    (true, false) => Step::Progress,
                    (false, false) => Step::Nothing,
                };
                self.say(Kind::Ack, self.answer.len() as u32, &[]).map(|()| step)
            }
            // These are ours: an echo of the line.
            Kind::Open | Kind::Data | Kind::Ack => Ok(Step::Nothing),
        };
        sent.map_err(|e| self.broken(name, &e))
    }

    fn say(&mut self, kind: Kind, offset: u32, payload: &[u8]) -> io::Result<()> {
        say(self.port, self.session, kind, offset, payload)
    }

    fn broken(&self, name: &str, why: &io::Error) -> String {
        format!("the line to {name} broke after {} bytes of its answer: {why}", self.answer.len())
    }

    fn damage(&self) -> String {
        if self.noise == 0 { String::new() } else { format!(" ({} damaged frames)", self.noise) }
    }

    fn unopened(&self, name: &str) -> String {
        let seconds = OPEN_PATIENCE.as_secs();
        match self.heard {
            0 => format!(
                "nothing answers at {name} in {seconds} s: is the program `serial` flashed and running, is it the right port?"
            ),
            n => format!(
                "only noise comes from {name} ({n} bytes, no frame of this protocol): is the baud rate right \
                 (serial:PORT@BAUD), is the program `serial` flashed?"
            ),
        }
    }
}

fn say(port: &mut impl Write, session: u32, kind: Kind, offset: u32, payload: &[u8]) -> io::Result<()> {
    let mut wire = [0; FRAME_WIRE];
    port.write_all(encode(&Frame { kind, session, offset, payload }, &mut wire))?;
    port.flush()
}

/// True when the last record of the answer has arrived.
fn whole(answer: &[u8]) -> bool {
    // Tag, length 4, checksum: look closely only when it looks like the end.
    let end = answer.len().checked_sub(12).and_then(|at| answer.get(at..at + 8));
    end.is_some_and(|end| end[..4] == tag::DONE && end[4..] == 4u32.to_le_bytes())
        && Answer::parse(answer).is_ok_and(|a| a.finished)
}
