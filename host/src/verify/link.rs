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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use ldae_shared::link::{Board, Lost, Port};
    use ldae_shared::parity::{AnswerWriter, Identity, Plan, Sink};
    use std::os::unix::net::UnixStream;
    use std::thread;

    /// A board at one end of a pair of sockets.
    struct Socket(UnixStream);

    impl Port for Socket {
        type Error = io::ErrorKind;
        fn write(&mut self, bytes: &[u8]) -> Result<(), io::ErrorKind> {
            self.0.write_all(bytes).map_err(|e| e.kind())
        }
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize, io::ErrorKind> {
            match Read::read(&mut self.0, bytes) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof),
                Ok(n) => Ok(n),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(0),
                Err(e) => Err(e.kind()),
            }
        }
    }

    struct To<'b>(&'b mut Board<Socket>);
    impl Sink for To<'_> {
        type Error = Lost<io::ErrorKind>;
        fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0.write(bytes)
        }
    }

    /// The host's end: its reads time out as those of a serial port do.
    struct Line(UnixStream);
    impl Read for Line {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.read(bytes).map_err(|e| match e.kind() {
                io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
                _ => e,
            })
        }
    }
    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    fn line() -> (Line, UnixStream) {
        let (host, board) = UnixStream::pair().unwrap();
        for end in [&host, &board] {
            end.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        }
        (Line(host), board)
    }

    fn hear(host: &mut Line, request: &[u8], patience: Duration) -> Heard {
        converse(host, "the port", request, patience, &|_| {})
    }

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(700);

    /// Reads the request, answers with its length in the plan.
    fn answer(board: &mut Board<Socket>, length: usize) -> Result<Vec<u8>, Lost<io::ErrorKind>> {
        board.accept()?;
        let mut request = vec![0; length];
        board.read(&mut request)?;
        let mut writer = AnswerWriter::start(To(board))?;
        writer.identity(&Identity { artifact_bytes: 1, artifact_crc: 2, core: "test", version: "0" })?;
        writer.plan(&Plan { taps: 0, components: 0, scratch_bytes: length as u32, kernel: "none" })?;
        writer.finish()?;
        board.flush()?;
        Ok(request)
    }

    #[test]
    fn a_board_gets_the_request_and_its_answer_arrives_even_after_noise() {
        let (mut host, mut end) = line();
        let request: Vec<u8> = (0..5000).map(|i| (i * 31 % 253) as u8).collect();
        end.write_all(&[0x55; 700]).unwrap();
        let board = thread::spawn(move || {
            let mut board = Board::new(Socket(end));
            [answer(&mut board, 5000), answer(&mut board, 5000)]
        });
        // Two conversations over one line: the second one knows nothing of the first.
        for _ in 0..2 {
            let heard = hear(&mut host, &request, LONG);
            assert_eq!(heard.trouble, None);
            let answer = Answer::parse(&heard.answer).unwrap();
            assert!(answer.finished && answer.plan.unwrap().scratch_bytes == 5000);
        }
        for got in board.join().unwrap() {
            assert_eq!(got.unwrap(), request);
        }
    }

    #[test]
    fn silence_noise_another_version_and_a_cut_line_are_told_apart() {
        let (mut host, end) = line();
        let silence = hear(&mut host, &[], SHORT).trouble.unwrap();
        assert!(silence.contains("nothing answers at the port") && silence.contains("flashed"), "{silence}");

        (&end).write_all(b"U-Boot 2024.01 (Jan 01 2024) \r\n\0\r\nHit any key\0").unwrap();
        let noise = hear(&mut host, &[], SHORT).trouble.unwrap();
        assert!(noise.contains("only noise") && noise.contains("baud rate"), "{noise}");

        let mut wire = [0; FRAME_WIRE];
        let hello = Frame { kind: Kind::Hello, session: 1, offset: VERSION + 1, payload: &[] };
        (&end).write_all(encode(&hello, &mut wire)).unwrap();
        let version = hear(&mut host, &[], SHORT).trouble.unwrap();
        assert!(version.contains("speaks version 2"), "{version}");

        // A board that says HELLO and then nothing more.
        let (mut host, end) = line();
        let board = thread::spawn(move || {
            let mut board = Board::new(Socket(end));
            board.accept().unwrap();
            thread::sleep(2 * SHORT);
        });
        let stuck = hear(&mut host, &[], SHORT).trouble.unwrap();
        assert!(stuck.contains("nothing new"), "{stuck}");
        board.join().unwrap();

        // A line that is cut in the middle of the request.
        let (mut host, end) = line();
        let board = thread::spawn(move || {
            let mut board = Board::new(Socket(end));
            board.accept().unwrap();
            board.read(&mut [0; 600]).unwrap();
        });
        let cut = hear(&mut host, &[7; 5000], LONG).trouble.unwrap();
        assert!(cut.contains("the line to the port broke"), "{cut}");
        board.join().unwrap();
    }
}
