"""Runs the quantizers of the runtimes, in a worker process."""

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


def ties() -> Any:
    """Float32 weights [64, 64] of multiples of half a step: in each row nearly half of the values lie between two codes.

    The largest absolute value of a row is 127, 127.5, 64 or 63.5 steps, the divisors of ``fixtures.core.arithmetic.Weights``.
    """
    random = np.random.default_rng(5)
    halves = random.integers(-127, 128, (64, 64)) / 2
    halves[:, 0] = np.resize([127, 127.5, 64, 63.5], 64) * np.resize([1, 1, 1, 1, -1, -1, -1, -1], 64)
    return (halves * 2.0**-12).astype(np.float32)


def torch_weights(say: Callable[[str], None]) -> list[list[float]]:
    """The values of :func:`ties` as PyTorch's ``quantize_dynamic`` stores them for each channel."""
    import torch

    from fixtures.backends import _torch_dynamic

    layer = torch.nn.Linear(64, 64)
    layer.weight.data = torch.from_numpy(ties())
    (made,) = _torch_dynamic.dynamic_linears(
        _torch_dynamic.quantized(torch.nn.Sequential(layer), "per_channel_dynamic_qconfig")
    )
    codes, scales = made.weight().int_repr().numpy(), made.weight().q_per_channel_scales().numpy()
    values: list[list[float]] = (codes * scales.astype(np.float32).astype(np.float64)[:, None]).tolist()
    return values


def onnxruntime_weights(say: Callable[[str], None], folder: str) -> list[list[float]]:
    """The values of :func:`ties` as ONNX Runtime's ``quantize_dynamic`` stores them for each channel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    weight = onnx.numpy_helper.from_array(np.ascontiguousarray(ties().T), "w")
    given, made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [6, 64]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "matmul", [given], [made], [weight])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), f"{folder}/f.onnx")
    quantize_dynamic(f"{folder}/f.onnx", f"{folder}/q.onnx", per_channel=True, weight_type=QuantType.QInt8)
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(f"{folder}/q.onnx").graph.initializer}
    values: list[list[float]] = (stored["w_quantized"].astype(np.float64) * stored["w_scale"].astype(np.float64)).T.tolist()
    return values


def tflite_weights(say: Callable[[str], None]) -> list[list[float]]:
    """The values of :func:`ties` as TensorFlow's converter stores them in its dynamic range quantization."""
    import tensorflow as tf

    weight = tf.constant(ties().T)
    dense = tf.function(lambda x: tf.matmul(x, weight), input_signature=[tf.TensorSpec([6, 64], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([dense.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    (stored,) = (one for one in interpreter.get_tensor_details() if one["dtype"] == np.int8)
    scales = stored["quantization_parameters"]["scales"].astype(np.float64)
    values: list[list[float]] = (interpreter.get_tensor(stored["index"]) * scales[:, None]).tolist()
    return values
