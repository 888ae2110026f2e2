//! Matrix products of the fused block, on one thread (parts of a batch are what the cores share). faer's kernels reached
//! 230 GFLOP/s a core on a Zen 5 server where Burn's flex backend, without AVX-512, came to half of that.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// A matrix that is read.
pub(super) type Matrix<'a> = MatRef<'a, f32>;

/// `rows`×`columns` of a slice in row order.
pub(super) fn matrix(values: &[f32], rows: usize, columns: usize) -> Matrix<'_> {
    MatRef::from_row_major_slice(values, rows, columns)
}

/// `rows`×`columns` of a slice whose rows lie `stride` apart.
pub(super) fn strided(values: &[f32], rows: usize, columns: usize, stride: usize) -> Matrix<'_> {
    MatRef::from_row_major_slice_with_stride(&values[..(rows - 1) * stride + columns], rows, columns, stride)
}

/// out = a·b, rows of `out` `stride` apart.
pub(super) fn product_strided(out: &mut [f32], stride: usize, a: Matrix<'_>, b: Matrix<'_>) {
    let (rows, columns) = (a.nrows(), b.ncols());
    let out = &mut out[..(rows - 1) * stride + columns];
    // Not `from_row_major_slice_with_stride_mut`: faer 0.24.4 gives it the strides of a column-major matrix.
    let out = MatMut::from_column_major_slice_with_stride_mut(out, columns, rows, stride).transpose_mut();
    matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
}

/// out = a·b.
pub(super) fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    matmul(MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols()), Accum::Replace, a, b, 1.0, Par::Seq);
}

/// out += a·b.
pub(super) fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    matmul(MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols()), Accum::Add, a, b, 1.0, Par::Seq);
}
