//! The files as another reader sees them, and files that are none.

use super::graph::{Builder, FOLDED};
use super::network::{Linear, Network};
use super::read::Fields;
use super::schema::{DataType, ValueInfo};
use super::testing::{Case, T, origin};
use super::write::Message;
use super::*;
use crate::data::{self, LoadOptions, Split};
use crate::inspect::inspect_onnx;
use crate::quantise::Int8Dense;
use ldae_shared::spec::{EncoderSpec, Pooling, preset};

/// All operators that a file may use: what TRACT.md found fast and right in both runtimes.
const OPERATORS: [&str; 17] = [
    "Add",
    "Cast",
    "Concat",
    "DequantizeLinear",
    "Div",
    "Gelu",
    "Identity",
    "LayerNormalization",
    "MatMul",
    "Mul",
    "ReduceMean",
    "Reshape",
    "Slice",
    "Softmax",
    "Sqrt",
    "Sub",
    "Transpose",
];

fn drawn(spec: &EncoderSpec) -> Split {
    let options = LoadOptions { channels: Some(spec.channels.into()), ..LoadOptions::default() };
    let source = format!("drawn:train=16,test=4,side={},seed=1", spec.image);
    data::load(&source, &options).expect("drawn").train
}

fn small(pooling: Pooling) -> EncoderSpec {
    EncoderSpec::from_numbers((15, 1, 5), (6, 14, 2), (2, 3), pooling)
}

/// Both files of a case.
fn files(case: &Case, pictures: &Split) -> [Vec<u8>; 2] {
    let origin = origin(pictures);
    [
        float32(&case.plain, &case.head, &origin).expect("small"),
        int8(&case.weight_only, &case.head, &origin).expect("small"),
    ]
}

/// Raw bytes of a constant.
fn constant<'a>(file: &'a [u8], name: &str) -> &'a [u8] {
    let inside = |message: &'a [u8], number: u32| {
        let of = move |f: Result<(u32, super::read::Value<'a>), Malformed>| f.ok().filter(|(n, _)| *n == number);
        Fields::of(message).filter_map(of).map(move |(n, v)| v.bytes(n).expect("bytes"))
    };
    let graph = inside(file, 7).next().expect("a graph");
    let named = |tensor: &&'a [u8]| inside(tensor, 8).next() == Some(name.as_bytes());
    let tensor = inside(graph, 5).find(named).unwrap_or_else(|| panic!("no constant {name}"));
    inside(tensor, 9).next().expect("raw values")
}

#[test]
fn files_say_what_they_are() {
    for pooling in [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2] {
        let spec = small(pooling);
        let pictures = drawn(&spec);
        let case = Case::new(spec, &pictures);
        for (file, weights) in files(&case, &pictures).iter().zip(["float32", "int8"]) {
            let s = Summary::of(file).expect("an ONNX file");
            assert_eq!((s.ir_version, s.producer.0, &s.opsets[..]), (9, "ldae", &[("", 20)][..]));
            assert_eq!(s.inputs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["pixels uint8 [1, 15, 15, 1]"]);
            let output = format!("embedding float32 [1, {}]", spec.embedding());
            assert_eq!(s.outputs.iter().map(ToString::to_string).collect::<Vec<_>>(), [output]);
            assert!(s.operators.keys().all(|o| OPERATORS.contains(o)), "{:?}", s.operators);
            // project, embed, and q, k, v, proj, fc1, fc2 of two blocks.
            let dequantised = if weights == "int8" { Some(&14) } else { None };
            assert_eq!(s.operators.get("DequantizeLinear"), dequantised);
            let keys: Vec<&str> = s.properties.iter().map(|(k, _)| *k).collect();
            let names = ["format", "spec", "weights", "artifact", "time_step", "preprocess", "vectors", "provenance"];
            assert_eq!(keys, names.map(|n| format!("ldae.{n}")));
            assert_eq!((s.property("ldae.format"), s.property("ldae.weights")), (Some("1"), Some(weights)));
            assert_eq!(s.property("ldae.spec").map(str::parse), Some(Ok(spec)));
            assert_eq!(s.property("ldae.time_step"), Some(T.to_string().as_str()));
            assert_eq!(vectors_in(&spec, s.property("ldae.vectors").unwrap()).unwrap(), 2);
            assert!(vectors_in(&EncoderSpec { image: 20, ..spec }, s.property("ldae.vectors").unwrap()).is_err());
        }
    }
}

#[test]
fn inspect_shows_what_a_file_holds() {
    let spec = small(Pooling::Grid2x2);
    let pictures = drawn(&spec);
    let [float, int8] = files(&Case::new(spec, &pictures), &pictures);
    let i = inspect_onnx("a.onnx", &int8).expect("an ONNX file");
    let encoder = i.encoder.as_ref().expect("one of ours");
    assert_eq!((encoder.macs, encoder.test_vectors, &*encoder.weights), (spec.macs(), 2, "int8"));
    assert_eq!((i.bytes, i.external, i.operators["DequantizeLinear"]), (int8.len() as u64, 0, 14));
    assert!(i.constants["int8"] < spec.parameters() && i.properties["ldae.vectors"].ends_with("characters"));
    let text = i.to_string();
    assert!(text.contains("DequantizeLinear") && text.contains("embedding float32 [1, 56]"), "{text}");
    // Files of other programs are described too, and damaged ones named.
    let foreign = Message::default().int(1, 8).message(7, Message::default()).encode();
    assert!(inspect_onnx("b.onnx", &foreign).expect("a model").encoder.is_none());
    let error = inspect_onnx("c.onnx", &float[..float.len() / 2]).expect_err("half a file");
    assert!(error.to_string().starts_with("c.onnx is no ONNX model") && error.advice().is_some(), "{error}");
}

#[test]
fn the_same_encoder_is_the_same_bytes() {
    let spec = small(Pooling::MeanStd);
    let pictures = drawn(&spec);
    let once = || files(&Case::new(spec, &pictures), &pictures);
    assert!(once() == once());
}

#[test]
fn the_integers_are_those_of_the_artifact() {
    let spec = small(Pooling::Mean);
    let pictures = drawn(&spec);
    let case = Case::new(spec, &pictures);
    let [_, file] = files(&case, &pictures);
    let (w, desc) = (usize::from(spec.width), &case.quantised.desc);
    // [outputs, inputs] in the artifact, [inputs, outputs] in ONNX.
    let transposed = |weights: &[i8], inputs: usize| -> Vec<u8> {
        (0..inputs).flat_map(|i| weights.iter().skip(i).step_by(inputs).map(|&c| c as u8)).collect()
    };
    assert_eq!(constant(&file, "project.codes"), transposed(&desc.project.weights, spec.patch_values() as usize));
    assert_eq!(constant(&file, "embed.codes"), transposed(&desc.embed.weights, spec.rank.into()));
    for (i, block) in desc.blocks.iter().enumerate() {
        let codes = |part: &str| constant(&file, &format!("blocks.{i}.{part}.codes"));
        for (part, rows) in ["q", "k", "v"].iter().zip(block.qkv.weights.chunks_exact(w * w)) {
            assert_eq!(codes(part), transposed(rows, w));
        }
        assert_eq!(codes("proj"), transposed(&block.proj.weights, w));
        assert_eq!(codes("fc1"), transposed(&block.fc1.weights, w));
        assert_eq!(codes("fc2"), transposed(&block.fc2.weights, spec.hidden() as usize));
    }
}

#[test]
fn large_integer_layers_are_split_by_columns() {
    let (inputs, outputs) = (1024, 2500);
    let layer =
        Int8Dense { inputs, codes: vec![1; inputs * outputs], scales: vec![0.5; outputs], bias: vec![0.0; outputs] };
    let mut builder = Builder::default();
    builder.linear("wide", "x", &Linear::from(&layer));
    let port = |name, data_type| ValueInfo { name, data_type, dims: vec![1] };
    let graph = builder.finish(port("x", DataType::Float), port("wide", DataType::Float));
    let codes: Vec<&[i64]> =
        graph.initializers.iter().filter(|t| t.data_type == DataType::Int8).map(|t| &t.dims[..]).collect();
    assert_eq!(codes, [[1024, 834], [1024, 834], [1024, 832]]);
    assert!(codes.iter().all(|d| 4 * d[0] * d[1] < FOLDED as i64));
    let operators: Vec<&str> = graph.nodes.iter().map(|n| n.operator).collect();
    let product = ["DequantizeLinear", "MatMul"];
    assert_eq!(operators, [&product[..], &product, &product, &["Concat", "Add"]].concat());
}

#[test]
fn the_graph_computes_pixels_in_their_own_unit() {
    // The projection's weights are divided by 127.5 because the graph's pixels are not.
    let spec = small(Pooling::Mean);
    let pictures = drawn(&spec);
    let case = Case::new(spec, &pictures);
    let network = Network::from(&case.plain);
    let graph = encoder::graph(&network, &case.head);
    let weight = graph.initializers.iter().find(|t| t.name == "project.weight").expect("a projection");
    let first = f32::from_le_bytes(weight.raw[..4].try_into().unwrap());
    assert_eq!(first, case.plain.project.weights[0] * (1.0 / 127.5));
}

#[test]
fn damaged_files_are_refused_or_read_without_harm() {
    let spec = small(Pooling::Grid2x2);
    let pictures = drawn(&spec);
    let [_, file] = files(&Case::new(spec, &pictures), &pictures);
    // The graph is one field; the properties come behind it.
    let end = file.windows(11).position(|w| w == b"ldae.format").expect("properties") - 20;
    for length in (0..end).step_by(13) {
        assert!(Summary::of(&file[..length]).is_err(), "the first {length} bytes");
    }
    for at in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[at] ^= 0xff;
        let _ = Summary::of(&damaged); // no panic
    }
}

#[test]
fn constants_with_absurd_shapes_are_refused() {
    let with = |dims: &[i64], raw: usize| {
        let tensor = Message::default().ints(1, dims).int(2, 1).text(8, "huge").bytes(9, vec![0; raw]);
        Message::default().int(1, 9).message(7, Message::default().message(5, tensor)).encode()
    };
    assert!(Summary::of(&with(&[2, 3], 24)).is_ok());
    for dims in [&[2, 3][..], &[1 << 40, 1 << 40], &[-1, -6], &[i64::MAX]] {
        let raw = if dims == [2, 3] { 20 } else { 24 };
        assert_eq!(Summary::of(&with(dims, raw)), Err(NotOnnx::Constant("huge".to_owned())), "{dims:?}");
    }
    assert_eq!(Summary::of(b""), Err(NotOnnx::NoModel));
    assert!(matches!(Summary::of(b"not a model"), Err(NotOnnx::Malformed(_))));
}

#[test]
fn files_above_two_gigabytes_are_refused_before_any_work() {
    let large = preset("vit-large").expect("a preset").spec;
    assert!(check_size(&large, Form::Float32).is_ok());
    let larger = EncoderSpec { width: 2048, depth: 48, heads: 32, ..large };
    larger.check().expect("a shape that the artifact has");
    let error = check_size(&larger, Form::Float32).expect_err("9.7 GB");
    assert!(error.advice().is_some_and(|hint| hint.contains("--onnx-int8")), "{error}");
    assert!(check_size(&larger, Form::Int8).is_err());
    assert!(check_size(&EncoderSpec { depth: 24, ..larger }, Form::Int8).is_ok());
}
