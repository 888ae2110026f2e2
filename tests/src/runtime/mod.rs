//! Who is compared: every way to run an encoder, each with what it cannot do and why.

mod emulated;
mod file;
mod folded;
mod network;

use crate::model::Model;
use crate::reference::Reference;
use ldae_host::runtime;
use ldae_host::verify::BOARDS;

/// A suite that a runtime leaves out.
#[derive(Clone, Copy, Debug)]
pub struct Ignored {
    /// Name of the suite.
    pub suite: &'static str,
    /// Why it cannot run there.
    pub reason: &'static str,
}

/// What a runtime computes with: decides the tolerances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// f32 weights and activations.
    Float,
    /// The artifact's integer weights, f32 activations.
    WeightOnly,
    /// The same where the runtime quantises activations too.
    WeightOnlyRewritten,
    /// Integers from pixels to codes.
    Integer,
}

/// A way to run an encoder.
pub trait Runtime: Sync {
    /// Name in the table.
    fn name(&self) -> String;

    /// What it computes with.
    fn form(&self) -> Form;

    /// What its embeddings are compared with.
    fn reference(&self) -> Reference;

    /// Whether this machine can run it.
    ///
    /// # Errors
    /// What is missing: the runtime is skipped, and the table says so.
    fn available(&self) -> Result<(), String>;

    /// Suites that it leaves out. Every other suite reaches it.
    fn ignored(&self) -> &'static [Ignored];

    /// Loads a model and hands it to `work`.
    ///
    /// # Errors
    /// It refuses the model, or the error of `work`.
    fn with(&self, model: &Model, work: &mut Work<'_>) -> Result<(), String>;
}

/// What is done with a loaded model.
pub type Work<'w> = dyn FnMut(&mut dyn Session) -> Result<(), String> + 'w;

/// A loaded model.
pub trait Session {
    /// Embeds one picture into E components.
    ///
    /// # Errors
    /// It refuses the picture or the room for the embedding.
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<(), String>;

    /// Embeds several pictures, in one batch where the runtime has batches.
    ///
    /// # Errors
    /// It refuses a picture.
    fn embed_all(&mut self, pictures: &[&[u8]], components: usize) -> Result<Vec<Vec<f32>>, String> {
        pictures
            .iter()
            .map(|p| {
                let mut out = vec![f32::NAN; components];
                self.embed(p, &mut out)?;
                Ok(out)
            })
            .collect()
    }
}

/// All runtimes, in the order of the table.
pub fn all() -> Vec<Box<dyn Runtime>> {
    let mut all: Vec<Box<dyn Runtime>> =
        vec![Box::new(network::Burn("cpu")), Box::new(network::Burn("cuda")), Box::new(folded::Reference)];
    all.extend(file::all().map(|r| Box::new(r) as _));
    // The smallest board takes preset xs at most, and has the core of another.
    all.extend(BOARDS.iter().filter(|b| !b.small).map(|b| Box::new(emulated::Emulated(b)) as _));
    all
}

/// A session of the host crate, one picture at a time.
struct Host<'s>(&'s mut dyn runtime::Session);

impl Session for Host<'_> {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<(), String> {
        self.0.embed(pixels, out).map_err(|e| e.to_string())
    }
}

/// No float network stands behind synthetic artifacts.
const NO_NETWORK: Ignored = Ignored { suite: "extreme fills", reason: "its artifacts are integers without a network" };
