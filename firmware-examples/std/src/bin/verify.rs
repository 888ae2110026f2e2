//! Answers `ldae verify --device std`: reads artifact.ldae and request.bin, writes answer.bin, all in the working directory.

use ldae_device::Scratch;
use ldae_example_app::parity::{self, Memory, Source};
use ldae_shared::crc::Crc32;
use ldae_shared::parity::Sink;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::process::ExitCode;

struct Input(BufReader<File>);

impl Source for Input {
    type Error = io::Error;
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(bytes)
    }
}

/// Not buffered: the host watches the file grow, and a write that fails is known at once.
struct Output(File);

impl Sink for Output {
    type Error = io::Error;
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

fn main() -> io::Result<ExitCode> {
    let artifact = std::fs::read("artifact.ldae")?;
    let mut source = Input(BufReader::new(File::open("request.bin")?));
    let sink = Output(File::create("answer.bin")?);
    // The same limits as on the boards (app/src/semihosted.rs).
    let (mut scratch, mut pixels) = (Box::new(Scratch::<{ 2 << 20 }>::new()), vec![0; 1 << 20]);
    let (mut codes, mut taps) = (vec![0; 8192], vec![Crc32::new(); 4096]);
    let memory = Memory { scratch: &mut scratch.0, pixels: &mut pixels, codes: &mut codes, taps: &mut taps };
    let passed = parity::answer(std::env::consts::ARCH, &mut source, sink, |n| artifact.get(..n), memory);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
