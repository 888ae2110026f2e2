//! What a runtime's embeddings are compared with. No runtime is compared with itself.

use crate::model::Model;
use ldae_device::kernels::Choice;
use ldae_host::runtime::{Folded, Network, Runtime, Session};
use std::collections::HashMap;
use std::sync::Mutex;

/// A definition of the right embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The training network in Burn on the CPU.
    Network,
    /// The folded encoder on plain arrays.
    Folded,
    /// The same with the artifact's integers for weights.
    Dequantised,
    /// The portable kernel on the canonical artifact: the definition of the integer engine's bits.
    Portable,
    /// This machine's fastest kernel on the layout that it reads: what the portable kernel is compared with.
    Packed,
}

impl Reference {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Reference::Network => "the training network (Burn, CPU)",
            Reference::Folded => "the float reference",
            Reference::Dequantised => "the float reference with the artifact's weights",
            Reference::Portable => "the portable kernel",
            Reference::Packed => "the fastest kernel here",
        }
    }

    /// Embeddings of `pictures`, E components each; computed once for each model and picture.
    ///
    /// # Errors
    /// The model has no such form, or refuses a picture.
    pub fn embed(self, model: &Model, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>, String> {
        // Held while computing: who wants the same next waits for it.
        let mut known = model.known.0.lock().map_err(|_| "another thread failed in a reference".to_owned())?;
        let missing = |p: &&[u8]| !known.contains_key(&(self, p.to_vec()));
        let new: Vec<&[u8]> = pictures.iter().copied().filter(missing).collect();
        if !new.is_empty() {
            let embeddings = self.compute(model, &new)?;
            known.extend(new.iter().map(|p| (self, p.to_vec())).zip(embeddings));
        }
        pictures
            .iter()
            .map(|p| known.get(&(self, p.to_vec())).cloned().ok_or_else(|| "no reference was computed".to_owned()))
            .collect()
    }

    fn compute(self, model: &Model, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>, String> {
        let text = |e: ldae_host::Error| e.to_string();
        let engine = |kernel| {
            let prepared = Runtime::Integer(kernel).prepare(&model.artifact).map_err(text)?;
            each(&mut *prepared.open().map_err(text)?, model, pictures)
        };
        match self {
            Reference::Network => {
                let float = model.float()?;
                let (weights, head) = (&float.weights, &float.head);
                let t = float.folded.time_step;
                each(&mut Network::new(weights, t, model.spec.pooling, head, "cpu").map_err(text)?, model, pictures)
            }
            Reference::Folded => {
                let float = model.float()?;
                each(&mut Folded::new(&float.folded, &float.head), model, pictures)
            }
            Reference::Dequantised => {
                let float = model.float()?;
                each(&mut Folded::new(&float.dequantised, &float.head), model, pictures)
            }
            Reference::Portable => engine(Choice::Portable),
            Reference::Packed => engine(fastest()),
        }
    }
}

/// The last kernel of the list, or the portable one where a machine has no other.
fn fastest() -> Choice {
    let kernel = |r: &Runtime| if let Runtime::Integer(kernel) = r { Some(*kernel) } else { None };
    Runtime::all().iter().rev().find_map(kernel).unwrap_or(Choice::Portable)
}

fn each(session: &mut dyn Session, model: &Model, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>, String> {
    pictures
        .iter()
        .map(|p| {
            let mut out = vec![f32::NAN; model.spec.embedding() as usize];
            session.embed(p, &mut out).map_err(|e| e.to_string())?;
            Ok(out)
        })
        .collect()
}

/// Embeddings by reference and picture.
#[derive(Default)]
pub struct Cache(Mutex<Known>);

type Known = HashMap<(Reference, Vec<u8>), Vec<f32>>;
