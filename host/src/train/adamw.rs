//! The optimiser's step on the CPU in one pass over memory: what [`super::optimiser::State::update`] composes of some fifteen
//! operations on tensors, for one tensor at a time and the workers beside each other.

use super::optimiser::State;
use super::workers::Workers;
use burn::tensor::{Device, Tensor, TensorData};
use multiversion::multiversion;
use std::sync::Mutex;

/// Factors of one step, the same for all values of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors {
    /// Of the gradient: clipping.
    pub shrink: f32,
    /// Of the old moment and of the new value: in f32, 1 − 0.9999 would be wrong in the fourth digit.
    pub first: [f32; 2],
    pub second: [f32; 2],
    /// Of moment/√(second moment·correction): the learning rate with the first moment's correction.
    pub rate: f32,
    /// Of the second moment: its correction.
    pub correction: f32,
    /// Guards the division.
    pub epsilon: f32,
    /// Of the weights: decay.
    pub keep: f32,
    /// Of the old moving average and of the weights.
    pub average: [f32; 2],
}

/// Values of one parameter: weights, moments, average.
type Values = [Vec<f32>; 4];

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn step(values: &mut Values, gradient: &[f32], f: Factors) {
    let [p, m, v, e] = values;
    let n = gradient.len();
    let (p, m, v, e) = (&mut p[..n], &mut m[..n], &mut v[..n], &mut e[..n]);
    for i in 0..n {
        let g = gradient[i] * f.shrink;
        m[i] = m[i] * f.first[0] + g * f.first[1];
        v[i] = v[i] * f.second[0] + g * g * f.second[1];
        p[i] = p[i] * f.keep - m[i] / ((v[i] * f.correction).sqrt() + f.epsilon) * f.rate;
        e[i] = e[i] * f.average[0] + p[i] * f.average[1];
    }
}

fn take(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("parameters are f32")
}

/// Steps every tensor; `factors` gives those of tensor i.
pub(super) fn update(
    state: &mut State,
    gradients: Vec<Tensor<1>>,
    device: &Device,
    workers: &Workers,
    factors: impl Fn(usize) -> Factors + Sync,
) {
    let parts = [&mut state.parameters, &mut state.first, &mut state.second, &mut state.average].map(std::mem::take);
    let [p, m, v, e] = parts;
    let tensors = p.into_iter().zip(m).zip(v).zip(e).zip(gradients);
    let items: Vec<_> = tensors.map(|((((p, m), v), e), g)| Mutex::new(Some(([p, m, v, e], g)))).collect();
    let one = |i: usize| {
        let (tensors, gradient) = items[i].lock().expect("no worker panicked").take().expect("every tensor once");
        let mut values = tensors.map(take);
        step(&mut values, &take(gradient), factors(i));
        values.map(|values| {
            let shape = [values.len()];
            Tensor::<1>::from_data(TensorData::new(values, shape), device)
        })
    };
    workers.for_each_in_order(items.len(), one, |_, [p, m, v, e]| {
        state.parameters.push(p);
        state.first.push(m);
        state.second.push(v);
        state.average.push(e);
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn squares(values: &[f32]) -> f64 {
    let mut total = 0.0;
    // Lanes of f32 over blocks that are summed in f64: 4096 squares lose no more than a bit or two.
    for block in values.chunks(4096) {
        let mut lanes = [0f32; 16];
        for chunk in block.chunks(16) {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane += v * v;
            }
        }
        total += lanes.iter().map(|&l| f64::from(l)).sum::<f64>();
    }
    total
}

/// Σ g² over all tensors.
pub(super) fn sum_of_squares(gradients: &[Tensor<1>], workers: &Workers) -> f64 {
    let mut total = 0.0;
    let one = |i: usize| squares(&take(gradients[i].clone()));
    workers.for_each_in_order(gradients.len(), one, |_, part| total += part);
    total
}
