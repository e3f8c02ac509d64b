"""Tests that the faults of ``tests/mutation`` can be registered beside the cells of every backend, which is quick to see."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys

import pytest

from fixtures.core.registry import load
from fixtures.store.source_code import ROOT
from tests.mutation.detection import PLUGIN
from tests.mutation.faults.spec import PREFIX
from tests.mutation.faults.unseen import BY_MACHINE, UNSEEN, never, reason

LISTED = "import json; from fixtures.core.registry import load; print(json.dumps(sorted(map(list, load().lowerings))))"


@pytest.fixture(scope="module")
def faulty() -> list[tuple[str, str, str]]:
    """The backend, precision and fault of every faulty cell."""
    asked = [sys.executable, "-c", LISTED]
    listed = subprocess.run(asked, cwd=ROOT, env={**os.environ, **PLUGIN}, check=True, capture_output=True, text=True)
    cells = [tuple(cell) for cell in json.loads(listed.stdout)]
    return [(backend, precision, name.removeprefix(PREFIX)) for backend, precision, name in cells if name.startswith(PREFIX)]


def test_every_backend_gets_faulty_cells(faulty: list[tuple[str, str, str]]) -> None:
    right = {low.backend for low in load().lowerings.values() if not low.recipe and not low.reference}
    assert {backend for backend, _, _ in faulty} >= right


def test_what_is_declared_unseen_is_a_fault_of_a_cell(faulty: list[tuple[str, str, str]]) -> None:
    """Every entry names a fault and cells that exist, so that none outlives what it is about."""
    cells = {(fault, f"{backend}-{precision}") for backend, precision, fault in faulty}
    entries = [(fault, pattern) for table in (UNSEEN, BY_MACHINE) for fault, found in table.items() for pattern in found]
    gone = [entry for entry in entries if not any(c[0] == entry[0] and fnmatch.fnmatchcase(c[1], entry[1]) for c in cells)]
    assert not gone


def test_a_fault_that_some_machines_show_may_be_caught_and_may_be_missed() -> None:
    for cell in (("more_threads", "openvino", "f32"), ("more_threads", "ctranslate2", "f32")):
        assert never(*cell) is None
        assert "the cores" in str(reason(*cell))
    assert reason("more_threads", "onnxruntime", "f32") is None, "a test must see it"
    assert never("dropout", "openvino", "f32") == reason("dropout", "openvino", "f32") is not None, "no test does"
