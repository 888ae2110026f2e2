//! Bias correction and the head, by running the device crate itself over the calibration pictures (NUMERICS.md, "what
//! the writer does"): each bias is shifted so that the quantised layer's mean output equals the float one's, layer by
//! layer in order of computation, so that later layers see corrected inputs.

use super::FloatEncoder;
use super::build::{BlockScales, EMBEDDING_SCALE, Scales, build, norm_scale};
use super::calibrate::{Statistics, channels, clipped_means, moments, width_of};
use super::factor::{bias_room, nearest, value};
use super::layers::{LayerNoise, measure};
use crate::cli::Output;
use crate::data::Split;
use crate::{Error, Result};
use half::f16;
use ldae_device::{BlockStage, Encoder, Tap, TapData, TapId};
use ldae_shared::fixed::{ACC_LIMIT, pool_shift};
use ldae_shared::format::{ArtifactDesc, LinearDesc};
use ldae_shared::spec::{EncoderSpec, Pooling};
use rayon::prelude::*;

/// Pictures whose layer noise is reported: enough for a tenth of a decibel.
const NOISE_PICTURES: usize = 64;

/// A quantised encoder.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The artifact without provenance and vectors.
    pub desc: ArtifactDesc,
    /// Signal-to-noise ratio of every stage.
    pub noise: Vec<LayerNoise>,
    /// What its codes are worth.
    pub(super) scales: Scales,
}

/// Quantises `encoder` with ranges from `statistics`, measured on the same `pictures`.
///
/// # Errors
/// Pictures that the encoder refuses, or a shape that cannot be written.
pub fn quantise(encoder: &FloatEncoder, statistics: &Statistics, pictures: &Split, out: &Output) -> Result<Quantised> {
    let scales = Scales::choose(encoder, statistics);
    let mut desc = build(encoder, statistics, &scales);
    let depth = encoder.spec.depth;
    let bar = out.progress("quantise", 3 + 4 * u64::from(depth));
    let state = State { spec: encoder.spec, statistics, stream_scale: scales.stream };

    // Front end: latents first, then what is made of them.
    let pictures_of = |i: usize| pictures.image(i);
    let end = |b: &BlockScales, code: f64| ((code - b.fc1_zero) * b.fc1) as f32;
    let ends: Vec<(f32, f32)> = scales.blocks.iter().map(|b| (end(b, -127.0), end(b, 127.0))).collect();
    let clipped = clipped_means(encoder, pictures, &ends);
    let front = |desc: &ArtifactDesc, wanted: TapId| -> Result<Run> {
        run(desc, pictures.len(), &[wanted], |e, i, stream, work, tap| e.run_front(pictures_of(i), stream, work, tap))
    };
    let seen = front(&desc, TapId::Latents)?;
    state.shift(&mut desc.project, 0, TapId::Latents, &seen, &|k| scales.latents[k], 128);
    let seen = front(&desc, TapId::Embed)?;
    state.shift(&mut desc.embed, 0, TapId::Embed, &seen, &|_| scales.stream, 127);
    let mut streams = front(&desc, TapId::Stream)?.streams;
    bar.inc(2);

    for i in 0..depth {
        let id = |stage| TapId::Block(i, stage);
        let (w, s) = (encoder.spec.width as usize, scales.blocks[usize::from(i)].clone());
        let seen_by = |desc: &ArtifactDesc, wanted: &[TapId]| -> Result<Run> {
            run(desc, pictures.len(), wanted, |e, p, stream, work, tap| {
                stream.copy_from_slice(&streams[p]);
                e.run_block(i, stream, work, tap)
            })
        };
        let block = usize::from(i);
        let seen = seen_by(&desc, &[id(BlockStage::Q), id(BlockStage::K), id(BlockStage::V)])?;
        for (part, (stage, scale)) in
            [(BlockStage::Q, s.q), (BlockStage::K, s.k), (BlockStage::V, s.v)].into_iter().enumerate()
        {
            state.shift(&mut desc.blocks[block].qkv, part * w, id(stage), &seen, &|_| scale, 127);
        }
        let seen = seen_by(&desc, &[id(BlockStage::Proj)])?;
        state.shift(&mut desc.blocks[block].proj, 0, id(BlockStage::Proj), &seen, &|_| state.stream_scale, 127);
        // fc1's codes are clipped on purpose where GELU is flat: the mean to meet is that of the clipped float values.
        let seen = seen_by(&desc, &[id(BlockStage::Fc1)])?;
        let wanted: Vec<f64> = clipped[block].iter().map(|mean| mean / s.fc1 + s.fc1_zero).collect();
        move_means(&mut desc.blocks[block].fc1, 0, &wanted, &seen.mean(&state.spec, id(BlockStage::Fc1)), 127);
        let seen = seen_by(&desc, &[id(BlockStage::Fc2)])?;
        state.shift(&mut desc.blocks[block].fc2, 0, id(BlockStage::Fc2), &seen, &|_| state.stream_scale, 127);
        streams = seen_by(&desc, &[])?.streams;
        bar.inc(4);
    }

    let pooled = pooled(&desc, &streams)?;
    set_head(&mut desc, &pooled, norm_scale(scales.last_norm));
    bar.inc(1);
    bar.finish_and_clear();
    let noise = measure(encoder, &desc, &scales, pictures, NOISE_PICTURES)?;
    Ok(Quantised { desc, noise, scales })
}

/// What the steps share.
struct State<'a> {
    spec: EncoderSpec,
    statistics: &'a Statistics,
    stream_scale: f64,
}

impl State<'_> {
    /// Shifts the biases of the outputs `first..` of `layer` that tap `id` shows; `top` is the largest input code.
    fn shift(
        &self,
        layer: &mut LinearDesc,
        first: usize,
        id: TapId,
        seen: &Run,
        scale: &dyn Fn(usize) -> f64,
        top: i64,
    ) {
        let wanted: Vec<f64> =
            self.statistics.means(id).iter().enumerate().map(|(c, float)| float / scale(c)).collect();
        move_means(layer, first, &wanted, &seen.mean(&self.spec, id), top);
    }
}

/// Shifts the biases of the outputs `first..` of `layer` so that their mean codes become `wanted`; they are `integer` now.
fn move_means(layer: &mut LinearDesc, first: usize, wanted: &[f64], integer: &[f64], top: i64) {
    for (c, (wanted, integer)) in wanted.iter().zip(integer).enumerate() {
        let j = first + c;
        let room = bias_room(layer, j, top);
        let bias = i64::from(layer.bias[j]) + ((wanted - integer) / value(layer.factor[j])).round() as i64;
        layer.bias[j] = bias.clamp(-room.max(0), room.max(0)) as i32;
    }
}

/// Integer results of one step over all pictures.
struct Run {
    streams: Vec<Vec<i16>>,
    wanted: Vec<TapId>,
    /// Per wanted tap and channel, summed over pictures and tokens (exact).
    sums: Vec<Vec<i64>>,
    pictures: usize,
}

impl Run {
    /// Mean code per channel.
    fn mean(&self, spec: &EncoderSpec, id: TapId) -> Vec<f64> {
        let rows = (self.pictures * spec.tokens() as usize) as f64;
        let at = self.wanted.iter().position(|w| *w == id);
        at.map(|at| self.sums[at].iter().map(|&s| s as f64 / rows).collect()).unwrap_or_default()
    }
}

/// Sums the channels of the wanted taps.
struct Sums<'a> {
    spec: &'a EncoderSpec,
    wanted: &'a [TapId],
    sums: Vec<Vec<i64>>,
    /// Values of each wanted tap so far.
    seen: Vec<usize>,
}

impl Tap for Sums<'_> {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        let Some(at) = self.wanted.iter().position(|w| *w == id) else { return };
        let (first, width) = channels(self.spec, id, self.seen[at]);
        let sums = &mut self.sums[at][first..first + width];
        let mut add = |i: usize, v: i64| sums[i % width] += v;
        self.seen[at] += match data {
            TapData::I8(v) => v.iter().enumerate().map(|(i, &v)| add(i, v.into())).count(),
            TapData::I16(v) => v.iter().enumerate().map(|(i, &v)| add(i, v.into())).count(),
            _ => 0,
        };
    }
}

/// Runs one step of the engine over `count` pictures on all cores.
fn run<F>(desc: &ArtifactDesc, count: usize, wanted: &[TapId], step: F) -> Result<Run>
where
    F: Fn(&Encoder<'_>, usize, &mut [i16], &mut [u8], &mut Sums<'_>) -> Result<(), ldae_device::EmbedError> + Sync,
{
    let bytes = bytes_of(desc)?;
    let encoder = Encoder::new(&bytes).map_err(|e| Error::new("the quantised encoder is not valid").caused_by(e))?;
    let s = encoder.spec();
    let empty = || -> Vec<Vec<i64>> { wanted.iter().map(|id| vec![0; width_of(s, *id)]).collect() };
    let one = |i: usize| -> Result<(Vec<i16>, Vec<Vec<i64>>)> {
        let mut stream = vec![0i16; s.tokens() as usize * s.width as usize];
        let mut work = aligned(encoder.work_bytes());
        let mut tap = Sums { spec: s, wanted, sums: empty(), seen: vec![0; wanted.len()] };
        step(&encoder, i, &mut stream, bytemuck::cast_slice_mut(&mut work), &mut tap)
            .map_err(|e| Error::new("the device engine refused a calibration picture").caused_by(e))?;
        Ok((stream, tap.sums))
    };
    let parts: Vec<_> = (0..count).into_par_iter().map(one).collect::<Result<_>>()?;
    let mut all = Run { streams: Vec::with_capacity(count), wanted: wanted.to_vec(), sums: empty(), pictures: count };
    for (stream, sums) in parts {
        all.streams.push(stream);
        for (a, b) in all.sums.iter_mut().zip(&sums) {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        }
    }
    Ok(all)
}

/// Zeroed memory aligned for the engine.
pub(crate) fn aligned(bytes: usize) -> Vec<u128> {
    vec![0; bytes.div_ceil(16)]
}

pub(super) fn bytes_of(desc: &ArtifactDesc) -> Result<Vec<u8>> {
    desc.write(|_| [0; 32]).map_err(|e| Error::new("the quantised encoder cannot be written").caused_by(e))
}

/// Pooled integers of every picture, [pictures, E].
fn pooled(desc: &ArtifactDesc, streams: &[Vec<i16>]) -> Result<Vec<f32>> {
    struct Pooled(Vec<f32>);
    impl Tap for Pooled {
        fn tap(&mut self, id: TapId, data: TapData<'_>) {
            if let (TapId::Pooled, TapData::I32(v)) = (id, data) {
                self.0.extend(v.iter().map(|&v| v as f32)); // |v| < 2^22: exact in f32
            }
        }
    }
    let bytes = bytes_of(desc)?;
    let encoder = Encoder::new(&bytes).map_err(|e| Error::new("the quantised encoder is not valid").caused_by(e))?;
    let rows: Vec<Vec<f32>> = streams
        .par_iter()
        .map(|stream| {
            let (mut stream, mut work) = (stream.clone(), aligned(encoder.work_bytes()));
            let mut codes = vec![0i8; encoder.spec().embedding() as usize];
            let mut tap = Pooled(Vec::with_capacity(codes.len()));
            encoder
                .run_head(&mut stream, bytemuck::cast_slice_mut(&mut work), &mut codes, &mut tap)
                .map_err(|e| Error::new("the device engine refused a calibration picture").caused_by(e))?;
            Ok(tap.0)
        })
        .collect::<Result<_>>()?;
    Ok(rows.concat())
}

/// Standardisation (rule 9): code = (pooled − mean) / deviation over ±5 deviations. `norm_scale` is the value of one code
/// of the last LayerNorm, for the stored float moments.
fn set_head(desc: &mut ArtifactDesc, pooled: &[f32], norm_scale: f64) {
    let s = desc.spec;
    let (mean, deviation) = moments(pooled, s.embedding() as usize);
    desc.head = mean
        .iter()
        .zip(&deviation)
        .map(|(&mean, &deviation)| {
            let bias = (-f64::from(mean)).round().clamp(-f64::from(ACC_LIMIT / 2), f64::from(ACC_LIMIT / 2)) as i32;
            // A component that never changes keeps code 0.
            let factor = if deviation > 0.0 { 1.0 / (EMBEDDING_SCALE * f64::from(deviation)) } else { 0.0 };
            (bias, nearest(factor))
        })
        .collect();
    let unit = |c: usize| norm_scale / f64::from(cell_tokens(&s, c) << pool_shift(s.pooled_tokens()));
    let halves = |v: &[f32]| -> Vec<u16> {
        v.iter().enumerate().map(|(c, &v)| f16::from_f64(f64::from(v) * unit(c)).to_bits()).collect()
    };
    desc.standardisation = [halves(&mean), halves(&deviation)].concat();
}

/// Tokens that component `c` sums over.
fn cell_tokens(s: &EncoderSpec, c: usize) -> u32 {
    if s.pooling != Pooling::Grid2x2 {
        return s.tokens();
    }
    let (cell, half) = (c / s.width as usize, s.grid().div_ceil(2));
    let rows = if cell / 2 == 0 { half } else { s.grid() - half };
    let columns = if cell % 2 == 0 { half } else { s.grid() - half };
    (rows * columns).max(1)
}
