"""Runs ONNX Runtime's quantizer of activations, in a worker process that calls :func:`dynamic`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def rows(seed: int) -> Any:
    """Float32 values with outliers, as hidden states have: [6, 50]."""
    random = np.random.default_rng(seed)
    return (random.standard_normal((6, 50)) * np.exp(random.normal(size=50))).astype(np.float32)


def dynamic(say: Callable[[str], None], seeds: list[int]) -> list[list[list[float]]]:
    """The values of :func:`rows` for each of ``seeds``, quantized by DynamicQuantizeLinear and dequantized in float64."""
    import onnx
    import onnxruntime

    node = onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"])
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [6, 50])
    made = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = onnx.helper.make_graph([node], "quantizer", [given], made)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = []
    for seed in seeds:
        codes, scale, zero = session.run(None, {"x": rows(seed)})
        found.append(((codes.astype(np.float64) - float(zero)) * float(scale)).tolist())
    return found
