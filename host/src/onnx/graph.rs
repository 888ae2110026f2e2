//! Builds a graph node by node. Nodes and constants are named by what they are ("blocks.0.q"), so that a person finds
//! them in a viewer; a node's output has its name.

use super::network::{Linear, Values};
use super::schema::{Attribute, DataType, Graph, Node, Tensor, ValueInfo};
use std::collections::HashMap;

/// Nodes and constants so far.
#[derive(Default)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    initializers: Vec<Tensor>,
    /// Names of the integer constants, which several nodes share.
    integers: HashMap<Vec<i64>, String>,
}

/// Bytes that a dequantised weight stays below: tract expands larger constants again in every inference
/// (CONST_FOLD_MEM_BUDGET of tract 0.23).
pub(super) const FOLDED: usize = 4 << 20;

impl Builder {
    /// Adds a node; returns its name.
    pub(super) fn node(
        &mut self,
        operator: &'static str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&'static str, Attribute)],
    ) -> String {
        self.nodes.push(Node {
            operator,
            inputs: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: name.to_owned(),
            attributes: attributes.to_vec(),
        });
        name.to_owned()
    }

    /// Adds a constant of floats.
    pub(super) fn floats(&mut self, name: &str, dims: &[usize], values: impl IntoIterator<Item = f32>) -> String {
        let raw: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.constant(name, dims, DataType::Float, raw)
    }

    /// A constant row of integers: a shape, axes, or bounds.
    fn integers(&mut self, values: &[i64]) -> String {
        if let Some(name) = self.integers.get(values) {
            return name.clone();
        }
        let text: Vec<String> = values.iter().map(i64::to_string).collect();
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let name = self.constant(&format!("[{}]", text.join(",")), &[values.len()], DataType::Int64, raw);
        self.integers.insert(values.to_vec(), name.clone());
        name
    }

    fn constant(&mut self, name: &str, dims: &[usize], data_type: DataType, raw: Vec<u8>) -> String {
        let dims = dims.iter().map(|&d| d as i64).collect();
        self.initializers.push(Tensor { name: name.to_owned(), dims, data_type, raw });
        name.to_owned()
    }

    /// A view of another shape.
    pub(super) fn reshape(&mut self, name: &str, x: &str, shape: &[usize]) -> String {
        let shape: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let shape = self.integers(&shape);
        self.node("Reshape", name, &[x, &shape], &[])
    }

    /// Axes in another order.
    pub(super) fn transpose(&mut self, name: &str, x: &str, axes: &[i64]) -> String {
        self.node("Transpose", name, &[x], &[("perm", Attribute::Ints(axes.to_vec()))])
    }

    /// Mean over `axes`, which stay as axes of length 1 if `keep`.
    pub(super) fn mean(&mut self, name: &str, x: &str, axes: &[i64], keep: bool) -> String {
        let axes = self.integers(axes);
        self.node("ReduceMean", name, &[x, &axes], &[("keepdims", Attribute::Int(keep.into()))])
    }

    /// `x[.., start..end, ..]` on each of `axes`.
    pub(super) fn slice(&mut self, name: &str, x: &str, axes: &[i64], ranges: &[std::ops::Range<usize>]) -> String {
        let bounds = |f: fn(&std::ops::Range<usize>) -> usize| ranges.iter().map(|r| f(r) as i64).collect::<Vec<_>>();
        let (starts, ends) = (self.integers(&bounds(|r| r.start)), self.integers(&bounds(|r| r.end)));
        let axes = self.integers(axes);
        self.node("Slice", name, &[x, &starts, &ends, &axes], &[])
    }

    /// One after the other along `axis`.
    pub(super) fn concat(&mut self, name: &str, parts: &[&str], axis: i64) -> String {
        self.node("Concat", name, parts, &[("axis", Attribute::Int(axis))])
    }

    /// `x` [1, N, inputs] through a layer: [1, N, outputs].
    pub(super) fn linear(&mut self, name: &str, x: &str, layer: &Linear<'_>) -> String {
        let product = match &layer.weights {
            Values::Float(_) => {
                let dims = [layer.inputs, layer.outputs()];
                let weight = self.floats(&format!("{name}.weight"), &dims, layer.transposed_floats());
                self.node("MatMul", &format!("{name}.product"), &[x, &weight], &[])
            }
            Values::Int8 { .. } => self.int8_product(name, x, layer),
        };
        let bias = self.floats(&format!("{name}.bias"), &[layer.outputs()], layer.biases());
        self.node("Add", name, &[&product, &bias], &[])
    }

    /// The product with int8 weights: dequantised by output channel, in blocks of columns below [`FOLDED`].
    fn int8_product(&mut self, name: &str, x: &str, layer: &Linear<'_>) -> String {
        let most = ((FOLDED - 1) / (4 * layer.inputs)).max(1);
        let count = layer.outputs().div_ceil(most);
        let columns = layer.outputs().div_ceil(count);
        let product = format!("{name}.product");
        let mut parts = Vec::new();
        for first in (0..layer.outputs()).step_by(columns) {
            let part = layer.columns(first..layer.outputs().min(first + columns));
            let (name, product) = match count {
                1 => (name.to_owned(), product.clone()),
                _ => (format!("{name}.{}", parts.len()), format!("{product}.{}", parts.len())),
            };
            let codes = part.transposed_codes().map(|c| c as u8).collect();
            let codes = self.constant(&format!("{name}.codes"), &[part.inputs, part.outputs()], DataType::Int8, codes);
            let scales = self.floats(&format!("{name}.scales"), &[part.outputs()], part.scales());
            let axis = [("axis", Attribute::Int(1))];
            let weight = self.node("DequantizeLinear", &format!("{name}.weight"), &[&codes, &scales], &axis);
            parts.push(self.node("MatMul", &product, &[x, &weight], &[]));
        }
        match &parts[..] {
            [one] => one.clone(),
            _ => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.concat(&product, &parts, 2)
            }
        }
    }

    /// The finished graph.
    pub(super) fn finish(self, input: ValueInfo, output: ValueInfo) -> Graph {
        Graph { nodes: self.nodes, initializers: self.initializers, input, output }
    }
}
