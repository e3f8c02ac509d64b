"""Builds cells with a known failure like working cells, as if upstream had fixed them.

Loaded by ENCODER_PARITY_PLUGINS to show that a strict xfail then fails; importing this module changes the registry.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fixtures.core.registry import REGISTRY, Cell, Job
from tests.support.nested import MENDED


def _fix(broken: Cell, working: Cell) -> None:
    low = REGISTRY.lowerings[working]

    def build(job: Job) -> dict[str, Any]:
        return low.build(dataclasses.replace(job, recipe=""))

    REGISTRY.lowerings[broken] = dataclasses.replace(low, recipe=broken[2], build=build)


for _broken, _working in MENDED.items():
    _fix(_broken, _working)
