"""What upstream would be if it worked: cells with a known failure, built as their working neighbours are.

Loaded by ENCODER_PARITY_PLUGINS, to show that a strict xfail notices.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fixtures.registry import REGISTRY, Cell, Job

#: A cell that is broken today, and one of the same backend that works.
FIXED = {
    ("tensorflow", "f32", "library_default"): ("tensorflow", "f32", ""),
    ("onnxruntime_tensorflow", "f32", "library_default"): ("onnxruntime_tensorflow", "f32", ""),
    ("tflite", "int8_static", "full_integer"): ("tflite", "int8_static", ""),
    ("tflite", "int16x8", "full_integer"): ("tflite", "int16x8", ""),
    ("onnxruntime_fused", "f32", "library_default"): ("onnxruntime_fused", "f32", ""),
}


def _fix(broken: Cell, working: Cell) -> None:
    low = REGISTRY.lowerings[working]

    def build(job: Job) -> dict[str, Any]:
        return low.build(dataclasses.replace(job, recipe=""))

    REGISTRY.lowerings[broken] = dataclasses.replace(low, recipe=broken[2], build=build)


for _broken, _working in FIXED.items():
    _fix(_broken, _working)
