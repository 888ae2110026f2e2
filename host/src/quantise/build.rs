//! Float encoder and statistics to an artifact description, before bias correction.

use super::calibrate::Statistics;
use super::factor::{MAX_FACTOR, Quantise, nearest};
use super::float::gelu;
use super::{Dense, FloatBlock, FloatEncoder};
use ldae_device::{BlockStage, TapId};
use ldae_shared::fixed::{Factor, NormRange};
use ldae_shared::format::{ArtifactDesc, BlockDesc, LinearDesc};
use ldae_shared::spec::EncoderSpec;

/// Standard deviations of one code of the embedding: i8 over ±5 (rule 9).
pub(super) const EMBEDDING_SCALE: f64 = 5.0 / 127.0;
/// The stream's range is this many times the largest value seen in calibration: i16 has 79 dB, headroom costs nothing.
const STREAM_HEADROOM: f64 = 2.0;

/// Real value of one code of every tensor, fixed before anything is quantised.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    pub latents: Vec<f64>,
    pub stream: f64,
    pub blocks: Vec<BlockScales>,
    pub last_norm: NormRange,
}

/// Standard deviations of one code of a LayerNorm.
pub(super) fn norm_scale(range: NormRange) -> f64 {
    f64::from(range.sixteenths()) / 16.0 / 127.0
}

/// Scales of a block.
#[derive(Clone, Debug)]
pub(super) struct BlockScales {
    /// Ranges of the LayerNorms before qkv and before fc1.
    pub norms: [NormRange; 2],
    pub q: f64,
    pub k: f64,
    pub v: f64,
    pub logits: f64,
    pub attention: f64,
    pub fc1: f64,
    /// Code of a zero: a GELU input x has the code x/fc1 + fc1_zero.
    pub fc1_zero: f64,
    pub gelu: f64,
    /// Value of a GELU code c is `gelu·(c + offset)` (rule 7).
    pub gelu_offset: i32,
}

/// What the codes around a linear layer are worth.
pub(super) struct LayerCodes {
    /// Value of one input code.
    pub input: f64,
    /// Value of one output code, per output.
    pub output: Vec<f64>,
}

/// [`LayerCodes`] of a block.
pub(super) struct BlockCodes {
    pub qkv: LayerCodes,
    pub proj: LayerCodes,
    pub fc1: LayerCodes,
    pub fc2: LayerCodes,
}

impl BlockScales {
    /// Codes around the linear layers; those of proj and fc2 go to the stream.
    pub(super) fn layers(&self, s: &EncoderSpec, stream: f64) -> BlockCodes {
        let (w, hidden) = (usize::from(s.width), s.hidden() as usize);
        let [norm1, norm2] = self.norms.map(norm_scale);
        BlockCodes {
            qkv: LayerCodes { input: norm1, output: [self.q, self.k, self.v].map(|scale| vec![scale; w]).concat() },
            proj: LayerCodes { input: self.attention, output: vec![stream; w] },
            fc1: LayerCodes { input: norm2, output: vec![self.fc1; hidden] },
            fc2: LayerCodes { input: self.gelu, output: vec![stream; w] },
        }
    }
}

impl Scales {
    /// Codes around the projection: the input is a centred byte i of the pixel value (i + 0.5)/127.5.
    pub(super) fn project(&self) -> LayerCodes {
        LayerCodes { input: 1.0 / 127.5, output: self.latents.clone() }
    }

    /// Codes around the embedding, whose columns absorb the scales of the latents ([`Scales::embed_of_codes`]).
    pub(super) fn embed(&self, s: &EncoderSpec) -> LayerCodes {
        LayerCodes { input: 1.0, output: vec![self.stream; s.width.into()] }
    }

    /// The embedding as a layer on codes of latents.
    pub(super) fn embed_of_codes(&self, embed: &Dense) -> Dense {
        scaled_columns(embed, &self.latents)
    }

    /// Ranges from the statistics; the stream is coarsened where a factor would exceed rule 3.
    pub(super) fn choose(encoder: &FloatEncoder, statistics: &Statistics) -> Self {
        let s = &encoder.spec;
        let at_most =
            |scale: f64, dense: &Dense, scale_in: f64| scale.max(largest_factor(dense, scale_in) / MAX_FACTOR);
        let blocks: Vec<BlockScales> = encoder
            .blocks
            .iter()
            .enumerate()
            .map(|(i, block)| {
                let clip = |stage| statistics.clip(i, stage) / 127.0;
                let norms = [BlockStage::Norm1, BlockStage::Norm2]
                    .map(|stage| statistics.norm_range(TapId::Block(i as u16, stage)));
                let [norm1, norm2] = norms.map(norm_scale);
                let logits = statistics.largest(TapId::Block(i as u16, BlockStage::Logits)) / 127.0;
                let (low, high) = statistics.fc1_ranges[i];
                let fc1 = at_most(f64::from(high - low) / 254.0, &block.fc1, norm2);
                let qkv = |stage| at_most(clip(stage), &block.qkv, norm1);
                let (q, k, v) = (qkv(BlockStage::Q), qkv(BlockStage::K), qkv(BlockStage::V));
                let inner = q * k / f64::from(s.head_width()).sqrt();
                let lowest = f64::from(statistics.gelu_lowest[i]);
                let gelu = (statistics.clip(i, BlockStage::Gelu) / 254.0).max(f64::MIN_POSITIVE);
                BlockScales {
                    norms,
                    q,
                    k,
                    v,
                    logits: logits.max(inner / MAX_FACTOR),
                    attention: clip(BlockStage::Attention).max(v / 32768.0 / MAX_FACTOR),
                    fc1,
                    fc1_zero: -f64::from(low + high) / 2.0 / fc1,
                    gelu,
                    // Code −127 stands for the lowest value.
                    gelu_offset: (lowest / gelu).round() as i32 + 127,
                }
            })
            .collect();
        let residuals =
            (0..s.depth).flat_map(|i| [TapId::Block(i, BlockStage::Residual1), TapId::Block(i, BlockStage::Residual2)]);
        let taps = [TapId::Embed, TapId::Stream].into_iter().chain(residuals);
        let largest = taps.map(|id| statistics.largest(id)).fold(1e-6, f64::max);
        let latents: Vec<f64> = statistics.latent_clips.iter().map(|&c| f64::from(c) / 127.0).collect();
        let mut stream = STREAM_HEADROOM * largest / 32767.0;
        stream = at_most(stream, &scaled_columns(&encoder.embed, &latents), 1.0);
        for (block, scales) in encoder.blocks.iter().zip(&blocks) {
            stream = at_most(stream, &block.proj, scales.attention);
            stream = at_most(stream, &block.fc2, scales.gelu);
        }
        Scales { latents, stream, blocks, last_norm: statistics.norm_range(TapId::FinalNorm) }
    }
}

/// Largest of (largest weight / 127)·scale_in over rows: the numerator of rule 3's factor.
fn largest_factor(dense: &Dense, scale_in: f64) -> f64 {
    let largest = dense.weights.iter().fold(0f32, |m, w| m.max(w.abs()));
    f64::from(largest) / 127.0 * scale_in
}

/// Inputs with one scale each: the columns absorb them (rule 8).
fn scaled_columns(dense: &Dense, scales: &[f64]) -> Dense {
    let mut d = dense.clone();
    for row in d.weights.chunks_exact_mut(dense.inputs) {
        row.iter_mut().zip(scales).for_each(|(w, s)| *w = (f64::from(*w) * s) as f32);
    }
    d
}

/// The artifact without head, provenance and vectors.
pub(super) fn build(encoder: &FloatEncoder, statistics: &Statistics, scales: &Scales) -> ArtifactDesc {
    let s = encoder.spec;
    let quantised = |dense: &Dense, codes: &LayerCodes, offset: f64, top: i64| {
        Quantise { dense, scale_in: codes.input, scale_out: &|j| codes.output[j], offset, top }.run()
    };
    let position = |p: &f32| (f64::from(*p) / scales.stream).round().clamp(-32768.0, 32767.0) as i16;
    let blocks = encoder.blocks.iter().zip(&scales.blocks).map(|(b, bs)| block(&s, b, bs, scales.stream)).collect();
    ArtifactDesc {
        spec: s,
        time_step: encoder.time_step,
        resize: 1,
        project: quantised(&encoder.project, &scales.project(), 0.5, 128),
        embed: quantised(&scales.embed_of_codes(&encoder.embed), &scales.embed(&s), 0.0, 127),
        positions: encoder.positions.iter().map(position).collect(),
        blocks,
        head: head(statistics),
        norms: scales.blocks.iter().flat_map(|b| b.norms).chain([scales.last_norm]).collect(),
        standardisation: Vec::new(),
        pca_basis: Vec::new(),
        provenance: String::new(),
        vectors: Vec::new(),
    }
}

fn block(s: &EncoderSpec, b: &FloatBlock, scales: &BlockScales, stream: f64) -> BlockDesc {
    let run = |dense: &Dense, codes: &LayerCodes, offset: f64| -> LinearDesc {
        Quantise { dense, scale_in: codes.input, scale_out: &|j| codes.output[j], offset, top: 127 }.run()
    };
    let codes = scales.layers(s, stream);
    let inner = scales.q * scales.k / f64::from(s.head_width()).sqrt();
    BlockDesc {
        qkv: run(&b.qkv, &codes.qkv, 0.0),
        logits: nearest(inner / scales.logits),
        softmax: softmax_table(scales.logits),
        values: nearest(scales.v / 32768.0 / scales.attention),
        proj: run(&b.proj, &codes.proj, 0.0),
        fc1: run(&shifted(&b.fc1, scales.fc1 * scales.fc1_zero), &codes.fc1, 0.0),
        gelu: gelu_table(scales),
        fc2: run(&b.fc2, &codes.fc2, f64::from(scales.gelu_offset)),
    }
}

/// The same layer with `shift` added to every output.
fn shifted(dense: &Dense, shift: f64) -> Dense {
    let mut d = dense.clone();
    d.bias.iter_mut().for_each(|b| *b = (f64::from(*b) + shift) as f32);
    d
}

/// exp(−d·scale) of 65535 (rule 6).
fn softmax_table(scale: f64) -> Vec<u16> {
    (0..256).map(|d| (65535.0 * libm::exp(-f64::from(d) * scale)).round() as u16).collect()
}

/// Code to code (rule 7), indexed by the input code as u8.
fn gelu_table(scales: &BlockScales) -> Vec<i8> {
    let code = |index: u16| {
        let x = (f64::from(index as u8 as i8) - scales.fc1_zero) * scales.fc1;
        let y = f64::from(gelu(x as f32)) / scales.gelu - f64::from(scales.gelu_offset);
        y.round().clamp(-127.0, 127.0) as i8
    };
    (0..256).map(code).collect()
}

/// A neutral head until the pooled integers are measured ([`super::correct`]).
fn head(statistics: &Statistics) -> Vec<(i32, Factor)> {
    vec![(0, Factor::SMALLEST); statistics.pooled_mean.len()]
}
