"""Tests the Ray engine on clusters on this host: a node killed and one added, Ctrl-C, the same rows as on one machine."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench import fleet
from fixtures.core.errors import SuiteError
from fixtures.fleet import local, ray_engine
from fixtures.fleet.merge import collect, rows
from fixtures.fleet.plan import read
from fixtures.fleet.results import FAILED, SCRATCH, Results
from fixtures.fleet.unit import expand
from fixtures.store.source_code import ROOT
from tests.meta.fleet.test_units_run import lives, wait_for
from tests.support.fleet_units import NODES, TERMS, board, made

HAS_RAY = importlib.util.find_spec("ray") is not None
WITH_RAY = pytest.mark.skipif(not HAS_RAY, reason="not installed: ray")


@pytest.fixture(autouse=True)
def a_lock_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray keeps its own files where it always does."""
    folder = str(tmp_path_factory.mktemp("lock"))
    monkeypatch.setenv("RAY_TMPDIR", tempfile.gettempdir())
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)


def run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
    assert found.returncode == 0, found.stderr[-3000:]
    answer: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return answer


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_one_sentence_says_what_to_install() -> None:
    with pytest.raises(SuiteError, match="Ray is not installed"), ray_engine.connected(None, [], print):
        pass


@WITH_RAY
@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_a_unit_costs_nothing_and_one_added_is_used(tmp_path: Path) -> None:
    found = run("tests.support.fleet_cluster", "stubs", str(tmp_path))
    assert len(found["killed"]) == 1
    assert not found["the killed unit lives"]
    assert not found["missing"]
    nodes = list(found["done"].values())
    assert all(len(names) == 1 for names in nodes), "nothing is counted twice"
    assert nodes[0] != found["killed"], "the unit ran again elsewhere"
    assert nodes[-1] == ["n3"]
    folder = tmp_path / "alone"
    folder.mkdir()
    alone = board(folder, [made(tmp_path, number) for number in range(6)])
    local.run(alone, NODES, TERMS)
    there = [found["rows"][unit.name] for unit in alone.units.values()]
    here = rows(collect(list(alone.units.values()), alone.results))
    assert there == list(here.values()), "the same rows as on one machine"


PLAN = """
copies = 1
minutes = 30
disturbed = "accept"
[[cells]]
models = ["bert-base-cased", "distilbert-base-cased", "roberta-base", "electra-small"]
size = "tiny"
backends = ["onnxruntime"]
precisions = ["f32", "int8_dynamic"]
tests = ["test_latency.py", "test_quality.py"]
"""


@WITH_RAY
@pytest.mark.nightly
def test_a_plan_of_benchmarks_on_a_cluster_with_a_node_killed_has_the_rows_of_one_machine(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN, encoding="utf-8")
    there, here = tmp_path / "there", tmp_path / "here"
    found = run("tests.support.fleet_cluster", "plan", str(there), str(tmp_path / "report"), str(path))
    assert found["code"] == 0
    assert len(found["killed"]) == 1
    assert fleet.main([str(path), "--results", str(here), "--no-report"]) == 0
    units = expand(read(path))
    assert rows(collect(units, Results(there))) == rows(collect(units, Results(here)))
    assert all(row["failed"] is None for unit in rows(collect(units, Results(there))).values() for row in unit["rows"].values())
    assert sum(1 for _ in (tmp_path / "report").rglob("*.html")) > 1, "an index, and a page of figures"


@WITH_RAY
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_fleet_that_ends_leaves_no_process_and_no_half_result(tmp_path: Path, number: signal.Signals) -> None:
    pid = tmp_path / "pid"
    command = [sys.executable, "-m", "tests.support.fleet_units", "ray", str(tmp_path), "1", f"--pid={pid}", "--sleep=600"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        wait_for(lambda: pid.exists() and bool(pid.read_text()), 120.0)
        running.send_signal(number)
        assert running.wait(60) != 0
    wait_for(lambda: not lives(int(pid.read_text())))
    assert not [path for path in (tmp_path / "results").rglob("*") if path.name not in (SCRATCH, FAILED)]
