"""Tests that the faults of ``tests/mutation`` can be registered beside the cells of every backend, which is quick to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from fixtures.core.registry import load
from fixtures.store.source_code import ROOT
from tests.mutation.detection import PLUGIN

LISTED = "import json; from fixtures.core.registry import load; print(json.dumps(sorted(map(list, load().lowerings))))"


def test_every_backend_gets_faulty_cells() -> None:
    asked = [sys.executable, "-c", LISTED]
    listed = subprocess.run(asked, cwd=ROOT, env={**os.environ, **PLUGIN}, check=True, capture_output=True, text=True)
    faulty = {backend for backend, _, recipe in json.loads(listed.stdout) if recipe.startswith("fault_")}
    right = {low.backend for low in load().lowerings.values() if not low.recipe and not low.reference}
    assert faulty >= right
