//! Shapes that no preset has, and every pooling.

use super::{Models, Outcome, Suite, agrees, on_each};
use crate::model::{Model, drawn};
use crate::runtime::Runtime;
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::sync::LazyLock;

/// Pictures of each shape.
const COUNT: usize = 4;
/// Calibration pictures of each shape.
const CALIBRATION: usize = 32;

/// One token, tokens of one pixel, rank 1 and full rank, heads of 2 to 100 values, odd grids, grey pictures.
pub(super) const ODD_SHAPES: Suite =
    Suite { name: "odd shapes", about: "one token to 400, rank 1 to full, heads of 2 to 100", run: odd_shapes };
/// Mean, mean and deviation, 2x2 grid, on even and odd grids.
pub(super) const POOLINGS: Suite =
    Suite { name: "poolings", about: "each pooling on even and odd grids", run: poolings };

/// Widths are even: positions are sines and cosines.
const SHAPES: [EncoderSpec; 8] = [
    EncoderSpec::from_numbers((7, 3, 7), (147, 10, 2), (1, 2), Pooling::Mean), // a single token, full rank
    EncoderSpec::from_numbers((20, 3, 1), (2, 12, 4), (1, 2), Pooling::Grid2x2), // 400 tokens of one pixel
    EncoderSpec::from_numbers((35, 3, 5), (1, 34, 17), (1, 3), Pooling::MeanStd), // heads of 2, rank 1
    EncoderSpec::from_numbers((40, 1, 20), (48, 100, 1), (1, 1), Pooling::Mean), // long patches, one head
    EncoderSpec::from_numbers((28, 1, 4), (9, 30, 5), (2, 1), Pooling::MeanStd), // grey
    EncoderSpec::from_numbers((35, 3, 5), (75, 18, 3), (2, 3), Pooling::Grid2x2), // odd grid, full rank
    EncoderSpec::from_numbers((9, 1, 3), (5, 14, 1), (1, 16), Pooling::MeanStd), // a wide MLP
    EncoderSpec::from_numbers((24, 3, 4), (32, 96, 3), (3, 2), Pooling::Mean), // heads of 32
];

fn made(shapes: &[EncoderSpec]) -> Models {
    let one = |s: &EncoderSpec| {
        let name = format!(
            "{}x{} p{} K{} W{} L{} H{} {}",
            s.image,
            s.channels,
            s.patch,
            s.rank,
            s.width,
            s.depth,
            s.heads,
            s.pooling.name()
        );
        Ok((name, Model::new(*s, CALIBRATION, 3)?))
    };
    shapes.iter().map(one).collect()
}

static ODD: LazyLock<Models> = LazyLock::new(|| made(&SHAPES));

static POOLED: LazyLock<Models> = LazyLock::new(|| {
    let grids = [(16, 3, 4), (15, 3, 5), (10, 3, 5)];
    let poolings = [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2];
    let all: Vec<_> =
        grids.iter().flat_map(|g| poolings.map(|p| EncoderSpec::from_numbers(*g, (12, 24, 2), (2, 2), p))).collect();
    made(&all)
});

fn compared(runtime: &dyn Runtime, suite: &str, models: &Models) -> Outcome {
    on_each(models, |model| {
        let [_, set] = drawn(&model.spec, 1, COUNT, 4)?;
        let pictures: Vec<&[u8]> = (0..COUNT).map(|i| set.image(i)).collect();
        agrees(runtime, suite, model, &pictures)
    })
}

fn odd_shapes(runtime: &dyn Runtime) -> Outcome {
    compared(runtime, ODD_SHAPES.name, &ODD)
}

fn poolings(runtime: &dyn Runtime) -> Outcome {
    compared(runtime, POOLINGS.name, &POOLED)
}
