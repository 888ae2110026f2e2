//! Folding, calibration and quantisation of a network with random weights and gates, on dead-leaves pictures.

use super::dead_leaves::pictures;
use super::*;
use crate::cli::Output;
use crate::data::Split;
use crate::eval::pooling::pool;
use crate::model::{ModelSpec, Weights, init_weights, pca, randomise_gates};
use ldae_device::{Artifact, BlockStage, Encoder, Tap, TapData, TapId};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::{EncoderSpec, Pooling};

fn spec(pooling: Pooling) -> EncoderSpec {
    EncoderSpec { image: 32, channels: 3, patch: 8, rank: 16, width: 48, depth: 3, heads: 3, mlp_ratio: 2, pooling }
}

fn weights(split: &Split, pooling: Pooling) -> Weights {
    let spec = spec(pooling);
    let grid = PatchGrid::of(&spec).expect("valid");
    let pca = pca::fit(grid, 16, split.len(), |i| split.image(i), 5000, 1).expect("pictures");
    let mut weights = init_weights(&ModelSpec::symmetric(spec), 7, &pca).expect("valid");
    randomise_gates(&mut weights, 8);
    weights
}

/// Standardised float embeddings and integer codes of the same pictures.
fn both(pooling: Pooling) -> (Vec<Vec<f32>>, Vec<Vec<f32>>, Vec<LayerNoise>) {
    let split = pictures(600);
    let out = Output::new(true);
    let float = FloatEncoder::fold(&weights(&split, pooling), 10, pooling).expect("complete weights");
    let plain = float.tokens(split.image(0));
    let float = float.equalised(&split);
    let same = float.tokens(split.image(0)).iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(same, "equalisation changes nothing but rounding");
    let statistics = calibrate(&float, &split, &out).expect("finite");
    let Quantised { desc, noise, .. } = quantise(&float, &statistics, &split, &out).expect("quantisable");
    let bytes = desc.write(|_| [0; 32]).expect("valid");
    let encoder = Encoder::portable(Artifact::parse(&bytes).expect("valid"));
    let (mut floats, mut codes) = (Vec::new(), Vec::new());
    for i in 0..100 {
        let tokens = float.tokens(split.image(i));
        let mut pooled = vec![0.0; float.spec.embedding() as usize];
        pool(&tokens, float.spec.grid() as usize, pooling, &mut pooled);
        let moments = statistics.pooled_mean.iter().zip(&statistics.pooled_deviation);
        floats.push(pooled.iter().zip(moments).map(|(v, (m, d))| (v - m) / d).collect());
        let mut scratch = correct::aligned(encoder.scratch_bytes());
        let mut out = vec![0i8; encoder.spec().embedding() as usize];
        encoder.embed(split.image(i), bytemuck::cast_slice_mut(&mut scratch), &mut out).expect("right sizes");
        codes.push(out.iter().map(|&c| f32::from(c)).collect());
    }
    (floats, codes, noise)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn integer_embeddings_follow_the_float_ones() {
    for pooling in [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2] {
        let (floats, codes, noise) = both(pooling);
        let mut cosines: Vec<f64> = floats.iter().zip(&codes).map(|(f, c)| cosine(f, c)).collect();
        cosines.sort_by(f64::total_cmp);
        for n in &noise {
            println!("{pooling:?} {}: {:.1} dB", n.name, n.sqnr_db);
        }
        println!("{pooling:?}: 5 % quantile {}, median {}", cosines[5], cosines[50]);
        // A guard against regressions, not the quality gate: that one (0.999) is measured by `ldae export` on trained
        // encoders and real pictures. Random weights with unit gates amplify noise more, and 16 tokens average little of
        // it; on these pictures 0.99897, 0.99887 and 0.99934 were measured.
        let least = if pooling == Pooling::Grid2x2 { 0.999 } else { 0.9985 };
        assert!(cosines[5] > least, "{pooling:?}: {}", cosines[5]);
    }
}

/// All codes of two taps of a picture, in the order in which they come.
struct KeysAndValues(u16, [Vec<i8>; 2]);

impl Tap for KeysAndValues {
    fn tap(&mut self, id: TapId, data: TapData<'_>) {
        let stages = [BlockStage::K, BlockStage::V].map(|stage| TapId::Block(self.0, stage));
        if let (Some(at), TapData::I8(codes)) = (stages.iter().position(|s| *s == id), data) {
            self.1[at].extend(codes);
        }
    }
}

#[test]
fn keys_and_values_have_the_float_means_in_every_head() {
    let split = pictures(64);
    let float = FloatEncoder::fold(&weights(&split, Pooling::Mean), 10, Pooling::Mean).expect("complete weights");
    let out = Output::new(true);
    let statistics = calibrate(&float, &split, &out).expect("finite");
    let Quantised { desc, .. } = quantise(&float, &statistics, &split, &out).expect("quantisable");
    let scales = build::Scales::choose(&float, &statistics);
    let bytes = desc.write(|_| [0; 32]).expect("valid");
    let encoder = Encoder::new(&bytes).expect("valid");
    let (s, mut scratch) = (*encoder.spec(), correct::aligned(encoder.scratch_bytes()));
    let (n, dh) = (s.tokens() as usize, s.head_width() as usize);
    for block in 0..s.depth {
        let mut sums = [vec![0i64; s.width as usize], vec![0i64; s.width as usize]];
        for i in 0..split.len() {
            let mut tap = KeysAndValues(block, [Vec::new(), Vec::new()]);
            let mut codes = vec![0i8; s.embedding() as usize];
            encoder
                .embed_tapped(split.image(i), bytemuck::cast_slice_mut(&mut scratch), &mut codes, &mut tap)
                .expect("right sizes");
            for (sums, codes) in sums.iter_mut().zip(&tap.1) {
                // [H, N, W/H]
                codes.iter().enumerate().for_each(|(j, &c)| sums[j / (n * dh) * dh + j % dh] += i64::from(c));
            }
        }
        let b = &scales.blocks[usize::from(block)];
        for ((sums, scale), stage) in sums.iter().zip([b.k, b.v]).zip([BlockStage::K, BlockStage::V]) {
            let wanted = statistics.means(TapId::Block(block, stage)).iter().map(|mean| mean / scale);
            let found = sums.iter().map(|&sum| sum as f64 / (split.len() * n) as f64);
            let worst = wanted.zip(found).map(|(w, f)| (w - f).abs()).fold(0.0, f64::max);
            println!("block {block} {stage:?}: {worst} codes");
            assert!(worst < 0.1, "block {block} {stage:?}: {worst} codes");
        }
    }
}

#[test]
fn the_same_pictures_give_the_same_artifact() {
    let split = pictures(64);
    let float = FloatEncoder::fold(&weights(&split, Pooling::Mean), 10, Pooling::Mean).expect("complete weights");
    let out = Output::new(true);
    let once = || {
        let statistics = calibrate(&float, &split, &out).expect("finite");
        quantise(&float, &statistics, &split, &out).expect("quantisable").desc
    };
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(single.install(once), once());
}

#[test]
fn an_untrained_encoder_with_zero_gates_is_quantisable() {
    let split = pictures(32);
    let spec = spec(Pooling::MeanStd);
    let grid = PatchGrid::of(&spec).expect("valid");
    let pca = pca::fit(grid, 16, split.len(), |i| split.image(i), 1000, 1).expect("pictures");
    let weights = init_weights(&ModelSpec::symmetric(spec), 7, &pca).expect("valid");
    let float = FloatEncoder::fold(&weights, 10, Pooling::MeanStd).expect("complete weights");
    let out = Output::new(true);
    let statistics = calibrate(&float, &split, &out).expect("finite");
    let Quantised { desc, .. } = quantise(&float, &statistics, &split, &out).expect("quantisable");
    assert!(desc.write(|_| [0; 32]).is_ok());
}
