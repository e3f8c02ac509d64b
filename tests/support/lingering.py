"""Tests that wait at the moment LINGER_AT, for ``test_interruption.py``; pytest runs them only if they are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.harness.harness import Harness
from fixtures.store.artifact import Request
from tests.support import mishaps

MOMENT = os.environ.get("LINGER_AT", "")
if MOMENT == "collection":
    mishaps.lingers(print, os.environ["LINGER_OUT"])


@pytest.mark.parametrize("heavy", [False, True])
def test_build(harness: Harness, heavy: bool) -> None:
    job = "lingers" if ("heavy build" if heavy else "build") == MOMENT else "fine"

    def build(out: Path) -> object:
        return harness.pool.job(job, f"tests.support.mishaps:{job}", heavy=heavy, out=str(out))

    harness.store.get(Request(f"lingering-{heavy}", {"heavy": heavy}, heavy), build)  # type: ignore[arg-type]


def test_run(harness: Harness, tmp_path: Path) -> None:
    harness.pool.call("run", f"tests.support.mishaps:{'lingers' if MOMENT == 'run' else 'fine'}", out=str(tmp_path))
