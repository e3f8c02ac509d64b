"""Makes encoder blocks of any widths as ONNX graphs; a worker process calls :func:`found`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fixtures.backends import _onnx_graph


def found(say: Callable[[str], None], out: str, hidden: int, intermediate: int, segments: bool) -> list[list[str]]:
    """The results of ``down_projections`` and ``head_products`` of :mod:`fixtures.backends._onnx_graph` on such a graph.

    The graph looks up token ids, and with ``segments`` also segment ids, in a table. Two blocks of dense layers Q, K, V, O, up
    and down follow, then a head of one dense layer.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []

    def dense(name: str, source: str, width_in: int, width_out: int) -> str:
        weights.append(numpy_helper.from_array(np.ones((width_in, width_out), np.float32), f"{name}.w"))
        nodes.append(helper.make_node("MatMul", [source, f"{name}.w"], [f"{name}.out"], name=name))
        return f"{name}.out"

    def node(kind: str, *sources: str) -> str:
        nodes.append(helper.make_node(kind, list(sources), [f"{kind}{len(nodes)}"]))
        return str(nodes[-1].output[0])

    weights.append(numpy_helper.from_array(np.ones((9, hidden), np.float32), "table"))
    state = node("Gather", "table", "ids")
    if segments:
        state = node("Add", state, node("Gather", "table", "segments"))
    for layer in range(2):
        q, k, v = (dense(f"{layer}.{name}", state, hidden, hidden) for name in "qkv")
        # An exporter takes the sizes of a reshape from the tensor that it reshapes, or from the ids.
        scores = node("Softmax", node("MatMul", node("Reshape", q, node("Shape", "ids")), node("Transpose", k)))
        state = node("Add", state, dense(f"{layer}.o", node("MatMul", scores, v), hidden, hidden))
        up = node("Erf", dense(f"{layer}.up", state, hidden, intermediate))
        state = node("Add", state, dense(f"{layer}.down", node("Reshape", up, node("Shape", state)), intermediate, hidden))
    logits = dense("head", state, hidden, 150)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in ("ids", "segments")]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (logits, state)]
    path = Path(out) / "model.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "encoder", inputs, outputs, weights)), str(path))
    return [_onnx_graph.down_projections(path), _onnx_graph.head_products(path, state)]
