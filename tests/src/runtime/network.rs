//! The training network in Burn, on the CPU and on a GPU, in batches.

use super::{Form, Ignored, NO_NETWORK, Runtime, Session, Work};
use crate::model::Model;
use crate::reference::Reference;
use ldae_host::runtime::{Network, Session as _};

/// Burn on the named device.
pub(super) struct Burn(pub(super) &'static str);

impl Runtime for Burn {
    fn name(&self) -> String {
        format!("burn {}", self.0)
    }

    fn form(&self) -> Form {
        Form::Float
    }

    fn reference(&self) -> Reference {
        if self.0 == "cpu" { Reference::Folded } else { Reference::Network }
    }

    fn available(&self) -> Result<(), String> {
        ldae_host::train::device::choose(self.0).map(|_| ()).map_err(|e| e.to_string())
    }

    fn ignored(&self) -> &'static [Ignored] {
        &[NO_NETWORK]
    }

    fn with(&self, model: &Model, work: &mut Work<'_>) -> Result<(), String> {
        let float = model.float()?;
        let t = float.folded.time_step;
        let network = Network::new(&float.weights, t, model.spec.pooling, &float.head, self.0);
        work(&mut Batches(network.map_err(|e| e.to_string())?))
    }
}

struct Batches<'m>(Network<'m>);

impl Session for Batches<'_> {
    fn embed(&mut self, pixels: &[u8], out: &mut [f32]) -> Result<(), String> {
        self.0.embed(pixels, out).map_err(|e| e.to_string())
    }

    fn embed_all(&mut self, pictures: &[&[u8]], components: usize) -> Result<Vec<Vec<f32>>, String> {
        let rows = self.0.embed_batch(pictures).map_err(|e| e.to_string())?;
        Ok(rows.chunks_exact(components).map(<[f32]>::to_vec).collect())
    }
}
