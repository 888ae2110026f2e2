//! The operators of an encoder: what each accepts, and the shape it gives. Meanings are those of operator set 20
//! (<https://onnx.ai/onnx/operators/>); forms that the exporter does not write are refused even where ONNX allows them.

use super::TractError;
use super::attributes::Attributes;
use super::error::Label;
use super::value::{Element, Shape, Value};
use tract_onnx::pb::NodeProto;

/// Name of the weight-only operator.
pub(super) const DEQUANTIZE: &str = "DequantizeLinear";
/// Name of the product.
pub(super) const MAT_MUL: &str = "MatMul";
/// Most inputs of a concatenation: column blocks of one weight.
const MAX_PARTS: usize = 1024;

/// What is unfit in a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unfit {
    /// In short words.
    What(&'static str),
    /// A quantised activation.
    QuantisePair,
}

impl Unfit {
    pub(super) const fn at(self, index: usize, operator: &'static str) -> TractError {
        match self {
            Unfit::What(what) => TractError::Node { index, operator, what },
            Unfit::QuantisePair => TractError::QuantisePair,
        }
    }
}

impl From<&'static str> for Unfit {
    fn from(what: &'static str) -> Self {
        Unfit::What(what)
    }
}

type Inferred = Result<Value<'static>, Unfit>;
type Inputs<'a, 'g> = &'a [&'a Value<'g>];

/// An accepted operator.
pub(super) struct Operator {
    pub(super) name: &'static str,
    /// Checks a node's inputs and attributes; gives its output.
    pub(super) infer: fn(&NodeProto, Inputs<'_, '_>) -> Inferred,
}

/// All of them.
static OPERATORS: [Operator; 17] = [
    Operator { name: "Cast", infer: cast },
    Operator { name: "Sub", infer: elementwise },
    Operator { name: "Mul", infer: elementwise },
    Operator { name: "Add", infer: elementwise },
    Operator { name: "Div", infer: elementwise },
    Operator { name: "Sqrt", infer: sqrt },
    Operator { name: "Reshape", infer: reshape },
    Operator { name: "Transpose", infer: transpose },
    Operator { name: MAT_MUL, infer: mat_mul },
    Operator { name: "LayerNormalization", infer: layer_normalization },
    Operator { name: "Softmax", infer: softmax },
    Operator { name: "Gelu", infer: gelu },
    Operator { name: "ReduceMean", infer: reduce_mean },
    Operator { name: "Concat", infer: concat },
    Operator { name: "Slice", infer: slice },
    Operator { name: "Identity", infer: identity },
    Operator { name: DEQUANTIZE, infer: dequantize },
];

/// Looks a node's operator up.
pub(super) fn operator(node: &NodeProto) -> Result<&'static Operator, TractError> {
    if matches!(node.op_type.as_str(), "QuantizeLinear" | "DynamicQuantizeLinear") {
        return Err(TractError::QuantisePair);
    }
    let found = OPERATORS.iter().find(|o| o.name == node.op_type && matches!(node.domain.as_str(), "" | "ai.onnx"));
    found.ok_or(TractError::Operator { name: Label::new(&node.op_type) })
}

fn float(shape: Shape) -> Value<'static> {
    Value { element: Element::F32, shape, stored: None }
}

/// Exactly `COUNT` inputs.
fn inputs<'a, 'g, const COUNT: usize>(inputs: Inputs<'a, 'g>) -> Result<[&'a Value<'g>; COUNT], Unfit> {
    inputs.try_into().map_err(|_| Unfit::What("number of inputs"))
}

fn floats(values: Inputs<'_, '_>) -> Result<(), Unfit> {
    if values.iter().all(|v| v.element == Element::F32) { Ok(()) } else { Err("inputs are not all float32".into()) }
}

fn cast(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x] = inputs(values)?;
    let to = Attributes::of(node, &["to"])?.int("to")?;
    let number = matches!(x.element, Element::U8 | Element::F32);
    if to != Some(1) || !number {
        return Err("is not from uint8 to float32".into());
    }
    Ok(float(x.shape))
}

fn elementwise(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [a, b] = inputs(values)?;
    Attributes::of(node, &[])?;
    floats(values)?;
    Ok(float(a.shape.broadcast(&b.shape).ok_or("shapes do not broadcast")?))
}

fn sqrt(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x] = inputs(values)?;
    Attributes::of(node, &[])?;
    floats(values)?;
    Ok(float(x.shape))
}

fn identity(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x] = inputs(values)?;
    Attributes::of(node, &[])?;
    Ok(Value { element: x.element, shape: x.shape, stored: None })
}

fn reshape(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x, shape] = inputs(values)?;
    if Attributes::of(node, &["allowzero"])?.int("allowzero")?.unwrap_or(0) != 0 {
        return Err("allowzero".into());
    }
    let dims = shape.integers().ok_or("shape is not a stored list")?;
    // No 0 (copy) and no -1 (infer): the exporter knows every dimension.
    let shape = Shape::from_dims(dims.map(Some)).ok_or("shape is not explicit")?;
    if shape.values() != x.shape.values() {
        return Err("another number of values".into());
    }
    Ok(Value { element: x.element, shape, stored: None })
}

fn transpose(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x] = inputs(values)?;
    let attributes = Attributes::of(node, &["perm"])?;
    let order = attributes.ints("perm")?.ok_or("no order")?;
    let mut shape = Shape::default();
    let mut seen = 0u32;
    for &from in order {
        let from = usize::try_from(from).ok().filter(|f| *f < x.shape.rank()).ok_or("order is no permutation")?;
        seen |= 1 << from;
        shape = shape.and(x.shape.dims()[from]).ok_or("order is no permutation")?;
    }
    if shape.rank() != x.shape.rank() || seen.count_ones() as usize != x.shape.rank() {
        return Err("order is no permutation".into());
    }
    Ok(Value { element: x.element, shape, stored: None })
}

fn mat_mul(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [a, b] = inputs(values)?;
    Attributes::of(node, &[])?;
    floats(values)?;
    let ([outer_a @ .., m, k], [outer_b @ .., k2, n]) = (a.shape.dims(), b.shape.dims()) else {
        return Err("an operand is no matrix".into());
    };
    if k != k2 {
        return Err("inner dimensions differ".into());
    }
    let outer = Shape::new(outer_a).broadcast(&Shape::new(outer_b)).ok_or("outer dimensions do not broadcast")?;
    Ok(float(outer.and(*m).and_then(|s| s.and(*n)).ok_or("too many dimensions")?))
}

fn layer_normalization(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let (x, parameters) = values.split_first().ok_or("number of inputs")?;
    let attributes = Attributes::of(node, &["axis", "epsilon", "stash_type"])?;
    floats(values)?;
    let last = x.shape.rank().checked_sub(1).ok_or("input has no dimension")?;
    if x.shape.axis(attributes.int("axis")?.unwrap_or(-1)) != Some(last) {
        return Err("not over the last dimension".into());
    }
    // Shape of the scale and the shift, which tract trusts.
    let row = Shape::new(&x.shape.dims()[last..]);
    if !(1..=2).contains(&parameters.len()) || parameters.iter().any(|p| p.shape != row || p.stored.is_none()) {
        return Err("scale or shift is not a stored row".into());
    }
    let epsilon = attributes.float("epsilon")?.unwrap_or(1e-5);
    if !(epsilon > 0.0 && epsilon < 1.0) || attributes.int("stash_type")?.unwrap_or(1) != 1 {
        return Err("epsilon or stash_type".into());
    }
    Ok(float(x.shape))
}

fn softmax(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x] = inputs(values)?;
    floats(values)?;
    let axis = x.shape.axis(Attributes::of(node, &["axis"])?.int("axis")?.unwrap_or(-1));
    if axis.is_none() || axis.map(|a| a + 1) != Some(x.shape.rank()) {
        return Err("not over the last dimension".into());
    }
    Ok(float(x.shape))
}

fn gelu(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x] = inputs(values)?;
    floats(values)?;
    // The form that the encoder is trained with.
    if Attributes::of(node, &["approximate"])?.text("approximate")? != Some(b"tanh") {
        return Err("is not the tanh form".into());
    }
    Ok(float(x.shape))
}

fn reduce_mean(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let [x, axes] = inputs(values)?;
    floats(&values[..1])?;
    let attributes = Attributes::of(node, &["keepdims", "noop_with_empty_axes"])?;
    let keep = match attributes.int("keepdims")?.unwrap_or(1) {
        0 => false,
        1 => true,
        _ => return Err("keepdims".into()),
    };
    if attributes.int("noop_with_empty_axes")?.unwrap_or(0) != 0 {
        return Err("noop_with_empty_axes".into());
    }
    let mut reduced = 0u32;
    for axis in axes.integers().ok_or("axes are not a stored list")? {
        let bit = 1 << x.shape.axis(axis).ok_or("axis out of range")?;
        if reduced & bit != 0 {
            return Err("an axis twice".into());
        }
        reduced |= bit;
    }
    if reduced == 0 {
        return Err("no axis".into());
    }
    let dims = x.shape.dims().iter().enumerate().filter_map(|(i, &dim)| match (reduced >> i & 1 == 1, keep) {
        (false, _) => Some(dim),
        (true, true) => Some(1),
        (true, false) => None,
    });
    Ok(float(dims.fold(Shape::default(), |shape, dim| shape.and(dim).unwrap_or(shape))))
}

fn concat(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let (first, rest) = values.split_first().ok_or("number of inputs")?;
    floats(values)?;
    let axis = Attributes::of(node, &["axis"])?.int("axis")?.and_then(|a| first.shape.axis(a)).ok_or("axis")?;
    if rest.len() >= MAX_PARTS {
        return Err("too many parts".into());
    }
    let mut shape = first.shape;
    for part in rest {
        let along = *part.shape.dims().get(axis).ok_or("shapes do not match")?;
        let mut same = part.shape;
        same.dims_mut()[axis] = first.shape.dims()[axis];
        let sum = shape.dims()[axis].checked_add(along).filter(|_| same == first.shape);
        shape.dims_mut()[axis] = sum.ok_or("shapes do not match")?;
    }
    Ok(float(shape))
}

fn slice(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let (x, lists) = values.split_first().ok_or("number of inputs")?;
    Attributes::of(node, &[])?;
    let list = |place: usize| -> Result<_, Unfit> {
        Ok(lists.get(place).ok_or("number of inputs")?.integers().ok_or("bounds are not stored lists")?)
    };
    let steps_are_one = lists.get(3).is_none() || list(3)?.all(|step| step == 1);
    if !(3..=4).contains(&lists.len()) || !steps_are_one {
        return Err("steps, or number of inputs".into());
    }
    if lists.iter().any(|l| l.shape != lists[0].shape || l.shape.rank() != 1) {
        return Err("bounds of different lengths".into());
    }
    let mut shape = x.shape;
    let mut seen = 0u32;
    for ((start, end), axis) in list(0)?.zip(list(1)?).zip(list(2)?) {
        let axis = x.shape.axis(axis).ok_or("axis out of range")?;
        let bounds = (u64::try_from(start), u64::try_from(end));
        let (Ok(start), Ok(end)) = bounds else { return Err("a bound is negative".into()) };
        if start >= end || end > x.shape.dims()[axis] || seen >> axis & 1 == 1 {
            return Err("bounds out of range".into());
        }
        seen |= 1 << axis;
        shape.dims_mut()[axis] = end - start;
    }
    Ok(Value { element: x.element, shape, stored: None })
}

fn dequantize(node: &NodeProto, values: Inputs<'_, '_>) -> Inferred {
    let (x, parameters) = values.split_first().ok_or("number of inputs")?;
    let attributes = Attributes::of(node, &["axis", "block_size"])?;
    if x.stored.is_none() {
        return Err(Unfit::QuantisePair);
    }
    if x.element != Element::I8 || attributes.int("block_size")?.unwrap_or(0) != 0 {
        return Err("not a stored int8 tensor, scale by channel".into());
    }
    let axis = x.shape.axis(attributes.int("axis")?.unwrap_or(1)).ok_or("axis out of range")?;
    let scale = parameters.first().filter(|s| s.element == Element::F32 && s.stored.is_some());
    let scale = scale.ok_or("scale is not stored as float32")?;
    if scale.shape != Shape::new(&x.shape.dims()[axis..=axis]) {
        return Err("not one scale for each channel".into());
    }
    match parameters.get(1..).unwrap_or_default() {
        [] => {}
        [zero] if zero.element == Element::I8 && zero.shape == scale.shape && zero.stored.is_some_and(zeros) => {}
        _ => return Err("zero points other than 0".into()),
    }
    Ok(float(x.shape))
}

fn zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}
