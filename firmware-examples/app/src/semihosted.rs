//! Input and output of an emulated (or debugged) board: the host's console, and files `request.bin` and `answer.bin` in the
//! working directory of QEMU or of the debugger.

use crate::measure::{self, Board, Stage};
use crate::parity::{self, Memory, Source};
use crate::{built_in, embed, gallery};
use core::fmt;
use ldae_shared::parity::Sink;
use semihosting::fs::File;
use semihosting::io::{self, Read as _, Write as _};
use semihosting::process::ExitCode;

struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        semihosting::print!("{text}");
        Ok(())
    }
}

/// Runs [`embed::run`]; the process exit status is 0 when every embedding is as on the workstation.
pub fn embed() -> ExitCode {
    status(embed::run(&mut Console))
}

/// Runs [`gallery::run`]; the process exit status is 0 when it learnt something and forgot nothing.
pub fn gallery() -> ExitCode {
    status(gallery::run(&mut Console))
}

fn status(ran: Result<bool, impl fmt::Display>) -> ExitCode {
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            semihosting::eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

struct Channel(File);

struct Broken(io::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "semihosting input/output error {:?}", self.0)
    }
}

impl Source for Channel {
    type Error = Broken;
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Broken> {
        self.0.read_exact(bytes).map_err(Broken)
    }
}

impl Sink for Channel {
    type Error = io::Error;
    fn write(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        self.0.write_all(bytes)
    }
}

/// Answers `request.bin` with `answer.bin`; the process exit status is 0 when the whole answer was written.
///
/// `core` is what the processor says it is; `artifact` maps a length to the bytes that the loader has put in memory;
/// `memory` is the board's ([`crate::memory!`]).
pub fn verify(core: &str, artifact: impl FnOnce(usize) -> Option<&'static [u8]>, memory: Memory<'_>) -> ExitCode {
    let Some((mut source, sink)) = channels() else { return ExitCode::FAILURE };
    let passed = parity::answer(core, &mut source, sink, artifact, memory);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As [`verify`], with the artifact in flash and buffers that are no larger than it needs: for boards on a probe.
pub fn verify_built_in(core: &str) -> ExitCode {
    verify(core, |_| Some(built_in::ARTIFACT), built_in::memory())
}

/// As [`verify`], for `ldae bench --device`.
pub fn measure(
    board: &Board<'_, impl Fn(Stage)>,
    artifact: impl FnOnce(usize) -> Option<&'static [u8]>,
    memory: Memory<'_>,
) -> ExitCode {
    let Some((mut source, sink)) = channels() else { return ExitCode::FAILURE };
    let passed = measure::answer(board, &mut source, sink, artifact, memory);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn channels() -> Option<(Channel, Channel)> {
    match (File::open(c"request.bin"), File::create(c"answer.bin")) {
        (Ok(source), Ok(sink)) => Some((Channel(source), Channel(sink))),
        (source, sink) => {
            semihosting::eprintln!("request.bin: {:?}, answer.bin: {:?}", source.err(), sink.err());
            None
        }
    }
}
