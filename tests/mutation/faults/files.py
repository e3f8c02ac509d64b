"""Faults in a correctly built file: one kind of number in it is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.int8]


def overflow_the_mask(folder: Path) -> None:
    """Replaces the mask of an exported graph, ``Where(real, 0, -1e4)``, by a product that overflows in float16.

    Like in old models, the mask becomes (1 - real) times a number that is minus infinity in float16; for a real token that is
    NaN.
    """
    import onnx

    from fixtures.backends._onnx import FILE

    model = onnx.load(str(folder / FILE))
    lowest = {name for name, value in _constants(model.graph) if value.dtype == np.float16 and value.min(initial=0) <= -1e4}
    chosen = [node for node in model.graph.node if node.op_type == "Where" and node.input[2] in lowest]
    assert len(chosen) == 1, f"{folder}: {len(chosen)} masks"
    real, output = chosen[0].input[0], chosen[0].output[0]
    constant = onnx.helper.make_tensor("lowest", onnx.TensorProto.FLOAT16, [1], np.array([-np.inf], np.float16))
    made = [
        onnx.helper.make_node("Not", [real], ["padded"]),
        onnx.helper.make_node("Cast", ["padded"], ["padded_half"], to=onnx.TensorProto.FLOAT16),
        onnx.helper.make_node("Mul", ["padded_half", "lowest"], [output]),
    ]
    model.graph.initializer.append(constant)
    place = list(model.graph.node).index(chosen[0])
    nodes = [*model.graph.node[:place], *made, *model.graph.node[place + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(folder / FILE))


def _constants(graph: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    from onnx import numpy_helper

    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)


def _shifted(array: Bytes) -> Bytes:
    """Shifts weights as if their zero point were 1 and were read as 0."""
    return np.minimum(array.astype(np.int16) + 1, 127).astype(np.int8)


def shift_weights(folder: Path) -> None:
    """Shifts every int8 matrix of the one file in ``folder``."""
    _rewrite(folder, SHIFTS, "int8 weights")


def _rewrite(folder: Path, changes: Mapping[str, Callable[[Path], int]], what: str) -> None:
    """Applies the one of ``changes`` that is for a file in ``folder``; AssertionError if it changed nothing."""
    found = {path.name: change for path in folder.iterdir() if (change := changes.get(path.name))}
    assert len(found) == 1, f"{folder} has {found}"
    for name, change in found.items():
        assert change(folder / name), f"{folder / name} has no {what}"


def _shift_onnx(path: Path) -> int:
    import onnx
    from onnx import numpy_helper

    model, changed = onnx.load(str(path)), 0
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.INT8 and len(weight.dims) == 2:
            weight.CopyFrom(numpy_helper.from_array(_shifted(numpy_helper.to_array(weight)), weight.name))
            changed += 1
    onnx.save(model, str(path))
    return changed


def _shift_torch(path: Path) -> int:
    import torch

    def shifted(weight: Any) -> tuple[Any, Any]:
        return torch.from_numpy(_shifted(weight.int_repr().numpy())), weight.q_per_channel_scales()

    return _rewrite_torch(path, shifted)


def _rewrite_torch(path: Path, change: Callable[[Any], tuple[Any, Any]]) -> int:
    """Replaces every quantized weight by that of the integers and scales of ``change``; returns how many there are."""
    import torch

    state, changed = torch.load(path, weights_only=True), 0
    for name, value in state.items():
        if isinstance(value, tuple):
            weight, bias = value
            integers, scales = change(weight)
            axis = (scales, weight.q_per_channel_zero_points(), weight.q_per_channel_axis())
            state[name] = (torch._make_per_channel_quantized_tensor(integers, *axis), bias)
            changed += 1
    torch.save(state, path)
    return changed


def _shift_tflite(path: Path) -> int:
    content, changed = bytearray(path.read_bytes()), 0
    for model, tensor in _tflite_matrices(content):
        weights = _tflite_data(content, model.Buffers(tensor.Buffer()))
        if weights is not None:
            weights[:] = _shifted(weights)
            changed += 1
    path.write_bytes(content)
    return changed


def _tflite_matrices(content: bytearray) -> Iterator[tuple[Any, Any]]:
    """The model and each of its int8 tensors of two dimensions; what is written to their arrays is written to ``content``."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            if tensor.Type() == schema.TensorType.INT8 and tensor.ShapeLength() == 2:
                yield model, tensor


def _tflite_data(content: bytearray, buffer: Any) -> Bytes | None:
    """The location of a tensor's data in the file, inside its table or behind all tables; None for a computed tensor."""
    if buffer.DataLength():
        inside: Bytes = buffer.DataAsNumpy().view(np.int8)
        return inside
    return np.frombuffer(content, np.int8, buffer.Size(), buffer.Offset()) if buffer.Offset() > 1 else None


def exchange_scales(folder: Path) -> None:
    """Exchanges the scales of channels 0 and 1, 2 and 3, ... of every int8 matrix of the one file in ``folder``."""
    _rewrite(folder, EXCHANGES, "scales of channels")


def _exchanged(scales: npt.NDArray[Any]) -> npt.NDArray[Any]:
    order = np.arange(len(scales))
    even = len(scales) // 2 * 2
    order[:even] = order[:even].reshape(-1, 2)[:, ::-1].ravel()
    return scales[order]


def _exchange_onnx(path: Path) -> int:
    import onnx
    from onnx import numpy_helper

    model, changed = onnx.load(str(path)), 0
    matrices = {
        weight.name for weight in model.graph.initializer if weight.data_type == onnx.TensorProto.INT8 and len(weight.dims) == 2
    }
    for tensor in model.graph.initializer:
        # The quantizers of ONNX Runtime name the scales of w_quantized w_scale.
        if (
            tensor.name.endswith("_scale")
            and tensor.name.replace("_scale", "_quantized") in matrices
            and list(tensor.dims) > [1]
        ):
            tensor.CopyFrom(numpy_helper.from_array(_exchanged(numpy_helper.to_array(tensor)), tensor.name))
            changed += 1
    onnx.save(model, str(path))
    return changed


def _exchange_torch(path: Path) -> int:
    import torch

    def exchanged(weight: Any) -> tuple[Any, Any]:
        return weight.int_repr(), torch.from_numpy(_exchanged(weight.q_per_channel_scales().numpy()))

    return _rewrite_torch(path, exchanged)


def _exchange_tflite(path: Path) -> int:
    content, changed = bytearray(path.read_bytes()), 0
    for _, tensor in _tflite_matrices(content):
        if tensor.Quantization().ScaleLength() > 1:
            scales = tensor.Quantization().ScaleAsNumpy()
            scales[:] = _exchanged(scales)
            changed += 1
    path.write_bytes(content)
    return changed


SHIFTS: dict[str, Callable[[Path], int]] = {
    "model.onnx": _shift_onnx,
    "state_dict.pt": _shift_torch,
    "model.tflite": _shift_tflite,
}
EXCHANGES: dict[str, Callable[[Path], int]] = {
    "model.onnx": _exchange_onnx,
    "state_dict.pt": _exchange_torch,
    "model.tflite": _exchange_tflite,
}
