"""ONNX Runtime with work added to every inference: a slow-down of a known size, for proving the gate.

A backend like any other, for ``ENCODER_PARITY_PLUGINS=bench.slowed``; ``meta["extra_seconds"]`` says how much it adds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fixtures.backends._onnx import OnnxRuntimeSession
from fixtures.core.registry import backend
from fixtures.core.spec import Shape


@backend
class Slowed(OnnxRuntimeSession):
    name = "onnxruntime_slowed"

    def load(self, artifact: Path, meta: Mapping[str, Any], shape: Shape, threads: int) -> None:
        super().load(artifact, meta, shape, threads)
        self.extra = int(meta["extra_seconds"] * 1e9)

    def invoke(self, prepared: Any) -> Any:
        result = super().invoke(prepared)
        end = time.perf_counter_ns() + self.extra
        while time.perf_counter_ns() < end:
            pass
        return result
