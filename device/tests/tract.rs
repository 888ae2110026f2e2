//! The ONNX loader: what it runs, and what it refuses, of files built here. No bytes may make it panic.

mod small_onnx;

use ldae_device::tract::{RunError, TractEncoder, TractError, Weights};
use prost::Message;
use small_onnx::{SPEC, floats, integers, model, node, picture, reference, value};
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimParam;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, StringStringEntryProto, TrainingInfoProto, type_proto,
};

/// The result of loading the small file after a change.
fn changed(change: impl FnOnce(&mut ModelProto)) -> Result<TractEncoder, TractError> {
    let mut model = model();
    change(&mut model);
    TractEncoder::new(&model.encode_to_vec())
}

fn in_graph(change: impl FnOnce(&mut GraphProto)) -> Result<TractEncoder, TractError> {
    changed(|m| change(m.graph.as_mut().unwrap()))
}

/// The node that gives `output`.
fn at<'g>(graph: &'g mut GraphProto, output: &str) -> &'g mut tract_onnx::pb::NodeProto {
    graph.node.iter_mut().find(|n| n.output[0] == output).unwrap()
}

/// The stored tensor `name`.
fn stored<'g>(graph: &'g mut GraphProto, name: &str) -> &'g mut tract_onnx::pb::TensorProto {
    graph.initializer.iter_mut().find(|t| t.name == name).unwrap()
}

fn property(model: &mut ModelProto, key: &str, value: &str) {
    model.metadata_props.iter_mut().find(|p| p.key == key).unwrap().value = value.into();
}

#[test]
fn runs_the_small_file_and_agrees_with_a_naive_reference() {
    let encoder = changed(|_| {}).unwrap();
    assert_eq!((*encoder.spec(), encoder.weights()), (SPEC, Weights::Int8));
    assert_eq!(encoder.artifact_identity()[..2], [0x01, 0x23]);
    assert_eq!(encoder.agreement().vectors, 1);
    assert!(encoder.agreement().worst < 1e-5, "{:?}", encoder.agreement());
    for fill in [0, 85, 255] {
        let pixels: Vec<u8> = picture().iter().map(|p| p ^ fill).collect();
        let mut out = [0f32; 5];
        out[4] = 7.0;
        encoder.embed(&pixels, &mut out).unwrap();
        for (got, want) in out.iter().zip(reference(&pixels)) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        assert_eq!(out[4], 7.0, "writes beyond the embedding");
    }
}

#[test]
fn buffers_of_the_wrong_size_are_errors() {
    let encoder = changed(|_| {}).unwrap();
    let mut out = [0f32; 4];
    assert_eq!(encoder.embed(&[0; 15], &mut out), Err(RunError::Pixels { expected: 16, found: 15 }));
    assert_eq!(encoder.embed(&[0; 16], &mut out[..3]), Err(RunError::Output { needed: 4, found: 3 }));
    assert_eq!(out, [0.0; 4]);
}

#[test]
fn every_truncation_is_refused() {
    let file = model().encode_to_vec();
    for length in 0..file.len() {
        assert!(TractEncoder::new(&file[..length]).is_err(), "{length} of {} bytes", file.len());
    }
}

/// Every byte changed to telling values: an error, or an encoder that runs. Panics would end the test.
#[test]
fn every_single_byte_change() {
    let original = model().encode_to_vec();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (ran, refused) = std::thread::scope(|scope| {
        let work = |worker: usize| {
            let mut bytes = original.clone();
            let (mut ran, mut refused) = (0u32, 0u32);
            for at in (worker..bytes.len()).step_by(workers) {
                let old = bytes[at];
                for value in [0, 0xFF, 0x80, 0x7F, old ^ 1, old ^ 2, old ^ 8, old ^ 0x80, old.wrapping_add(1)] {
                    bytes[at] = value;
                    match TractEncoder::new(&bytes) {
                        Ok(encoder) => {
                            encoder.embed(&[0x5A; 16], &mut [0f32; 4]).unwrap();
                            ran += 1;
                        }
                        Err(_) => refused += 1,
                    }
                }
                bytes[at] = old;
            }
            (ran, refused)
        };
        let threads: Vec<_> = (0..workers).map(|w| scope.spawn(move || work(w))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    });
    println!("{} bytes: {ran} mutants ran, {refused} were refused", original.len());
    assert!(ran > 0 && refused > ran);
}

/// Pieces of the file removed, doubled, moved and overwritten, several at a time: what no single byte does.
#[test]
fn random_splices() {
    let original = model().encode_to_vec();
    // xorshift64*, so that the same files are tried everywhere.
    let mut state = 0x1DAE_u64;
    let mut below = |end: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = original.clone();
        for _ in 0..1 + below(4) {
            let start = below(bytes.len());
            let end = bytes.len().min(start + 1 + below(40));
            match below(4) {
                0 => drop(bytes.drain(start..end)),
                1 => {
                    let piece = bytes[start..end].to_vec();
                    let to = below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                2 => bytes[start] = below(256) as u8,
                _ => bytes[start..end].iter_mut().for_each(|b| *b ^= 1 << below(8)),
            }
        }
        refused += u32::from(TractEncoder::new(&bytes).is_err());
    }
    assert!(refused > 15_000, "{refused}");
}

#[test]
fn other_files_are_refused_in_words() {
    for bytes in [&b""[..], b"LDAE\x01\x00\x00\x00", b"\x89PNG\r\n\x1a\n", b"import torch"] {
        let error = TractEncoder::new(bytes).unwrap_err();
        assert_eq!(error.to_string(), "not an ONNX file, or damaged at byte 0");
    }
}

#[test]
fn quantised_activations_are_refused_by_name() {
    let quantise = |operator: &str| {
        in_graph(|g| g.node.insert(8, node(operator, &["embedded", "scales"], "codes of activations", vec![])))
    };
    for operator in ["QuantizeLinear", "DynamicQuantizeLinear"] {
        assert_eq!(quantise(operator).unwrap_err(), TractError::QuantisePair);
    }
    // Whatever makes the codes: dequantised is only what the file stores.
    let computed = in_graph(|g| {
        g.node.insert(6, node("Identity", &["codes"], "copied", vec![]));
        at(g, "embed").input[0] = "copied".into();
    });
    assert_eq!(computed.unwrap_err(), TractError::QuantisePair);
}

#[test]
fn claims_of_gigabytes_are_refused_before_any_allocation() {
    let huge = 1i64 << 31;
    let dims = |dims: Vec<i64>| in_graph(|g| stored(g, "positions").dims = dims).unwrap_err().to_string();
    assert!(dims(vec![1, huge, 4]).contains("larger than the spec implies"));
    assert!(dims(vec![huge, huge, 4]).contains("beyond all memory"));
    assert!(dims(vec![1, -4, -4]).contains("not positive"));
    assert!(dims(vec![0]).contains("not positive"));
    assert!(dims(vec![1; 9]).contains("too many"));
    assert!(dims(vec![1, 4, 5]).contains("disagree"));
    let reshaped = in_graph(|g| *stored(g, "[1,4,4]") = integers("[1,4,4]", &[1, huge, 4]));
    assert!(reshaped.unwrap_err().to_string().contains("number of values"));
    // 4 x 4 scores blown up by broadcasting.
    let broadcast = in_graph(|g| {
        for i in 0..6 {
            let (from, to) = (format!("big{i}"), format!("big{}", i + 1));
            let shape: Vec<i64> = (0..7).map(|d| if d == i { 16 } else { 1 }).collect();
            g.initializer.push(floats(&format!("wide{i}"), &shape, &[0.0; 16]));
            let from = if i == 0 { "scores".into() } else { from };
            g.node.push(node("Add", &[&from, &format!("wide{i}")], &to, vec![]));
        }
    });
    assert!(broadcast.unwrap_err().to_string().contains("larger than the spec implies"));
    // Products that a file of this spec does not need: time, not memory.
    let slow = in_graph(|g| {
        g.node.extend((0..20).map(|i| node("MatMul", &["scores", "scores"], &format!("slow{i}"), vec![])));
    });
    assert!(slow.unwrap_err().to_string().contains("more multiplications"));
    let input = in_graph(|g| g.input[0] = value("pixels", 2, &[1, huge, huge, 1]));
    assert!(matches!(input, Err(TractError::Graph { .. })));
    // A length that the file does not have.
    let mut file = model().encode_to_vec();
    file.extend([0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]);
    assert!(matches!(TractEncoder::new(&file), Err(TractError::Protobuf { .. })));
}

#[test]
fn a_spec_that_needs_too_much_is_refused() {
    let spec = |text: &str| changed(|m| property(m, "ldae.spec", text)).unwrap_err();
    let shape = |image, patch, heads, width| {
        format!(
            "image={image},channels=1,patch={patch},rank=2,width={width},depth=1,heads={heads},mlp_ratio=1,pooling=mean"
        )
    };
    assert!(matches!(spec(&shape(4, 3, 1, 4)), TractError::Spec(_)));
    assert!(matches!(spec(&shape(65535, 1, 1, 4)), TractError::Spec(_)));
    // 4096 tokens and 64 heads: a gigabyte of scores. One test vector of that size is not even there.
    assert!(matches!(spec(&shape(1024, 16, 64, 64)), TractError::Vectors | TractError::SpecSize { .. }));
    assert!(matches!(spec("image=4"), TractError::Metadata { key: "ldae.spec" }));
}

#[test]
fn many_empty_messages_are_refused() {
    // Two bytes each in the file, a kilobyte each when decoded.
    let nodes = [0x0A, 0x00].repeat(1 << 20);
    let mut file = vec![0x08, 9, 0x3A];
    prost::encode_length_delimiter(nodes.len(), &mut file).unwrap();
    file.extend(nodes);
    assert_eq!(TractEncoder::new(&file).unwrap_err(), TractError::Records);
}

#[test]
fn parts_of_onnx_that_no_encoder_has_are_refused() {
    let external = in_graph(|g| {
        let location = StringStringEntryProto { key: "location".into(), value: "/etc/passwd".into() };
        stored(g, "positions").external_data.push(location);
    });
    assert_eq!(external.unwrap_err(), TractError::ExternalData);
    let in_another_file = in_graph(|g| stored(g, "positions").data_location = Some(1));
    assert_eq!(in_another_file.unwrap_err(), TractError::ExternalData);
    let foreign = |result: Result<TractEncoder, TractError>| match result {
        Err(TractError::Foreign { part }) => part,
        other => panic!("{other:?}"),
    };
    assert_eq!(foreign(changed(|m| m.training_info.push(TrainingInfoProto::default()))), "training information");
    assert_eq!(foreign(changed(|m| m.functions.push(FunctionProto::default()))), "functions");
    let graph = AttributeProto { name: "body".into(), g: Some(GraphProto::default()), ..AttributeProto::default() };
    assert_eq!(foreign(in_graph(|g| at(g, "scores").attribute.push(graph))), "graphs inside nodes");
    let as_floats = in_graph(|g| stored(g, "means").float_data = vec![0.0; 4]);
    assert_eq!(as_floats.unwrap_err(), TractError::Field { message: "TensorProto", number: 4 });
    let operator = in_graph(|g| at(g, "scores").op_type = "Conv".into()).unwrap_err();
    assert_eq!(operator.to_string(), "operator Conv is not part of an encoder");
    let domain = in_graph(|g| at(g, "scores").domain = "com.microsoft".into());
    assert!(matches!(domain, Err(TractError::Operator { .. })));
    let opset = changed(|m| m.opset_import[0].version = 13);
    assert_eq!(opset.unwrap_err(), TractError::Opset { found: 13 });
}

#[test]
fn properties_must_be_there_and_known() {
    let keys: Vec<String> = model().metadata_props.into_iter().map(|p| p.key).collect();
    assert_eq!(keys.len(), 8);
    for key in &keys {
        let gone = changed(|m| m.metadata_props.retain(|p| p.key != *key)).unwrap_err();
        assert!(matches!(gone, TractError::Metadata { key: k } if k == key), "{gone:?}");
        let twice = changed(|m| m.metadata_props.push(StringStringEntryProto { key: key.clone(), value: "".into() }));
        assert!(matches!(twice, Err(TractError::Metadata { key: k }) if k == key));
    }
    for (key, value) in [
        ("ldae.format", "2"),
        ("ldae.weights", "int4"),
        ("ldae.weights", "float32"), // has DequantizeLinear
        ("ldae.artifact", "00"),
        ("ldae.vectors", "no base64"),
    ] {
        let error = changed(|m| property(m, key, value)).unwrap_err();
        assert!(matches!(error, TractError::Metadata { key: k } if k == key), "{error:?}");
    }
    assert_eq!(changed(|m| property(m, "ldae.vectors", "")).unwrap_err(), TractError::Vectors);
    assert_eq!(changed(|m| property(m, "ldae.vectors", "AAAA")).unwrap_err(), TractError::Vectors);
}

#[test]
fn wrong_shapes_and_orders_are_refused() {
    let refused = |change: &dyn Fn(&mut GraphProto)| match in_graph(|g| change(g)) {
        Err(e @ (TractError::Node { .. } | TractError::Tensor { .. } | TractError::Graph { .. })) => e.to_string(),
        other => panic!("{other:?}"),
    };
    let has = |text: String, part: &str| assert!(text.contains(part), "{text}");
    has(refused(&|g| at(g, "latents").input.swap(0, 1)), "inner dimensions");
    has(refused(&|g| at(g, "sorted").attribute[0].ints = vec![0, 1, 3, 2, 4, 4]), "permutation");
    has(refused(&|g| at(g, "cut").input[1] = "positions".into()), "not a stored list");
    has(refused(&|g| at(g, "normed").input[1] = "positions".into()), "not a stored row");
    has(refused(&|g| at(g, "probabilities").attribute[0].i = 1), "last dimension");
    has(refused(&|g| at(g, "gelu").attribute.clear()), "tanh");
    has(refused(&|g| at(g, "embed").input[1] = "ones2".into()), "nothing defines");
    has(refused(&|g| at(g, "upper").input[2] = "[0]".into()), "out of range");
    has(refused(&|g| at(g, "turned").attribute[0].i = 2), "do not broadcast");
    has(refused(&|g| g.node.swap(0, 1)), "nothing defines");
    has(refused(&|g| at(g, "cut").output[0] = "centred".into()), "twice");
    has(refused(&|g| g.output[0] = value("embedding", 1, &[1, 5])), "output");
    has(refused(&|g| g.input.push(value("more", 1, &[1]))), "one input");
    has(refused(&|g| stored(g, "means").raw_data[3] = 0x7F), "not finite");
    has(refused(&|g| g.initializer[0].name = "pixels".into()), "twice");
    let unbound = in_graph(|g| {
        let Some(type_proto::Value::TensorType(t)) = &mut g.input[0].r#type.as_mut().unwrap().value else { panic!() };
        t.shape.as_mut().unwrap().dim[0].value = Some(DimParam("N".into()));
    });
    assert!(matches!(unbound, Err(TractError::Graph { .. })));
}

#[test]
fn wrong_embeddings_are_refused() {
    let off = in_graph(|g| stored(g, "means").raw_data[..4].copy_from_slice(&0.2f32.to_le_bytes()));
    assert!(matches!(off, Err(TractError::Disagrees { vector: 0, .. })), "{off:?}");
}
