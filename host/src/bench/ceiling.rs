//! What matrix products alone reach on this machine: the ceiling that training speed is a share of.

use crate::model::{ModelSpec, Precision};
use burn::tensor::{Device, FloatDType, Tensor};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::time::{Duration, Instant};

/// Time of the measurement on cores.
const DURATION: Duration = Duration::from_millis(500);
/// Rows of the product on cores: those of one part of a batch.
const ROWS: usize = 1024;
/// Side of the product on a GPU: large enough that nothing but the product counts.
const SIDE: usize = 8192;
/// Products that are timed on a GPU, after as many that let the autotuner choose.
const PRODUCTS: usize = 10;

/// FLOP/s of products of the first MLP layer's shape, on `threads` threads at once, f32.
pub fn cores(spec: &ModelSpec, threads: usize) -> f64 {
    let (w, hidden) = (usize::from(spec.encoder.width), spec.encoder.hidden() as usize);
    let one = || {
        let (x, weights) = (vec![0.5f32; ROWS * w], vec![0.25f32; w * hidden]);
        let mut y = vec![0f32; ROWS * hidden];
        let (start, mut products) = (Instant::now(), 0u32);
        while start.elapsed() < DURATION {
            let out = MatMut::from_row_major_slice_mut(&mut y, ROWS, hidden);
            let x = MatRef::from_row_major_slice(&x, ROWS, w);
            let weights = MatRef::from_row_major_slice(&weights, w, hidden);
            matmul(out, Accum::Replace, x, weights, 1.0, Par::Seq);
            products += 1;
        }
        2.0 * (ROWS * w * hidden) as f64 * f64::from(products) / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|t| t.join().expect("a product does not panic")).sum()
    })
}

/// FLOP/s of a large square product on a GPU, its factors in `precision`.
pub fn gpu(device: &Device, precision: Precision) -> f64 {
    let dtype = match precision {
        Precision::F32 => FloatDType::F32,
        Precision::Bf16 => FloatDType::BF16,
    };
    let factor = Tensor::<2>::ones([SIDE, SIDE], device).cast(dtype);
    let products = || {
        let start = Instant::now();
        for i in 0..PRODUCTS {
            let product = factor.clone().matmul(factor.clone());
            if i + 1 == PRODUCTS {
                // The device has finished when a value has come back.
                let _ = product.narrow(0, 0, 1).narrow(1, 0, 1).into_data();
            }
        }
        start.elapsed().as_secs_f64()
    };
    products();
    2.0 * (SIDE as f64).powi(3) * PRODUCTS as f64 / products()
}
