"""A backend that runs ONNX Runtime and adds work to every inference: a known slow-down, to test the gate.

``ENCODER_PARITY_PLUGINS=bench.slowed`` registers it; ``meta["extra_seconds"]`` is the time that it adds.
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
