//! The encoder as a graph: bytes in, standardised embedding out, nothing left to the caller.
//!
//! ```text
//! pixels u8 [1, image, image, C] − 127.5 → patches [1, N, P] → latents [1, N, K] → stream [1, N, W] + positions
//!   L times: LayerNorm → q, k, v → softmax(q·k)·v → proj → + stream;  LayerNorm → fc1 → GELU → fc2 → + stream
//! last LayerNorm → pooling → (x − mean)·factor → embedding f32 [1, E]
//! ```
//!
//! The form is the one that both onnxruntime and tract run fast: tokens of rank 3, patches by Reshape and Transpose,
//! separate products for queries, keys and values, the scale of the scores inside the queries' weights, weights stored
//! [in, out], batch fixed at 1. The operators are those of opset 20; Gelu is the tanh form that the model is trained with.

use super::graph::Builder;
use super::network::{Block, Network};
use super::schema::{Attribute, DataType, Graph, ValueInfo};
use crate::eval::standardise::Standardiser;
use crate::model::NORM_EPSILON;
use ldae_shared::spec::{EncoderSpec, Pooling};

/// Name of the input.
const PIXELS: &str = "pixels";
/// Name of the output.
const EMBEDDING: &str = "embedding";
/// LayerNorm's scale, all ones: the modulation is inside the layers.
const ONES: &str = "ones";

/// The graph of `network`, standardised by `head`.
pub(super) fn graph(network: &Network<'_>, head: &Standardiser) -> Graph {
    let s = &network.spec;
    let mut b = Builder::default();
    b.floats(ONES, &[s.width.into()], vec![1.0; s.width.into()]);
    let patches = patches(&mut b, s);
    // Pixels keep their unit of a grey level; the weights turn it into [−1, 1].
    let latents = b.linear("project", &patches, &network.project.clone().for_inputs_divided_by(127.5));
    let embedded = b.linear("embed", &latents, &network.embed);
    let dims = [1, s.tokens() as usize, s.width.into()];
    let positions = b.floats("positions", &dims, network.positions.iter().copied());
    let mut stream = b.node("Add", "stream", &[&embedded, &positions], &[]);
    for (i, layers) in network.blocks.iter().enumerate() {
        stream = block(&mut b, s, &format!("blocks.{i}"), &stream, layers);
    }
    let tokens = norm(&mut b, "norm", &stream);
    let pooled = pooled(&mut b, s, &tokens);
    standardised(&mut b, &pooled, head);
    let side = i64::from(s.image);
    b.finish(
        ValueInfo { name: PIXELS, data_type: DataType::Uint8, dims: vec![1, side, side, s.channels.into()] },
        ValueInfo { name: EMBEDDING, data_type: DataType::Float, dims: vec![1, s.embedding().into()] },
    )
}

/// Centred pixels, patch by patch, [1, N, P].
fn patches(b: &mut Builder, s: &EncoderSpec) -> String {
    let (g, p, c) = (s.grid() as usize, usize::from(s.patch), usize::from(s.channels));
    let floats = b.node("Cast", "pixels.float", &[PIXELS], &[("to", Attribute::Int(DataType::Float as i64))]);
    let middle = b.floats("pixels.middle", &[], [127.5]);
    let centred = b.node("Sub", "pixels.centred", &[&floats, &middle], &[]);
    let cut = b.reshape("patches.cut", &centred, &[1, g, p, g, p, c]);
    let sorted = b.transpose("patches.sorted", &cut, &[0, 1, 3, 2, 4, 5]);
    b.reshape("patches", &sorted, &[1, g * g, p * p * c])
}

/// LayerNorm without affine over the last axis.
fn norm(b: &mut Builder, name: &str, x: &str) -> String {
    let epsilon = Attribute::Float(NORM_EPSILON as f32);
    b.node("LayerNormalization", name, &[x, ONES], &[("axis", Attribute::Int(-1)), ("epsilon", epsilon)])
}

/// Attention and MLP, each added to the stream.
fn block(b: &mut Builder, s: &EncoderSpec, name: &str, stream: &str, layers: &Block<'_>) -> String {
    let at = |part: &str| format!("{name}.{part}");
    let normed = norm(b, &at("norm1"), stream);
    let mixed = attention(b, s, name, &normed, layers);
    let proj = b.linear(&at("proj"), &mixed, &layers.proj);
    let stream = b.node("Add", &at("residual1"), &[stream, &proj], &[]);
    let normed = norm(b, &at("norm2"), &stream);
    let hidden = b.linear(&at("fc1"), &normed, &layers.fc1);
    let hidden = b.node("Gelu", &at("gelu"), &[&hidden], &[("approximate", Attribute::Text("tanh"))]);
    let fc2 = b.linear(&at("fc2"), &hidden, &layers.fc2);
    b.node("Add", &at("residual2"), &[&stream, &fc2], &[])
}

/// Attention outputs [1, N, W], heads side by side.
fn attention(b: &mut Builder, s: &EncoderSpec, name: &str, x: &str, layers: &Block<'_>) -> String {
    let at = |part: &str| format!("{name}.{part}");
    let (n, w, heads, width) =
        (s.tokens() as usize, usize::from(s.width), usize::from(s.heads), usize::from(s.head_width()));
    let q = layers.qkv.columns(0..w).scaled(1.0 / (width as f32).sqrt());
    let (k, v) = (layers.qkv.columns(w..2 * w), layers.qkv.columns(2 * w..3 * w));
    let mut of_heads = |part: &str, layer, axes: &[i64]| {
        let y = b.linear(&at(part), x, &layer);
        let split = b.reshape(&at(&format!("{part}.heads")), &y, &[1, n, heads, width]);
        b.transpose(&at(&format!("{part}.sorted")), &split, axes)
    };
    let q = of_heads("q", q, &[0, 2, 1, 3]); // [1, H, N, W/H]
    let k = of_heads("k", k, &[0, 2, 3, 1]); // [1, H, W/H, N]
    let v = of_heads("v", v, &[0, 2, 1, 3]);
    let scores = b.node("MatMul", &at("scores"), &[&q, &k], &[]);
    let probabilities = b.node("Softmax", &at("probabilities"), &[&scores], &[("axis", Attribute::Int(-1))]);
    let mixed = b.node("MatMul", &at("attention.heads"), &[&probabilities, &v], &[]);
    let mixed = b.transpose(&at("attention.sorted"), &mixed, &[0, 2, 1, 3]);
    b.reshape(&at("attention"), &mixed, &[1, n, w])
}

/// Tokens [1, N, W] to one vector [1, E].
fn pooled(b: &mut Builder, s: &EncoderSpec, tokens: &str) -> String {
    match s.pooling {
        Pooling::Mean => b.mean("pooled", tokens, &[1], false),
        Pooling::MeanStd => {
            let centre = b.mean("pooled.centre", tokens, &[1], true);
            let centred = b.node("Sub", "pooled.centred", &[tokens, &centre], &[]);
            let squares = b.node("Mul", "pooled.squares", &[&centred, &centred], &[]);
            let variance = b.mean("pooled.variance", &squares, &[1], false);
            let deviation = b.node("Sqrt", "pooled.deviation", &[&variance], &[]);
            let mean = b.mean("pooled.mean", tokens, &[1], false);
            b.concat("pooled", &[&mean, &deviation], 1)
        }
        Pooling::Grid2x2 => {
            let (side, half) = (s.grid() as usize, s.grid().div_ceil(2) as usize);
            let grid = b.reshape("pooled.grid", tokens, &[1, side, side, s.width.into()]);
            let quarters = [(0..half, 0..half), (0..half, half..side), (half..side, 0..half), (half..side, half..side)];
            let means: Vec<String> = quarters
                .into_iter()
                .enumerate()
                .map(|(i, (rows, columns))| {
                    let quarter = b.slice(&format!("pooled.quarter{i}"), &grid, &[1, 2], &[rows, columns]);
                    b.mean(&format!("pooled.mean{i}"), &quarter, &[1, 2], false)
                })
                .collect();
            let means: Vec<&str> = means.iter().map(String::as_str).collect();
            b.concat("pooled", &means, 1)
        }
    }
}

/// Components in standard deviations: the output.
fn standardised(b: &mut Builder, pooled: &str, head: &Standardiser) {
    let dims = [1, head.means().len()];
    let means = b.floats("head.means", &dims, head.means().iter().copied());
    let factors = b.floats("head.factors", &dims, head.factors().iter().copied());
    let centred = b.node("Sub", "head.centred", &[pooled, &means], &[]);
    b.node("Mul", EMBEDDING, &[&centred, &factors], &[]);
}
