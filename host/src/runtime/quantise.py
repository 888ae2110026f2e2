"""onnxruntime's dynamic quantisation of an ONNX file: arguments are the float32 file and the int8 file to write."""

import logging
import sys

import onnx
from onnxruntime import quantization

logging.disable(logging.WARNING)  # it suggests a preprocessing step that changes nothing here
quantization.quantize_dynamic(
    sys.argv[1],
    sys.argv[2],
    per_channel=True,
    weight_type=quantization.QuantType.QInt8,
    extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
)
