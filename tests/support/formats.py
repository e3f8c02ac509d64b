"""Makes ONNX files with one matrix product in different formats, and reads their formats, in a worker process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.backends import _onnx_formats

#: The nodes of each kind of file: operator, inputs, output, and the target type of a Cast.
NODES: dict[str, list[tuple[str, list[str], str, str]]] = {
    "f16": [("Cast", ["x"], "a", "FLOAT16"), ("MatMul", ["a", "half"], "p", ""), ("Cast", ["p"], "y", "FLOAT")],
    "f16 computed in f32": [
        ("Cast", ["x"], "a", "FLOAT16"), ("Cast", ["a"], "b", "FLOAT"), ("Cast", ["half"], "v", "FLOAT"),
        ("MatMul", ["b", "v"], "y", ""),
    ],
    "int8": [
        ("QuantizeLinear", ["x", "scale", "zero"], "q", ""), ("DequantizeLinear", ["q", "scale", "zero"], "a", ""),
        ("DequantizeLinear", ["whole", "scale"], "v", ""), ("MatMul", ["a", "v"], "y", ""),
    ],
    "int8 weights of a float product": [("DequantizeLinear", ["whole", "scale"], "v", ""), ("MatMul", ["x", "v"], "y", "")],
}  # fmt: skip


def found(say: Callable[[str], None], out: str, kind: str) -> dict[str, Any]:
    """The formats that are found in a file of this ``kind``: a 4 x 4 product of a float32 input."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "half": np.ones((4, 4), np.float16),
        "whole": np.ones((4, 4), np.int8),
        "scale": np.float32(1),
        "zero": np.uint8(0),
    }
    nodes = [
        helper.make_node(name, given, [made], **({"to": getattr(TensorProto, to)} if to else {}))
        for name, given, made, to in NODES[kind]
    ]
    read = {name for _, given, _, _ in NODES[kind] for name in given}
    kept = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items() if name in read]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in "xy")
    model = helper.make_model(helper.make_graph(nodes, "product", [x], [y], kept))
    onnx.checker.check_model(model)
    path = Path(out) / "model.onnx"
    onnx.save(model, str(path))
    return _onnx_formats.formats(path)
