"""Runs the quantizers of OpenVINO's, ONNX Runtime's and PyTorch's newer tools, in a worker process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.quantizers import rows, ties


def halves(bits: int) -> Any:
    """Float32 weights [64, 64] in blocks of 32 inputs, the zero point of each of which lies halfway between two codes."""
    steps = 2**bits - 1
    least = (np.arange(64) % steps + 0.5)[:, None] / 64
    made = np.random.default_rng(6).uniform(-least, steps / 64 - least, (64, 64))
    made[:, ::32], made[:, 1::32] = -least, steps / 64 - least
    return made.astype(np.float32)


def _dense() -> Any:
    """An OpenVINO model that multiplies [rows, 64] by the transpose of :func:`ties`."""
    from fixtures.backends import _openvino

    library = _openvino.library()
    ops = library.opset13
    given = ops.parameter([-1, 64], dtype=np.float32, name="x")
    return library.Model([ops.matmul(given, ops.constant(ties()), False, True)], [given])


def _stored(model: Any) -> list[list[float]]:
    """The values of the only weights of an OpenVINO model, from its integers, zero points and scales."""
    (product,) = (node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul")
    node = product.input_value(1).get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    scale = node.input_value(1).get_node().get_data().astype(np.float64)
    before = node.input_value(0).get_node()
    zero: Any = 0.0
    if before.get_type_name() == "Subtract":
        zero = before.input_value(1).get_node().input_value(0).get_node().get_data().astype(np.float64)
        before = before.input_value(0).get_node()
    codes = before.input_value(0).get_node().get_data().astype(np.float64)
    values: list[list[float]] = ((codes - zero) * scale).tolist()
    return values


def compressed(say: Callable[[str], None]) -> list[list[float]]:
    """The values of :func:`ties` as NNCF's ``compress_weights`` stores them."""
    from fixtures.backends import _openvino

    return _stored(_openvino.nncf().compress_weights(_dense()))


def static(say: Callable[[str], None]) -> list[list[float]]:
    """The values of :func:`ties` as NNCF's ``quantize`` stores them, without SmoothQuant."""
    from fixtures.backends import _openvino

    nncf = _openvino.nncf()
    options = nncf.AdvancedQuantizationParameters(smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=-1))
    data, kind = nncf.Dataset([rows(0)[:, :1].repeat(64, 1)]), nncf.ModelType.TRANSFORMER
    made = nncf.quantize(_dense(), data, model_type=kind, advanced_parameters=options)
    return _stored(made)


def blocks(say: Callable[[str], None], bits: int, halfway: bool) -> list[list[float]]:
    """The values of :func:`halves`, or of :func:`ties`, as ONNX Runtime's ``MatMulNBits`` has them, in blocks of 32 inputs."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    weight = onnx.numpy_helper.from_array(np.ascontiguousarray((halves(bits) if halfway else ties()).T), "w")
    given, made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [6, 64]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "matmul", [given], [made], [weight])
    quantizer = MatMulNBitsQuantizer(onnx.helper.make_model(graph), bits=bits, block_size=32)
    quantizer.process()
    codes, scales, zeros = (onnx.numpy_helper.to_array(one) for one in quantizer.model.model.graph.initializer)
    if bits == 4:
        codes, zeros = (np.stack([packed & 15, packed >> 4], -1).reshape(*packed.shape[:-1], -1) for packed in (codes, zeros))
    values = (codes.astype(np.float64) - zeros[..., None]) * scales.astype(np.float64)[..., None]
    found: list[list[float]] = values.reshape(64, 64).tolist()
    return found


def pt2e(say: Callable[[str], None], least: int) -> list[list[float]]:
    """The values of :func:`ties` as torchao's observer and quantizer store them, in codes from ``least`` to 127."""
    import torch
    from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver

    observer = PerChannelMinMaxObserver(
        ch_axis=0, dtype=torch.int8, qscheme=torch.per_channel_symmetric, quant_min=least, quant_max=127, eps=2**-12
    )
    weights = torch.from_numpy(ties())
    observer(weights)
    scale, zero = observer.calculate_qparams()
    codes = torch.ops.quantized_decomposed.quantize_per_channel(weights, scale, zero, 0, least, 127, torch.int8)
    values: list[list[float]] = (codes.numpy() * scale.float().double().numpy()[:, None]).tolist()
    return values


def pt2e_dynamic(say: Callable[[str], None], seeds: list[int]) -> list[list[list[float]]]:
    """The values of :func:`rows` for each of ``seeds``, quantized as they come by the operators of PT2E's programs."""
    import torch
    import torchao.quantization.pt2e  # noqa: F401  # registers the operators

    found = []
    for seed in seeds:
        x = torch.from_numpy(rows(seed))
        scale, zero = torch.ops.quantized_decomposed.choose_qparams.tensor(x, 0, 255, 2**-12, torch.uint8)
        codes = torch.ops.quantized_decomposed.quantize_per_tensor.tensor(x, scale, zero, 0, 255, torch.uint8)
        found.append(((codes.double().numpy() - float(zero)) * float(scale)).tolist())
    return found


def torchao(say: Callable[[str], None], seeds: list[int] | None = None) -> list[Any]:
    """The values of :func:`ties`, or those of :func:`rows` for each of ``seeds``, in torchao's int8 tensors."""
    import torch
    from torchao.quantization import Int8Tensor, PerRow

    given = [ties()] if seeds is None else [rows(seed) for seed in seeds]
    made = [Int8Tensor.from_hp(torch.from_numpy(each), PerRow()) for each in given]
    return [(each.qdata.double() * each.scale.double()).tolist() for each in made]


def telemetry(say: Callable[[str], None]) -> dict[str, bool]:
    """Whether OpenVINO and NNCF have imported the package that reports over the network, and whether its stub is used."""
    import sys

    from fixtures.backends import _openvino

    _openvino.nncf()
    import openvino.tools.ovc.telemetry_utils as utils

    stub = utils.init_ovc_telemetry().__class__.__module__
    return {"openvino_telemetry": sys.modules.get("openvino_telemetry") is not None, "stub": stub.endswith("telemetry_stub")}
