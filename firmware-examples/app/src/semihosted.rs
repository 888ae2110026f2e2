//! Input and output of an emulated (or debugged) board: the host's console, and files `request.bin` and `answer.bin` in the
//! working directory of QEMU or of the debugger.

use crate::parity::{self, Memory, Source};
use crate::{built_in, embed, gallery};
use core::fmt;
use ldae_device::Scratch;
use ldae_shared::crc::Crc32;
use ldae_shared::parity::Sink;
use semihosting::fs::File;
use semihosting::io::{self, Read as _, Write as _};
use semihosting::process::ExitCode;
use static_cell::ConstStaticCell;

/// Largest scratch, picture, embedding (4·2048: the widest format with 2×2 pooling) and number of taps that the
/// verification firmware accepts. The boards have 4 MB of fast RAM; the rest is stack.
const SCRATCH: usize = 2 << 20;
const PIXELS: usize = 1 << 20;
const CODES: usize = 8192;
const TAPS: usize = 4096;

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
/// `core` is what the processor says it is; `artifact` maps a length to the bytes that the loader has put in memory.
pub fn verify(core: &str, artifact: impl FnOnce(usize) -> Option<&'static [u8]>) -> ExitCode {
    static SCRATCH_MEMORY: ConstStaticCell<Scratch<SCRATCH>> = ConstStaticCell::new(Scratch::new());
    static PIXEL_MEMORY: ConstStaticCell<[u8; PIXELS]> = ConstStaticCell::new([0; PIXELS]);
    static CODE_MEMORY: ConstStaticCell<[i8; CODES]> = ConstStaticCell::new([0; CODES]);
    static TAP_MEMORY: ConstStaticCell<[Crc32; TAPS]> = ConstStaticCell::new([Crc32::new(); TAPS]);
    let memory = Memory {
        scratch: &mut SCRATCH_MEMORY.take().0,
        pixels: PIXEL_MEMORY.take(),
        codes: CODE_MEMORY.take(),
        taps: TAP_MEMORY.take(),
    };
    let (source, sink) = match (File::open(c"request.bin"), File::create(c"answer.bin")) {
        (Ok(source), Ok(sink)) => (source, sink),
        (source, sink) => {
            semihosting::eprintln!("request.bin: {:?}, answer.bin: {:?}", source.err(), sink.err());
            return ExitCode::FAILURE;
        }
    };
    let passed = parity::answer(core, &mut Channel(source), Channel(sink), artifact, memory);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As [`verify`], with the artifact in flash and buffers that are no larger than it needs: for boards on a probe.
pub fn verify_built_in(core: &str) -> ExitCode {
    let (source, sink) = match (File::open(c"request.bin"), File::create(c"answer.bin")) {
        (Ok(source), Ok(sink)) => (source, sink),
        (source, sink) => {
            semihosting::eprintln!("request.bin: {:?}, answer.bin: {:?}", source.err(), sink.err());
            return ExitCode::FAILURE;
        }
    };
    let artifact = built_in::ARTIFACT;
    let passed = parity::answer(core, &mut Channel(source), Channel(sink), |_| Some(artifact), built_in::memory());
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
