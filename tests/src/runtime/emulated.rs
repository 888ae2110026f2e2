//! Emulated microcontroller cores, through `ldae verify`: their firmware is built and run in QEMU, every tap is compared with the
//! portable kernel, and only when all are equal are the portable kernel's embeddings the core's.

use super::{Form, Ignored, Runtime, Session, Work};
use crate::model::Model;
use crate::reference::Reference;
use ldae_host::cli::Output;
use ldae_host::verify::{self, Board, Device, Options, Pictures, Verdict};

/// Set it to build firmware and run the suites in emulators.
const VARIABLE: &str = "LDAE_EMULATED";

/// A board in QEMU.
pub(super) struct Emulated(pub(super) &'static Board);

impl Runtime for Emulated {
    fn name(&self) -> String {
        format!("emulated {}", self.0.name)
    }

    fn form(&self) -> Form {
        Form::Integer
    }

    fn reference(&self) -> Reference {
        Reference::Packed
    }

    fn available(&self) -> Result<(), String> {
        if std::env::var_os(VARIABLE).is_none() {
            return Err(format!("builds firmware: set {VARIABLE}=1, as `./ci.sh emulated` does"));
        }
        let found = std::process::Command::new(self.0.emulator).arg("--version").output();
        found.map(|_| ()).map_err(|e| format!("{}: {e}", self.0.emulator))
    }

    fn ignored(&self) -> &'static [Ignored] {
        &[
            Ignored {
                suite: "wrong sizes",
                reason: "the firmware reads as many bytes as its own artifact's pictures have",
            },
            Ignored { suite: "concurrency", reason: "one program runs on a board" },
            Ignored { suite: "vit-tiny", reason: "12 s an inference in the emulator, and 139 KB of RAM" },
        ]
    }

    fn with(&self, model: &Model, work: &mut Work<'_>) -> Result<(), String> {
        work(&mut Opened { board: self.0, model })
    }
}

struct Opened<'m> {
    board: &'static Board,
    model: &'m Model,
}

impl Session for Opened<'_> {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<(), String> {
        let rows = self.embed_all(&[pixels], out.len())?;
        rows.iter().for_each(|row| out.copy_from_slice(row));
        Ok(())
    }

    fn embed_all(&mut self, pictures: &[&[u8]], _components: usize) -> Result<Vec<Vec<f32>>, String> {
        let mut named = Pictures::default();
        pictures.iter().enumerate().for_each(|(i, p)| named.push(format!("picture {i}"), p));
        let device = [Device::Qemu(self.board)];
        let report = verify::run(&self.model.artifact, &device, &named, &Options::default(), &Output::new(true));
        match report {
            Err(e) => Err(e.to_string()),
            Ok(report) if report.verdict != Verdict::Equal => Err(report.to_string()),
            Ok(_) => Reference::Portable.embed(self.model, pictures),
        }
    }
}
