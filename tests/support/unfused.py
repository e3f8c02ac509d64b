"""A fused graph with the GELU of one layer unfused, with the same outputs; loaded by ENCODER_PARITY_PLUGINS."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from fixtures.core.registry import REGISTRY, Job

RECIPE = "one_gelu_in_pieces"
_low = REGISTRY.lowerings[("onnxruntime_fused", "f32", "")]


def _take_apart(path: Path) -> None:
    """Replace the first BiasGelu(x, b) with v = x + b, v * (1 + erf(v / sqrt(2))) / 2."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    place, whole = next((i, node) for i, node in enumerate(model.graph.node) if node.op_type == "BiasGelu")
    for name, value in (("root", math.sqrt(0.5)), ("one", 1.0), ("half", 0.5)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), f"piece_{name}"))
    steps = (
        ("Add", whole.input, "biased"), ("Mul", ["biased", "piece_root"], "scaled"), ("Erf", ["scaled"], "erf"),
        ("Add", ["erf", "piece_one"], "raised"), ("Mul", ["biased", "raised"], "twice"),
        ("Mul", ["twice", "piece_half"], whole.output[0]),
    )  # fmt: skip
    pieces = [helper.make_node(operator, list(inputs), [output]) for operator, inputs, output in steps]
    nodes = [*model.graph.node[:place], *pieces, *model.graph.node[place + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def _build(job: Job) -> dict[str, Any]:
    meta = _low.build(dataclasses.replace(job, recipe=""))
    _take_apart(job.out / "model.onnx")
    return meta


_made = dataclasses.replace(_low, recipe=RECIPE, build=_build, sources=(*_low.sources, Path(__file__)))
REGISTRY.lowerings[_made.cell] = _made
