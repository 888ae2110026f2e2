//! A board on a serial port: `serial:PORT` or `serial:PORT@BAUD`.

use super::answer::Answer;
use super::link;
use super::session::{Job, Ran};
use crate::{Error, Result};
use ldae_shared::link::BAUD;
use serial2::SerialPort;
use std::fmt;
use std::time::{Duration, Instant};

/// How long one read waits.
const READ: Duration = Duration::from_millis(50);
/// A port that takes no bytes for so long is broken.
const WRITE: Duration = Duration::from_secs(5);

/// Which port, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialLine {
    /// Name of the port: /dev/ttyACM0, /dev/cu.usbmodem1, COM3.
    pub port: String,
    /// Bits per second; 8 data bits, no parity, 1 stop bit, no flow control.
    pub baud: u32,
}

impl SerialLine {
    /// Reads what follows `serial:`.
    ///
    /// # Errors
    /// No port, or a baud rate that is no number.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || {
            Error::new(format!("cannot understand the device \"serial:{text}\""))
                .hint(format!("write serial:/dev/ttyACM0, or serial:/dev/ttyACM0@{BAUD} with a baud rate"))
        };
        let (port, baud) = match text.rsplit_once('@') {
            Some((port, baud)) => (port, baud.parse().ok().filter(|b| *b > 0).ok_or_else(refused)?),
            None => (text, BAUD),
        };
        if port.is_empty() {
            return Err(refused());
        }
        Ok(SerialLine { port: port.to_owned(), baud })
    }

    fn open(&self) -> Result<SerialPort> {
        let open = || {
            let mut port = SerialPort::open(&self.port, self.baud)?;
            port.set_read_timeout(READ)?;
            port.set_write_timeout(WRITE)?;
            Ok::<_, std::io::Error>(port)
        };
        open().map_err(|e| {
            let ports = SerialPort::available_ports().unwrap_or_default(); // a list for the hint only
            let names: Vec<_> = ports.iter().map(|p| p.display().to_string()).collect();
            let there = if names.is_empty() { "none was found".to_owned() } else { names.join(", ") };
            Error::new(format!("cannot open the serial port {}", self.port))
                .hint(format!(
                    "plug the board in, close other programs that use the port, on Linux be a member of the group \
                     dialout; ports here: {there}"
                ))
                .caused_by(e)
        })
    }

    /// Sends the request, gathers the answer.
    ///
    /// # Errors
    /// The port cannot be opened. A board that is silent or answers nonsense is no error: see [`Ran`].
    pub fn run(&self, job: &Job<'_>, patience: Duration, progress: &(dyn Fn(u64) + Sync)) -> Result<Ran> {
        let started = Instant::now();
        let mut port = self.open()?;
        let request = [&job.request.to_bytes(), job.pixels].concat();
        let heard = link::converse(&mut port, &self.port, &request, patience, progress);
        let seconds = started.elapsed().as_secs_f64();
        Ok(match Answer::parse(&heard.answer) {
            Ok(answer) => {
                let trouble = heard.trouble.or_else(|| answer.failure.clone());
                Ran { answer, trouble, counts: None, seconds }
            }
            Err(e) => {
                let trouble = Some(format!("its answer cannot be read: {e}"));
                Ran { answer: Answer::default(), trouble, counts: None, seconds }
            }
        })
    }
}

impl fmt::Display for SerialLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        if self.baud == BAUD { Ok(()) } else { write!(f, "@{}", self.baud) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_and_without_a_baud_rate() {
        let line = |port: &str, baud| SerialLine { port: port.to_owned(), baud };
        assert_eq!(SerialLine::parse("/dev/ttyACM0").unwrap(), line("/dev/ttyACM0", BAUD));
        assert_eq!(SerialLine::parse("COM3@921600").unwrap(), line("COM3", 921_600));
        assert_eq!(line("COM3", 921_600).to_string(), "COM3@921600");
        for text in ["", "@9600", "/dev/ttyACM0@fast", "/dev/ttyACM0@0"] {
            assert!(SerialLine::parse(text).unwrap_err().advice().unwrap().contains("serial:/dev/ttyACM0"), "{text}");
        }
    }

    #[test]
    fn a_port_that_is_not_there_is_an_error_that_says_what_to_do() {
        let error = SerialLine::parse("/dev/no-such-port").unwrap().open().unwrap_err();
        assert!(error.to_string().contains("/dev/no-such-port"), "{error}");
        assert!(error.advice().unwrap().contains("dialout"));
    }
}
