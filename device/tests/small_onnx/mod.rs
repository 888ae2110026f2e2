//! A very small encoder as an ONNX file, with one attention head and every operator of the list, and its embedding computed
//! naively in f64: for tests of the loader.

use base64::Engine;
use ldae_shared::spec::{EncoderSpec, Pooling};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// 4 tokens of 4 pixels, 2 latents, width 4.
pub const SPEC: EncoderSpec = EncoderSpec {
    image: 4,
    channels: 1,
    patch: 2,
    rank: 2,
    width: 4,
    depth: 1,
    heads: 1,
    mlp_ratio: 1,
    pooling: Pooling::Mean,
};

/// [P, K].
const PROJECT: [[f32; 2]; 4] = [[0.5, -0.25], [0.25, 0.75], [-0.5, 0.5], [1.0, 0.125]];
/// [K, W] as integers, and one scale for each column.
const EMBED: [[i8; 4]; 2] = [[64, -32, 17, 127], [-128, 5, 90, -41]];
const SCALES: [f32; 4] = [0.01, 0.02, 0.005, 0.0125];
const POSITIONS: [f32; 16] = [0.1, -0.2, 0.3, 0.0, 0.5, -0.5, 0.25, 0.125, -0.75, 0.3, -0.1, 0.2, 0.6, -0.4, 0.0, -0.3];
const MEANS: [f32; 4] = [0.1, -0.2, 0.05, 0.3];
const VARIANCES: [f32; 4] = [0.25, 4.0, 1.0, 2.25];
const EPSILON: f32 = 1e-6;

/// The picture of the test vector.
pub fn picture() -> Vec<u8> {
    (0..16u8).map(|i| i.wrapping_mul(37) ^ 0x5A).collect()
}

/// Its embedding.
pub fn reference(pixels: &[u8]) -> Vec<f32> {
    let mut stream = [[0f64; 4]; 4];
    for (token, row) in stream.iter_mut().enumerate() {
        let (top, left) = (token / 2 * 2, token % 2 * 2);
        let patch: Vec<f64> = (0..4).map(|i| f64::from(pixels[(top + i / 2) * 4 + left + i % 2]) - 127.5).collect();
        for (w, out) in row.iter_mut().enumerate() {
            let latent = |k: usize| (0..4).map(|p| patch[p] / 127.5 * f64::from(PROJECT[p][k])).sum::<f64>();
            let sum: f64 = (0..2).map(|k| latent(k) * f64::from(EMBED[k][w]) * f64::from(SCALES[w])).sum();
            *out = sum + f64::from(POSITIONS[token * 4 + w]);
        }
    }
    let normed = stream.map(|row| {
        let mean = row.iter().sum::<f64>() / 4.0;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4.0;
        row.map(|v| (v - mean) / (variance + f64::from(EPSILON)).sqrt())
    });
    let mut pooled = [0f64; 4];
    for (query, row) in normed.iter().zip(&stream) {
        let scores = normed.map(|key| key.iter().zip(query).map(|(a, b)| a * b).sum::<f64>());
        let most = scores.iter().fold(f64::MIN, |m, s| m.max(*s));
        let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
        for w in 0..4 {
            let mixed: f64 = (0..4).map(|t| (scores[t] - most).exp() / sum * normed[t][w]).sum();
            let root = (2.0 / std::f64::consts::PI).sqrt();
            let gelu = 0.5 * mixed * (1.0 + (root * (mixed + 0.044715 * mixed.powi(3))).tanh());
            pooled[w] += (row[w] + gelu) / 4.0;
        }
    }
    (0..4).map(|w| ((pooled[w] - f64::from(MEANS[w])) / f64::from(VARIANCES[w]).sqrt()) as f32).collect()
}

fn tensor(name: &str, data_type: i32, dims: &[i64], raw_data: Vec<u8>) -> TensorProto {
    TensorProto { name: name.into(), data_type, dims: dims.to_vec(), raw_data, ..TensorProto::default() }
}

pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    tensor(name, 1, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub fn bytes(name: &str, dims: &[i64], values: &[i8]) -> TensorProto {
    tensor(name, 3, dims, values.iter().map(|v| *v as u8).collect())
}

pub fn integers(name: &str, values: &[i64]) -> TensorProto {
    tensor(name, 7, &[values.len() as i64], values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let input = input.iter().map(|i| (*i).into()).collect();
    NodeProto { op_type: op_type.into(), input, output: vec![output.into()], attribute, ..NodeProto::default() }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let ints = ints.to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f, ..AttributeProto::default() }
}

fn text(name: &str, s: &str) -> AttributeProto {
    let s = s.as_bytes().to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s, ..AttributeProto::default() }
}

pub fn value(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|d| Dimension { value: Some(Value::DimValue(*d)), ..Dimension::default() }).collect();
    let tensor = type_proto::Tensor { elem_type, shape: Some(TensorShapeProto { dim }) };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
}

fn graph() -> GraphProto {
    let codes: Vec<i8> = EMBED.concat();
    let initializer = vec![
        floats("middle", &[], &[127.5]),
        integers("[1,2,2,2,2,1]", &[1, 2, 2, 2, 2, 1]),
        integers("[1,4,4]", &[1, 4, 4]),
        floats("project", &[4, 2], &PROJECT.concat().iter().map(|w| w / 127.5).collect::<Vec<f32>>()),
        bytes("codes", &[2, 4], &codes),
        floats("scales", &[4], &SCALES),
        floats("positions", &[1, 4, 4], &POSITIONS),
        floats("ones", &[4], &[1.0; 4]),
        integers("[0]", &[0]),
        integers("[1]", &[1]),
        integers("[2]", &[2]),
        integers("[4]", &[4]),
        floats("means", &[1, 4], &MEANS),
        floats("variances", &[1, 4], &VARIANCES),
    ];
    let node = vec![
        node("Cast", &["pixels"], "float", vec![int("to", 1)]),
        node("Sub", &["float", "middle"], "centred", vec![]),
        node("Reshape", &["centred", "[1,2,2,2,2,1]"], "cut", vec![]),
        node("Transpose", &["cut"], "sorted", vec![ints("perm", &[0, 1, 3, 2, 4, 5])]),
        node("Reshape", &["sorted", "[1,4,4]"], "patches", vec![]),
        node("MatMul", &["patches", "project"], "latents", vec![]),
        node("DequantizeLinear", &["codes", "scales"], "embed", vec![int("axis", 1)]),
        node("MatMul", &["latents", "embed"], "embedded", vec![]),
        node("Add", &["embedded", "positions"], "stream", vec![]),
        node("LayerNormalization", &["stream", "ones"], "normed", vec![int("axis", -1), float("epsilon", EPSILON)]),
        node("Transpose", &["normed"], "keys", vec![ints("perm", &[0, 2, 1])]),
        node("MatMul", &["normed", "keys"], "scores", vec![]),
        node("Softmax", &["scores"], "probabilities", vec![int("axis", -1)]),
        node("MatMul", &["probabilities", "normed"], "mixed", vec![]),
        node("Gelu", &["mixed"], "gelu", vec![text("approximate", "tanh")]),
        node("Add", &["stream", "gelu"], "residual", vec![]),
        node("Slice", &["residual", "[0]", "[2]", "[1]"], "upper", vec![]),
        node("Slice", &["residual", "[2]", "[4]", "[1]"], "lower", vec![]),
        node("Concat", &["lower", "upper"], "turned", vec![int("axis", 1)]),
        node("ReduceMean", &["turned", "[1]"], "pooled", vec![int("keepdims", 0)]),
        node("Sub", &["pooled", "means"], "unbiased", vec![]),
        node("Sqrt", &["variances"], "deviations", vec![]),
        node("Div", &["unbiased", "deviations"], "standard", vec![]),
        node("Mul", &["standard", "ones"], "same", vec![]),
        node("Identity", &["same"], "embedding", vec![]),
    ];
    GraphProto {
        name: "encoder".into(),
        node,
        initializer,
        input: vec![value("pixels", 2, &[1, 4, 4, 1])],
        output: vec![value("embedding", 1, &[1, 4])],
        ..GraphProto::default()
    }
}

/// The file before encoding.
pub fn model() -> ModelProto {
    let pixels = picture();
    let vector: Vec<u8> =
        pixels.iter().copied().chain(reference(&pixels).iter().flat_map(|v| v.to_le_bytes())).collect();
    let properties = [
        ("ldae.format", "1".to_owned()),
        ("ldae.spec", SPEC.to_string()),
        ("ldae.weights", "int8".to_owned()),
        ("ldae.artifact", "0123456789abcdef".repeat(4)),
        ("ldae.time_step", "600".to_owned()),
        ("ldae.preprocess", "none".to_owned()),
        ("ldae.vectors", base64::engine::general_purpose::STANDARD.encode(vector)),
        ("ldae.provenance", "tool=test".to_owned()),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
    ModelProto {
        ir_version: 9,
        producer_name: "ldae".into(),
        graph: Some(graph()),
        opset_import: vec![OperatorSetIdProto { version: 20, ..OperatorSetIdProto::default() }],
        metadata_props: properties.map(entry).into(),
        ..ModelProto::default()
    }
}
