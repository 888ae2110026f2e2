//! For tests only: an encoder with random weights and random gates, so that every path of the graph counts, and what an
//! export makes of it.

use super::{Facts, Origin};
use crate::cli::Output;
use crate::data::Split;
use crate::eval::standardise::Standardiser;
use crate::model::{ModelSpec, Weights, init_weights, pca, randomise_gates};
use crate::quantise::{FloatEncoder, Quantised, WeightOnly, calibrate, quantise};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::EncoderSpec;

/// Time step folded.
pub(super) const T: u16 = 10;

pub(super) struct Case {
    pub(super) weights: Weights,
    pub(super) plain: FloatEncoder,
    pub(super) equalised: FloatEncoder,
    pub(super) quantised: Quantised,
    pub(super) weight_only: WeightOnly,
    pub(super) head: Standardiser,
}

impl Case {
    pub(super) fn new(spec: EncoderSpec, training: &Split) -> Self {
        let grid = PatchGrid::of(&spec).expect("valid");
        let rank = spec.rank.into();
        let fitted = pca::fit(grid, rank, training.len(), |i| training.image(i), 20_000, 1).expect("pictures");
        let model = ModelSpec { decoder_depth: 1, ..ModelSpec::symmetric(spec) };
        let mut weights = init_weights(&model, 7, &fitted).expect("valid");
        randomise_gates(&mut weights, 8);
        let out = Output::new(true);
        let plain = FloatEncoder::fold(&weights, T, spec.pooling).expect("complete");
        let equalised = plain.equalised(training);
        let statistics = calibrate(&equalised, training, &out).expect("finite");
        let quantised = quantise(&equalised, &statistics, training, &out).expect("quantisable");
        let weight_only = WeightOnly::new(&equalised, &quantised);
        let head = Standardiser::new(&statistics.pooled_mean, &statistics.pooled_deviation);
        Case { weights, plain, equalised, quantised, weight_only, head }
    }
}

pub(super) fn origin(pictures: &Split) -> Origin<'_> {
    let facts = Facts { artifact: "0".repeat(64), time_step: T, provenance: "data=test\n".to_owned() };
    Origin { facts, pictures: vec![pictures.image(0), pictures.image(1)] }
}
