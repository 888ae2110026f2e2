//! The fused block against the composition of Burn operations that defines it.

use crate::model::Precision;
use crate::model::block::{Block, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream};

/// Values and gradients of both: shapes with odd widths, one token, one head, and more rows than a group of the MLP.
const SHAPES: [[usize; 5]; 6] =
    [[1, 1, 2, 2, 1], [2, 5, 6, 3, 2], [3, 9, 15, 2, 3], [2, 16, 32, 4, 4], [5, 64, 48, 4, 3], [1, 300, 24, 1, 2]];

fn random(seed: u32, values: usize, spread: f32) -> Vec<f32> {
    let mut out = vec![0f32; values];
    Stream::new(7, Purpose::Latent, 0, seed).fill_gaussian(&mut out);
    out.iter_mut().for_each(|v| *v *= spread);
    out
}

/// Output and the gradients of all inputs, through `forward`.
fn run(shape: [usize; 5], fused: bool) -> Vec<Vec<f32>> {
    let [b, n, w, ratio, heads] = shape;
    let device = Device::flex().autodiff();
    let mut leaves: Vec<Tensor<1>> = Vec::new();
    let mut leaf = |values: usize, spread: f32| {
        let seed = leaves.len() as u32;
        let data = TensorData::new(random(seed, values, spread), [values]);
        leaves.push(Tensor::<1>::from_data(data, &device).require_grad());
        leaves[leaves.len() - 1].clone()
    };
    let x = leaf(b * n * w, 1.0).reshape([b, n, w]);
    let modulation = leaf(b * 6 * w, 0.5).reshape([b, 6 * w]);
    let mut linear = |input: usize, output: usize| Linear {
        weight: leaf(input * output, 1.0 / (input as f32).sqrt()).reshape([input, output]),
        bias: leaf(output, 0.3),
        precision: Precision::F32,
    };
    let (qkv, proj, fc1, fc2) = (linear(w, 3 * w), linear(w, w), linear(w, ratio * w), linear(ratio * w, w));
    let (weight, bias) = (Tensor::zeros([1, 1], &device), Tensor::zeros([1], &device));
    let unused = Linear { weight, bias, precision: Precision::F32 };
    let block = Block { modulation: unused, qkv, proj, fc1, fc2, heads };
    let y = if fused { super::dit_block(x, modulation, &block) } else { block.composed(x, modulation) };
    let towards = Tensor::<1>::from_data(TensorData::new(random(99, b * n * w, 1.0), [b * n * w]), &device);
    let mut gradients = (y.clone().reshape([b * n * w]) * towards).sum().backward();
    let values = |t: Tensor<1>| t.into_data().try_to_vec::<f32>().unwrap();
    let mut all = vec![y.inner().reshape([b * n * w]).into_data().try_to_vec().unwrap()];
    all.extend(leaves.into_iter().map(|l| values(l.grad_remove(&mut gradients).unwrap())));
    all
}

#[test]
fn the_fused_block_and_its_gradients_are_the_composed_ones() {
    const NAMES: [&str; 11] = [
        "output",
        "x",
        "modulation",
        "qkv.weight",
        "qkv.bias",
        "proj.weight",
        "proj.bias",
        "fc1.weight",
        "fc1.bias",
        "fc2.weight",
        "fc2.bias",
    ];
    for shape in SHAPES {
        let (ours, theirs) = (run(shape, true), run(shape, false));
        for ((ours, theirs), name) in ours.iter().zip(&theirs).zip(NAMES) {
            // Relative to the largest value: sums of up to 1500 f32 products in another order.
            let largest = theirs.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
            let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(worst <= 2e-5 * largest, "{name} of {shape:?}: {worst} of {largest}");
            assert!(ours.iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn the_same_call_gives_the_same_bits() {
    assert_eq!(run(SHAPES[4], true), run(SHAPES[4], true));
}
