//! The graph, checked operator by operator with the shape of every tensor computed, before tract sees it: after this, each
//! name is defined once and before use, each shape is explicit, and all sizes are within the [`Budget`] of the spec.

use super::budget::{Budget, MAX_DEQUANTISED};
use super::error::Label;
use super::value::{Element, Shape, Value};
use super::{TractError, ops};
use ldae_shared::spec::EncoderSpec;
use std::collections::HashMap;
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto};

/// Name of the graph's input: u8 [1, image, image, C].
pub(super) const INPUT: &str = "pixels";
/// Name of the graph's output: f32 [1, E].
pub(super) const OUTPUT: &str = "embedding";

type Values<'g> = HashMap<&'g str, Value<'g>>;

/// Accepts the graph of an encoder of `spec`.
pub(super) fn graph(graph: &GraphProto, spec: &EncoderSpec, budget: &Budget) -> Result<(), TractError> {
    if graph.node.len() > budget.nodes {
        return Err(TractError::Records);
    }
    let mut values = Values::new();
    input(graph, spec, &mut values)?;
    stored(&graph.initializer, budget, &mut values)?;
    let (mut computed, mut macs) = (0u64, 0u64);
    for (index, node) in graph.node.iter().enumerate() {
        let fault = |operator, what| TractError::Node { index, operator, what };
        let operator = ops::operator(node)?;
        let inputs = node.input.iter().map(|name| values.get(name.as_str())).collect::<Option<std::vec::Vec<_>>>();
        let inputs = inputs.ok_or(fault(operator.name, "an input that nothing defines before it"))?;
        let value = (operator.infer)(node, &inputs).map_err(|e| e.at(index, operator.name))?;
        let size = value.shape.values().ok_or(fault(operator.name, "result has no size"))?;
        computed = computed.saturating_add(size);
        if size > budget.largest || computed > budget.computed {
            return Err(fault(operator.name, "result is larger than the spec implies"));
        }
        if operator.name == ops::MAT_MUL {
            let inner = inputs.first().and_then(|x| x.shape.dims().last()).copied().unwrap_or(0);
            macs = macs.saturating_add(size.saturating_mul(inner));
        }
        if macs > budget.macs {
            return Err(fault(operator.name, "more multiplications than the spec implies"));
        }
        if operator.name == ops::DEQUANTIZE && size > MAX_DEQUANTISED {
            return Err(fault(operator.name, "dequantised tensor above 4 MiB, which tract would expand in every run"));
        }
        let [output] = node.output.as_slice() else { return Err(fault(operator.name, "has not one output")) };
        if output.is_empty() || values.insert(output, value).is_some() {
            return Err(fault(operator.name, "defines a name twice, or an empty one"));
        }
    }
    output(graph, spec, &values)
}

fn input<'g>(graph: &'g GraphProto, spec: &EncoderSpec, values: &mut Values<'g>) -> Result<(), TractError> {
    let [only] = graph.input.as_slice() else { return Err(TractError::Graph { what: "has not one input" }) };
    let side = u64::from(spec.image);
    let shape = Shape::new(&[1, side, side, spec.channels.into()]);
    if only.name != INPUT || declared(only) != Some((Element::U8, shape)) {
        return Err(TractError::Graph { what: "input is not pixels: uint8 [1, image, image, channels]" });
    }
    values.insert(INPUT, Value { element: Element::U8, shape, stored: None });
    Ok(())
}

fn output(graph: &GraphProto, spec: &EncoderSpec, values: &Values<'_>) -> Result<(), TractError> {
    let [only] = graph.output.as_slice() else { return Err(TractError::Graph { what: "has not one output" }) };
    let expected = (Element::F32, Shape::new(&[1, spec.embedding().into()]));
    let computed = values.get(OUTPUT).map(|v| (v.element, v.shape));
    if only.name != OUTPUT || declared(only) != Some(expected) || computed != Some(expected) {
        return Err(TractError::Graph { what: "output is not embedding: float32 [1, E]" });
    }
    Ok(())
}

/// Element type and shape, where all dimensions are numbers.
fn declared(value: &ValueInfoProto) -> Option<(Element, Shape)> {
    let TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let dims = tensor.shape.as_ref()?.dim.iter().map(|d| match &d.value {
        Some(DimValue(n)) => Some(*n),
        _ => None,
    });
    Some((Element::from_code(tensor.elem_type)?, Shape::from_dims(dims)?))
}

fn stored<'g>(tensors: &'g [TensorProto], budget: &Budget, values: &mut Values<'g>) -> Result<(), TractError> {
    let mut sum = 0u64;
    for tensor in tensors {
        let fault = |what| TractError::Tensor { name: Label::new(&tensor.name), what };
        let element = Element::from_code(tensor.data_type).ok_or(fault("element type is not f32, i8 or i64"))?;
        let shape = Shape::from_dims(tensor.dims.iter().map(|d| Some(*d)))
            .ok_or(fault("a dimension is not positive, or there are too many"))?;
        let count = shape.values().ok_or(fault("dimensions beyond all memory"))?;
        sum = sum.saturating_add(count);
        if count > budget.stored || sum > budget.stored {
            return Err(fault("larger than the spec implies"));
        }
        if count * element.bytes() != tensor.raw_data.len() as u64 {
            return Err(fault("dimensions and data disagree"));
        }
        match element {
            Element::U8 => return Err(fault("element type is not f32, i8 or i64")),
            Element::F32 if !finite(&tensor.raw_data) => return Err(fault("a value is not finite")),
            _ => {}
        }
        let value = Value { element, shape, stored: Some(&tensor.raw_data) };
        if tensor.name.is_empty() || values.insert(&tensor.name, value).is_some() {
            return Err(fault("defines a name twice, or an empty one"));
        }
    }
    Ok(())
}

fn finite(bytes: &[u8]) -> bool {
    bytes.as_chunks::<4>().0.iter().all(|b| f32::from_le_bytes(*b).is_finite())
}
