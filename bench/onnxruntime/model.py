"""A vision transformer in ONNX with random weights, and its int8 forms.

Shape of the comparison: 32x32x3 pictures, patch 4, 64 tokens, width 192, 6 blocks, 3 heads, MLP 768, exact GELU, LayerNorm
before each branch and at the end, mean over tokens: 2.69 M parameters, about 180 M multiply-accumulates a picture.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization as ortq

IMAGE, CHANNELS, PATCH = 32, 3, 4
TOKENS, WIDTH, DEPTH, HEADS, MLP = 64, 192, 6, 3, 768


class Graph:
    """Collects nodes and constants; values are named by numbers."""

    def __init__(self, seed):
        self.nodes, self.constants, self.random = [], [], np.random.default_rng(seed)

    def op(self, kind, *inputs, domain="", outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weights(self, inputs, outputs):
        return (self.random.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)

    def linear(self, x, weights):
        bias = self.random.standard_normal(weights.shape[1]).astype(np.float32) * 0.02
        return self.op("Add", self.op("MatMul", x, self.constant(weights)), self.constant(bias))

    def norm(self, x):
        one, zero = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
        return self.op("LayerNormalization", x, self.constant(one), self.constant(zero), axis=-1, epsilon=1e-6)

    def reshape(self, x, *shape):
        return self.op("Reshape", x, self.constant(np.array(shape, np.int64)))


def attention(g, x, form):
    """Softmax(Q K^T) V of all heads. `form`: separate, fused (one product for q, k and v) or op (ORT's Attention)."""
    head = WIDTH // HEADS
    qkv = [g.weights(WIDTH, WIDTH) for _ in range(3)]
    if form == "op":
        bias = g.random.standard_normal(3 * WIDTH).astype(np.float32) * 0.02
        return g.op(
            "Attention", x, g.constant(np.concatenate(qkv, 1)), g.constant(bias), domain="com.microsoft", num_heads=HEADS
        )
    qkv[0] /= np.sqrt(head)  # the scale of the scores lies in the weights
    if form == "fused":
        split = g.constant(np.array([WIDTH] * 3, np.int64))
        q, k, v = g.op("Split", g.linear(x, np.concatenate(qkv, 1)), split, outputs=3, axis=-1)
    else:
        q, k, v = (g.linear(x, w) for w in qkv)
    q, v = (g.op("Transpose", g.reshape(t, 1, TOKENS, HEADS, head), perm=[0, 2, 1, 3]) for t in (q, v))
    k = g.op("Transpose", g.reshape(k, 1, TOKENS, HEADS, head), perm=[0, 2, 3, 1])
    y = g.op("MatMul", g.op("Softmax", g.op("MatMul", q, k), axis=-1), v)
    return g.reshape(g.op("Transpose", y, perm=[0, 2, 1, 3]), 1, TOKENS, WIDTH)


def model(form="separate", seed=1):
    """The f32 model."""
    g, side = Graph(seed), IMAGE // PATCH
    x = g.reshape("pixels", 1, CHANNELS, side, PATCH, side, PATCH)
    x = g.reshape(g.op("Transpose", x, perm=[0, 2, 4, 1, 3, 5]), 1, TOKENS, CHANNELS * PATCH * PATCH)
    x = g.linear(x, g.weights(CHANNELS * PATCH * PATCH, WIDTH))
    x = g.op("Add", x, g.constant(g.random.standard_normal((1, TOKENS, WIDTH)).astype(np.float32) * 0.1))
    for _ in range(DEPTH):
        y = attention(g, g.norm(x), form)
        x = g.op("Add", x, g.linear(y, g.weights(WIDTH, WIDTH)))
        y = g.op("Gelu", g.linear(g.norm(x), g.weights(WIDTH, MLP)))
        x = g.op("Add", x, g.linear(y, g.weights(MLP, WIDTH)))
    x = g.op("ReduceMean", g.norm(x), g.constant(np.array([1], np.int64)), keepdims=0)
    g.op("Identity", x)
    g.nodes[-1].output[0] = "embedding"
    graph = helper.make_graph(
        g.nodes,
        "vit",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, CHANNELS, IMAGE, IMAGE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, WIDTH])],
        g.constants,
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


class Calibration(ortq.CalibrationDataReader):
    """Random pictures, as the f32 model takes them."""

    def __init__(self, count=16):
        random = np.random.default_rng(2)
        shape = (1, CHANNELS, IMAGE, IMAGE)
        self.rows = iter([{"pixels": random.standard_normal(shape).astype(np.float32)} for _ in range(count)])

    def get_next(self):
        return next(self.rows, None)


def explicit(f32, dynamic):
    """W8A8 written out: QuantizeLinear (u8, zero point 128; or DynamicQuantizeLinear), MatMulInteger with s8 weights, one
    scale per channel, in place of each product with weights."""
    m = onnx.ModelProto()
    m.CopyFrom(f32)
    constants = {c.name: numpy_helper.to_array(c) for c in m.graph.initializer}
    nodes, added = [], {}

    def constant(name, array):
        added[name] = numpy_helper.from_array(array, name)
        return name

    for node in m.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            nodes.append(node)
            continue
        x, w, y, n = node.input[0], constants[node.input[1]], node.output[0], node.name
        scale = np.abs(w).max(0) / 127
        weights = constant(n + "_w", np.round(w / scale).astype(np.int8))
        zero = constant("s8_zero", np.int8(0))
        if dynamic:
            nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [n + "_q", n + "_s", n + "_z"]))
            nodes.append(helper.make_node("Mul", [n + "_s", constant(n + "_c", scale.astype(np.float32))], [n + "_f"]))
            point, factor = n + "_z", n + "_f"
        else:
            # A fixed range of eight deviations: the speed does not depend on it.
            step = np.float32(8 / 127)
            point = constant("u8_zero", np.uint8(128))
            nodes.append(helper.make_node("QuantizeLinear", [x, constant("step", step), point], [n + "_q"]))
            factor = constant(n + "_c", (scale * step).astype(np.float32))
        nodes.append(helper.make_node("MatMulInteger", [n + "_q", weights, point, zero], [n + "_i"]))
        nodes.append(helper.make_node("Cast", [n + "_i"], [n + "_y"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [n + "_y", factor], [y]))
    del m.graph.node[:]
    m.graph.node.extend(nodes)
    used = {i for node in nodes for i in node.input}
    keep = [c for c in m.graph.initializer if c.name in used]
    del m.graph.initializer[:]
    m.graph.initializer.extend(keep + list(added.values()))
    return m


def write_forms(folder):
    """Writes the f32 model and every int8 form to `folder`; returns names with paths."""
    forms, f32 = {}, {}
    for shape in ("separate", "fused", "op"):
        f32[shape] = str(folder / f"f32-{shape}.onnx")
        onnx.save(model(shape), f32[shape])
    forms["f32"] = f32["separate"]

    def path(name):
        forms[name] = str(folder / (name.replace(" ", "-").replace(",", "") + ".onnx"))
        return forms[name]

    for shape in f32:
        for per_channel in (False, True):
            name = f"dynamic {shape} per {'channel' if per_channel else 'tensor'}"
            ortq.quantize_dynamic(
                f32[shape],
                path(name),
                per_channel=per_channel,
                weight_type=ortq.QuantType.QInt8,
                extra_options={"DefaultTensorType": TensorProto.FLOAT},  # the shape of ORT's own operator is unknown
            )
    for kind in (False, True):
        name = f"explicit {'dynamic' if kind else 'static u8'} per channel"
        onnx.save(explicit(model("separate"), kind), path(name))
        onnx.save(explicit(model("fused"), kind), path(name + " fused"))
    for per_channel in (False, True):
        for kind, only in (("QOperator", ["MatMul"]), ("QDQ", ["MatMul"]), ("QOperator all", None)):
            ortq.quantize_static(
                f32["separate"],
                path(f"static {kind} u8 per {'channel' if per_channel else 'tensor'}"),
                Calibration(),
                quant_format=ortq.QuantFormat.QDQ if kind == "QDQ" else ortq.QuantFormat.QOperator,
                op_types_to_quantize=only,
                activation_type=ortq.QuantType.QUInt8,
                weight_type=ortq.QuantType.QInt8,
                per_channel=per_channel,
            )
    return forms
