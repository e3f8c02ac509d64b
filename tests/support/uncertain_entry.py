"""Known failures marked ``sometimes``, of builds that work, fail as expected or fail in another way.

Loaded by ENCODER_PARITY_PLUGINS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fixtures import known_failures
from fixtures.core.errors import RemoteError
from fixtures.core.registry import REGISTRY, Job
from fixtures.known_failures.entry import BUILD, KnownFailure


def _break(precision: str, message: str) -> None:
    def build(job: Job) -> dict[str, Any]:
        raise RuntimeError(message)

    cell = ("pytorch", precision, "")
    REGISTRY.lowerings[cell] = dataclasses.replace(REGISTRY.lowerings[cell], build=build)


_break("bf16", "the grid is too coarse")
_break("f16", "something else is wrong")
_entry = KnownFailure(
    variant="*-pytorch-*", phase=BUILD, exception=RemoteError, message="^RuntimeError: the grid is too coarse", reason="r",
    remedy="m", link="https://example.org/1", sometimes="the weights",
)  # fmt: skip
known_failures.KNOWN_FAILURES = (_entry, *known_failures.KNOWN_FAILURES)
