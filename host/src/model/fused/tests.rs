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

#[test]
fn scaled_branches() {
    let device = Device::flex();
    let (b, n, w) = (3, 4, 8);
    let tensor = |seed: u32, values: usize| {
        Tensor::<1>::from_data(TensorData::new(random(seed, values, 0.5), [values]), &device)
    };
    let linear = |seed: u32, input: usize, output: usize| Linear {
        weight: tensor(seed, input * output).reshape([input, output]),
        bias: tensor(seed + 1, output),
        precision: Precision::F32,
    };
    let block = Block {
        modulation: linear(1, 5, 6 * w),
        qkv: linear(3, w, 3 * w),
        proj: linear(5, w, w),
        fc1: linear(7, w, 2 * w),
        fc2: linear(9, 2 * w, w),
        heads: 2,
    };
    let (x, condition) = (tensor(11, b * n * w).reshape([b, n, w]), tensor(12, b * 5).reshape([b, 5]));
    // Picture 0 passes by, picture 1 is as ever, picture 2 has half of its attention and no MLP.
    let factors = Tensor::<2>::from_data(TensorData::new(vec![0f32, 0.0, 1.0, 1.0, 0.5, 0.0], [b, 2]), &device);
    let values = |t: Tensor<3>| t.into_data().try_to_vec::<f32>().unwrap();
    let made = values(block.forward_scaled(x.clone(), condition.clone(), factors));
    let plain = values(block.forward(x.clone(), condition.clone()));
    let x_values = values(x.clone());
    let size = n * w;
    assert_eq!(made[..size], x_values[..size]);
    assert_eq!(made[size..2 * size], plain[size..2 * size]);
    // Attention alone is the block whose MLP gives nothing.
    let silent = Block {
        fc2: Linear { weight: block.fc2.weight.zeros_like(), bias: block.fc2.bias.zeros_like(), ..block.fc2.clone() },
        ..block
    };
    let attention = values(silent.forward(x, condition));
    for i in 2 * size..3 * size {
        let expected = x_values[i] + 0.5 * (attention[i] - x_values[i]);
        assert!((made[i] - expected).abs() < 1e-6, "{} {expected}", made[i]);
    }
}
