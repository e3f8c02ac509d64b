"""A backend that kills its worker process in the build or in the first inference; loaded by ENCODER_PARITY_PLUGINS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fixtures.core.registry import Arrays, Backend, Job, backend, lowering
from fixtures.core.spec import Shape
from tests.support import mishaps


@backend
class Crashing(Backend):
    name = "crashing"

    def load(self, artifact: Path, meta: Mapping[str, Any], shape: Shape, threads: int) -> None:
        """Nothing to open."""

    def prepare(self, inputs: Arrays) -> Any:
        return inputs

    def invoke(self, prepared: Any) -> Any:
        mishaps.segfaults(print, "")


@lowering("crashing", "f32", "build")
def build(job: Job) -> dict[str, Any]:
    """Is killed while it writes, as the kernel does when memory is exhausted."""
    mishaps.is_killed(print, str(job.out))
    return {}


@lowering("crashing", "f32", "invoke")
def invoke(job: Job) -> dict[str, Any]:
    """Builds, and crashes when it is run."""
    (job.out / "model.bin").write_bytes(b"model")
    return {}
