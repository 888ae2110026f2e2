//! Attention of one picture inside the fused block: qkv [N, 3W] (queries, keys, values; heads contiguous inside each) to mixed
//! values [N, W], and the gradient. Scores exist for one head at a time; probabilities are kept for the backward pass.

use super::Shape;
use super::product::{matrix, product, product_strided, strided};
use super::rows::{softmax, softmax_gradient};

/// Probabilities [H, N, N] and mixed values [N, W].
pub(super) fn forward(s: &Shape, qkv: &[f32], probabilities: &mut [f32], mixed: &mut [f32]) {
    let (n, w, head) = (s.tokens, s.width, s.head());
    for (h, p) in probabilities.chunks_exact_mut(n * n).enumerate() {
        let part = |i: usize| strided(&qkv[i * w + h * head..], n, head, 3 * w);
        product(p, part(0), part(1).transpose());
        softmax(p, n, s.score_factor());
        product_strided(&mut mixed[h * head..], w, matrix(p, n, n), part(2));
    }
}

/// Gradient at qkv [N, 3W] from the one at the mixed values; `scores` is scratch [N, N].
pub(super) fn backward(
    s: &Shape,
    qkv: &[f32],
    probabilities: &[f32],
    d_mixed: &[f32],
    scores: &mut [f32],
    d_qkv: &mut [f32],
) {
    let (n, w, head) = (s.tokens, s.width, s.head());
    for (h, p) in probabilities.chunks_exact(n * n).enumerate() {
        let part = |i: usize| strided(&qkv[i * w + h * head..], n, head, 3 * w);
        let d = strided(&d_mixed[h * head..], n, head, w);
        product_strided(&mut d_qkv[2 * w + h * head..], 3 * w, matrix(p, n, n).transpose(), d);
        product(scores, d, part(2).transpose());
        softmax_gradient(p, scores, n, s.score_factor());
        product_strided(&mut d_qkv[h * head..], 3 * w, matrix(scores, n, n), part(1));
        product_strided(&mut d_qkv[w + h * head..], 3 * w, matrix(scores, n, n).transpose(), part(0));
    }
}
