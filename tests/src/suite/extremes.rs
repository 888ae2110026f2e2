//! Extremes: pictures that no camera takes, weights that no training finds, tensors that saturate every stage.

use super::{Models, Outcome, Suite, agrees, on_each};
use crate::model::{Model, drawn};
use crate::runtime::Runtime;
use ldae_host::verify::Pictures;
use ldae_shared::format::Fill;
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::sync::LazyLock;

/// Calibration pictures.
const CALIBRATION: usize = 64;

/// Black, white, a ramp, noise, one bright pixel, a chessboard.
pub(super) const PICTURES: Suite =
    Suite { name: "extreme pictures", about: "black, white, ramp, noise, one pixel, chessboard", run: pictures };
/// Zero, tiny and large weights.
pub(super) const WEIGHTS: Suite =
    Suite { name: "extreme weights", about: "weights of zero, a thousandth and four times the usual", run: weights };
/// Synthetic artifacts at the bounds of the integer rules.
pub(super) const FILLS: Suite =
    Suite { name: "extreme fills", about: "artifacts at the bounds of the integer rules, odd widths", run: fills };

const SPEC: EncoderSpec = EncoderSpec::from_numbers((16, 3, 4), (12, 24, 3), (2, 2), Pooling::MeanStd);

static USUAL: LazyLock<Models> = LazyLock::new(|| Ok(vec![("usual".to_owned(), Model::new(SPEC, CALIBRATION, 5)?)]));

static EXTREME: LazyLock<Models> = LazyLock::new(|| {
    let of = |name: &str, factor: f32| -> Result<_, String> {
        let scale = |parameter: &str, values: &mut [f32]| {
            if parameter.starts_with("encoder.blocks") && parameter.ends_with("weight") {
                values.iter_mut().for_each(|v| *v *= factor);
            }
        };
        Ok((name.to_owned(), Model::changed(SPEC, CALIBRATION, 6, &scale)?))
    };
    Ok(vec![of("zero", 0.0)?, of("tiny", 1e-3)?, of("large", 4.0)?])
});

static FILLED: LazyLock<Models> = LazyLock::new(|| {
    let shapes = [
        EncoderSpec::from_numbers((16, 3, 4), (7, 24, 3), (2, 2), Pooling::MeanStd),
        EncoderSpec::from_numbers((21, 1, 3), (5, 9, 3), (1, 1), Pooling::Mean),
        EncoderSpec::from_numbers((15, 3, 5), (75, 39, 3), (1, 3), Pooling::Grid2x2),
        EncoderSpec::from_numbers((8, 3, 8), (1, 1, 1), (1, 16), Pooling::MeanStd),
    ];
    let all = shapes.iter().flat_map(|s| Fill::ALL.map(|f| (*s, f)));
    all.map(|(s, fill)| Ok((format!("{fill:?} {}x{}", s.image, s.width), Model::synthetic(s, fill, 7)?))).collect()
});

/// The pictures of the suite.
fn unusual(spec: &EncoderSpec) -> Vec<Vec<u8>> {
    let bytes = spec.pixels() as usize;
    let mut all: Vec<Vec<u8>> = Pictures::synthetic(bytes, 4).pixels.chunks_exact(bytes).map(<[u8]>::to_vec).collect();
    let mut one = vec![0; bytes];
    one[bytes / 2] = 255;
    all.push(one);
    let (side, channels) = (usize::from(spec.image), usize::from(spec.channels));
    all.push((0..bytes).map(|i| 255 * ((i / channels % side + i / channels / side) % 2) as u8).collect());
    all
}

fn on_unusual(runtime: &dyn Runtime, suite: &str, models: &Models) -> Outcome {
    on_each(models, |model| {
        let pictures = unusual(&model.spec);
        agrees(runtime, suite, model, &pictures.iter().map(Vec::as_slice).collect::<Vec<_>>())
    })
}

fn pictures(runtime: &dyn Runtime) -> Outcome {
    on_unusual(runtime, PICTURES.name, &USUAL)
}

fn weights(runtime: &dyn Runtime) -> Outcome {
    on_each(&EXTREME, |model| {
        let [_, set] = drawn(&model.spec, 1, 6, 8)?;
        let pictures: Vec<&[u8]> = (0..6).map(|i| set.image(i)).collect();
        agrees(runtime, WEIGHTS.name, model, &pictures)
    })
}

fn fills(runtime: &dyn Runtime) -> Outcome {
    on_unusual(runtime, FILLS.name, &FILLED)
}
