//! A board on a serial port that is this machine: opens a pseudo-terminal, prints its name, and answers
//! `ldae verify --device serial:NAME` there until it is stopped. The artifact is the one that is built in, or a file:
//!
//!     cargo run --release --bin serial -- [ARTIFACT]

use ldae_device::Scratch;
use ldae_example_app::built_in;
use ldae_example_app::parity::Memory;
use ldae_example_app::serial::{self, Port};
use ldae_shared::crc::Crc32;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

const QUARTER_SECOND: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// The board's end of the pseudo-terminal, with what was read ahead.
struct Terminal {
    file: File,
    ahead: [u8; 512],
    used: usize,
    filled: usize,
}

impl Port for Terminal {
    type Error = Errno;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        match self.file.write_all(bytes).map_err(errno) {
            // Nobody at the other end, or nobody who reads: the bytes are lost, as on a wire.
            Ok(()) | Err(Errno::IO | Errno::AGAIN) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        if self.used == self.filled {
            poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&QUARTER_SECOND))?;
            self.used = 0;
            self.filled = match self.file.read(&mut self.ahead).map_err(errno) {
                Ok(n) => n,
                Err(Errno::AGAIN) => 0,
                // Nobody has the other end open: silence.
                Err(Errno::IO) => {
                    sleep(Duration::from_millis(20));
                    0
                }
                Err(e) => return Err(e),
            };
        }
        let ahead = &self.ahead[self.used..self.filled];
        let n = ahead.len().min(bytes.len());
        bytes[..n].copy_from_slice(&ahead[..n]);
        self.used += n;
        Ok(n)
    }
}

fn errno(e: std::io::Error) -> Errno {
    Errno::from_io_error(&e).unwrap_or(Errno::IO)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1).map(std::fs::read).transpose()?;
    let artifact = given.as_deref().unwrap_or(built_in::ARTIFACT);
    // Reads must not wait when a poll was woken for nothing.
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    rustix::fs::fcntl_setfl(&master, rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::RDWR)?;
    println!("{}", ptsname(&master, Vec::new())?.to_string_lossy());
    std::io::stdout().flush()?;
    // The same limits as `verify` (src/bin/verify.rs).
    let (mut scratch, mut pixels) = (Box::new(Scratch::<{ 2 << 20 }>::new()), vec![0; 1 << 20]);
    let (mut codes, mut taps) = (vec![0; 8192], vec![Crc32::new(); 4096]);
    let mut memory = Memory { scratch: &mut scratch.0, pixels: &mut pixels, codes: &mut codes, taps: &mut taps };
    let port = Terminal { file: File::from(master), ahead: [0; 512], used: 0, filled: 0 };
    Err(serial::serve(std::env::consts::ARCH, port, artifact, &mut memory).into())
}
