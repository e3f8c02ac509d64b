"""A backend for worker processes that crashes, runs out of memory or hangs while it loads or runs, as ``meta`` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fixtures.core.registry import Arrays, Backend, backend
from fixtures.core.spec import Shape
from tests.support import mishaps


@backend
class Faulty(Backend):
    name = "faulty"

    def load(self, artifact: Path, meta: Mapping[str, Any], shape: Shape, threads: int) -> None:
        self.artifact, self.meta = artifact, meta
        if meta["moment"] == "load":
            self.invoke(None)

    def prepare(self, inputs: Arrays) -> Any:
        return inputs

    def invoke(self, prepared: Any) -> Any:
        getattr(mishaps, self.meta["fault"])(print, str(self.artifact))
