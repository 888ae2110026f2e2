//! What a run will cost, before it starts: `ldae train --dry-run`.

use super::config::TrainConfig;
use crate::Result;
use crate::model::layout::parameter_count;
use serde::Serialize;

/// Sizes and costs of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Trainable values of encoder, decoder and conditioning.
    pub parameters: usize,
    /// Parameters of the encoder as it is exported.
    pub encoder_parameters: u64,
    /// Tokens N.
    pub tokens: u32,
    /// Components of the embedding E.
    pub embedding: u32,
    /// Multiply-accumulates of one inference of the exported encoder.
    pub encoder_macs: u64,
    /// Multiply-accumulates of one training picture, forward and backward (three forwards).
    pub training_macs: u64,
    /// Multiply-accumulates of the whole run.
    pub run_macs: u64,
    /// Estimate of the memory in use during a step, bytes.
    pub memory_bytes: u64,
    /// Training pictures.
    pub pictures: usize,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Parts of a batch.
    pub shards: usize,
}

impl Plan {
    /// Computes the plan. `pixels_bytes` is what the decoded pictures take; `parallel` how many parts run at once.
    ///
    /// # Errors
    /// The configuration has an impossible shape.
    pub fn new(config: &TrainConfig, parallel: usize) -> Result<Self> {
        let spec = config.model_spec()?;
        let (e, o) = (&spec.encoder, &config.optimiser);
        let parameters = parameter_count(&spec);
        let part = o.batch.div_ceil(o.shards) as u64;
        let parallel = parallel.min(o.shards) as u64;
        // Activations that autodiff keeps per token and block: about 14 vectors of W, 5 of r·W and 4·H·N scores.
        let n = u64::from(e.tokens());
        let block = |w: u64, heads: u64| n * (14 * w + 5 * u64::from(e.mlp_ratio) * w + 4 * heads * n);
        let activations = u64::from(e.depth) * block(e.width.into(), e.heads.into())
            + spec.decoder_depth as u64 * block(spec.decoder_width as u64, spec.decoder_heads as u64)
            + 8 * n * u64::from(e.patch_values());
        let state = parameters as u64 * 4 * (4 + 2 * parallel + 1);
        let pictures = config.data.pictures as u64 * u64::from(e.pixels());
        Ok(Plan {
            parameters,
            encoder_parameters: e.parameters(),
            tokens: e.tokens(),
            embedding: e.embedding(),
            encoder_macs: e.macs(),
            training_macs: 3 * spec.training_macs(),
            run_macs: 3 * spec.training_macs() * o.batch as u64 * o.steps,
            memory_bytes: 4 * activations * part * parallel + state + pictures,
            pictures: config.data.pictures,
            steps_per_epoch: (config.data.pictures / o.batch) as u64,
            steps: o.steps,
            shards: o.shards,
        })
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "parameters      {} ({} in the exported encoder)", self.parameters, self.encoder_parameters)?;
        writeln!(f, "tokens          {}, embedding {} components", self.tokens, self.embedding)?;
        writeln!(f, "cost            {:.1} MMAC per inference", self.encoder_macs as f64 / 1e6)?;
        writeln!(
            f,
            "                {:.1} MMAC per training picture, {:.1} TMAC in all",
            self.training_macs as f64 / 1e6,
            self.run_macs as f64 / 1e12
        )?;
        writeln!(f, "memory          about {:.2} GB", self.memory_bytes as f64 / 1e9)?;
        writeln!(f, "pictures        {} for training, {} steps per epoch", self.pictures, self.steps_per_epoch)?;
        write!(f, "steps           {}, batches in {} parts", self.steps, self.shards)
    }
}
