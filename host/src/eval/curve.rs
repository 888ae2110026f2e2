//! The trained encoder at a grid of time steps, and after each of its blocks: curves and their best points.
//!
//! * Over t (papers A and B): the encoder is told t and sees the clean picture, or the picture noised at the same t
//!   ([`super::input_noise`]); "embeddings exist at every t and the best t is chosen by evaluation".
//! * Over layers (DDAE): the tokens after block l pass the final LayerNorm and the pooling, at the request's t, clean; layer 0
//!   is what enters the first block.
//!
//! Every point is scored like every other embedding of the evaluation: same pictures, k-NN, probe and pooling. The best point is
//! the best of many on the held-out pictures, so it is a little better than it would be on others.

use super::comparison::Request;
use super::embedder::Embedder;
use super::evaluation::{Pictures, Row, evaluate};
use super::run_encoder::RunEncoder;
use super::subject::Subject;
use crate::cli::Output;
use crate::{Error, Result};
use ldae_shared::spec::Pooling;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Time steps of the sweep unless told otherwise: those of paper A's table (METHOD.md section 1), doubled on to strong noise.
pub const TIMES: [u16; 9] = [0, 10, 20, 40, 80, 160, 320, 640, 1000];

/// Which blocks are probed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// None.
    #[default]
    None,
    /// All, and what enters the first.
    All,
    /// These.
    Some(Vec<u16>),
}

/// What a curve runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Time step.
    T,
    /// Block.
    Layer,
}

/// One scored point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// t, or the number of the block.
    pub at: u16,
    /// "clean" or "noised".
    pub input: String,
    /// Its scores.
    #[serde(flatten)]
    pub row: Row,
}

/// Points and the best of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What it runs over.
    pub axis: Axis,
    /// In the order of the axis; at each place clean before noised, then by pooling.
    pub points: Vec<Point>,
    /// Index of the best point by probe, or by k-NN where no probe was trained; the first of equals.
    pub best: usize,
}

/// The curves that `request` asks for.
///
/// # Errors
/// An exported encoder (its t is folded in), a t or block that does not exist, or an encoder that fails.
pub fn curves(
    subject: &Subject,
    pictures: &Pictures,
    request: &Request,
    poolings: &[Pooling],
    out: &Output,
) -> Result<Vec<Curve>> {
    let mut wanted = Vec::new();
    if !request.times.is_empty() {
        wanted.push((Axis::T, over_t(subject, &request.times, poolings)?));
    }
    if request.layers != Layers::None {
        wanted.push((Axis::Layer, over_layers(subject, request, poolings)?));
    }
    let score = |(axis, encoders): (Axis, Vec<Encoder>)| {
        let mut points = Vec::new();
        for Encoder { at, input, encoder } in encoders {
            let embedders: [&dyn Embedder; 1] = [&encoder];
            let rows = evaluate(&embedders, pictures, &request.protocol, out)?;
            points.extend(rows.into_iter().map(|row| Point { at, input: input.to_owned(), row }));
        }
        let better = |best: usize, i: usize| if points[i].row.score() > points[best].row.score() { i } else { best };
        let best = (0..points.len()).reduce(better).ok_or_else(|| Error::new("a curve without points"))?;
        Ok(Curve { axis, points, best })
    };
    wanted.into_iter().map(score).collect()
}

/// An encoder and its place on the curve.
struct Encoder {
    at: u16,
    input: &'static str,
    encoder: RunEncoder,
}

fn float(subject: &Subject, t: u16, poolings: &[Pooling], name: &str) -> Result<RunEncoder> {
    let encoder = subject.float(t, poolings)?.ok_or_else(|| {
        Error::new("an exported encoder has one time step folded in and no inner layers to look at")
            .hint("evaluate the run directory with --t-sweep or --layer")
    })?;
    Ok(encoder.named(name))
}

fn over_t(subject: &Subject, times: &[u16], poolings: &[Pooling]) -> Result<Vec<Encoder>> {
    let mut encoders = Vec::new();
    for &t in times {
        let encoder = float(subject, t, poolings, &format!("t = {t}"))?;
        encoders.push(Encoder { at: t, input: "clean", encoder });
        if let Some(noise) = subject.input_noise(t) {
            let encoder = float(subject, t, poolings, &format!("t = {t}, noised"))?.with_noise(noise);
            encoders.push(Encoder { at: t, input: "noised", encoder });
        }
    }
    Ok(encoders)
}

fn over_layers(subject: &Subject, request: &Request, poolings: &[Pooling]) -> Result<Vec<Encoder>> {
    let layers = match &request.layers {
        Layers::Some(layers) => layers.clone(),
        Layers::All => (0..=subject.spec()?.depth).collect(),
        Layers::None => Vec::new(),
    };
    let of = |layer| {
        let encoder = float(subject, request.t, poolings, &format!("block {layer}"))?.up_to_block(layer)?;
        Ok(Encoder { at: layer, input: "clean", encoder })
    };
    layers.into_iter().map(of).collect()
}

impl Axis {
    /// As tables head it.
    pub fn name(self) -> &'static str {
        match self {
            Axis::T => "t",
            Axis::Layer => "block",
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  trained encoder over {}", self.axis.name())?;
        writeln!(
            f,
            "  {:>5}  {:<6}  {:<8}  {:>7}  {:>14}  {:>6}",
            self.axis.name(),
            "input",
            "pooling",
            "k-NN %",
            "probe %",
            "P@k %"
        )?;
        for p in &self.points {
            writeln!(
                f,
                "  {:>5}  {:<6}  {:<8}  {:>7.2}  {:>14}  {:>6.2}",
                p.at,
                p.input,
                p.row.pooling,
                100.0 * p.row.knn,
                p.row.probe_text(),
                100.0 * p.row.precision
            )?;
        }
        let best = &self.points[self.best];
        writeln!(
            f,
            "  best: {} {}, {} input, pooling {}, {} {:.2} %",
            self.axis.name(),
            best.at,
            best.input,
            best.row.pooling,
            if best.row.probe.is_some() { "linear probe" } else { "k-NN" },
            100.0 * best.row.score()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::model;
    use crate::model::reference::encode;
    use crate::model::{ModelSpec, Weights};
    use ldae_shared::patch::{PatchGrid, pixel_value};

    /// An encoder cut after block l equals the plain network of depth l with the same weights.
    #[test]
    fn inner_layers_equal_a_shallower_network() {
        let (weights, pictures) = model(48);
        let grid = PatchGrid::of(&weights.spec().encoder).unwrap();
        for layer in 0..=2 {
            let encoder = ldae_shared::spec::EncoderSpec { depth: layer, ..weights.spec().encoder };
            let shallow = ModelSpec { encoder, ..*weights.spec() };
            let values = crate::model::layout::layout(&shallow)
                .iter()
                .map(|p| weights.get(&p.name).unwrap().values.clone())
                .collect();
            let shallow = Weights::new(shallow, values, &weights.pca()).unwrap();
            let cut = RunEncoder::new("", &weights, 10, &[Pooling::Mean]).unwrap().up_to_block(layer).unwrap();
            let pixels: Vec<f32> = pictures[0].iter().map(|&b| pixel_value(b)).collect();
            let patches: Vec<Vec<f64>> = (0..grid.tokens())
                .map(|token| {
                    let mut patch = [0.0; 48];
                    grid.copy_patch(&pixels, token, &mut patch);
                    patch.map(f64::from).to_vec()
                })
                .collect();
            let want = encode(&shallow, &patches, 10);
            for (got, want) in cut.tokens(&pictures[0]).iter().zip(want.iter().flatten()) {
                assert!((f64::from(*got) - want).abs() < 1e-4, "block {layer}: {got} {want}");
            }
        }
        assert!(RunEncoder::new("", &weights, 10, &[Pooling::Mean]).unwrap().up_to_block(3).is_err());
    }
}
