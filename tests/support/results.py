"""Makes folders of results from edited runs, and asks them with the command."""

from __future__ import annotations

import copy
import datetime
import json
import subprocess
import sys
from pathlib import Path

from fixtures.report.history import store
from fixtures.report.html import runs
from fixtures.store.source_code import ROOT
from tests.support.reports import Content

FIRST = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
#: What a row of a known failure has beside its figures.
EXPLAINED = ("known", "link", "instead")


def results(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m bench.results``."""
    command = [sys.executable, "-m", "bench.results", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def variation(content: Content, day: int = 0, cpu: str | None = None, version: str = "1.0", factor: float = 1.0) -> Content:
    """A copy of a run on another day, CPU or version of ONNX Runtime, whose latencies are multiplied by ``factor``.

    The visits of each variant differ by 2 %, and nothing is unstable or a known failure.
    """
    made = copy.deepcopy(content)
    made["datetime"] = (FIRST + datetime.timedelta(days=day)).isoformat()
    found = made["encoder_parity"]
    found["machine"]["cpu"] = cpu or found["machine"]["cpu"]
    found["versions"] = {**found["versions"], "onnxruntime": version}
    for row in found["rows"].values():
        for name in EXPLAINED:
            row.pop(name, None)
        if row.get("median_ms"):
            row["median_ms"] *= factor if row["backend"] == "onnxruntime" else 1.0
            row.update(unstable=None, disturbed=False, visits_ms=[share * row["median_ms"] for share in (1.0, 1.01, 1.02)])
    return made


def write(content: Content, path: Path) -> Path:
    """The file of a run."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def folder_of(tmp_path: Path, *contents: Content) -> Path:
    """A folder of results with these runs."""
    for number, content in enumerate(contents):
        store.append(runs.read(write(content, tmp_path / f"run-{number}.json")), str(tmp_path / "results"))
    return tmp_path / "results"
