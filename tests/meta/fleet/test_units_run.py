"""Tests running units on this machine: results are whole, arrive in any order, and are missing by name; nothing is left."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.fleet import local, merge
from fixtures.fleet.execute import Outcome, Terms, execute
from fixtures.fleet.node import Node, alone
from fixtures.fleet.results import FAILED, SCRATCH, Results
from fixtures.metrics.intervals import Ratio, across
from fixtures.store.source_code import ROOT
from tests.support.fleet_units import NODES, TERMS, board, made

HERE = NODES[0]


@pytest.fixture(autouse=True)
def a_lock_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of units in another folder than that of this host's, which a real fleet may hold for hours."""
    folder = str(tmp_path_factory.mktemp("lock"))
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_resumes_with_what_is_missing(tmp_path: Path) -> None:
    units = [made(tmp_path, number) for number in range(3)]
    said: list[str] = []
    first = board(tmp_path, units[:1], say=said.append)
    local.run(first, [HERE], TERMS)
    again = board(tmp_path, units, say=said.append)
    local.run(again, [HERE], TERMS)
    assert [line.partition(" on ")[0] for line in said] == [unit.name for unit in units], "the first ran once"
    assert again.progress() == "cells: 3 done, 0 under way, 0 left"
    assert not again.missing({})
    changed = dataclasses.replace(units[0], facts={})
    assert not Results(tmp_path / "results").nodes(dataclasses.replace(changed, facts={"code": "new"})), "other code, other key"


def test_results_in_any_order_and_twice_give_the_same_page(tmp_path: Path) -> None:
    units = [made(tmp_path, number, kind="conformance") for number in range(2)]
    outcomes = [execute(unit, node, TERMS) for unit in units for node in NODES[:2]]
    pages = set()
    for place, order in enumerate(itertools.permutations(outcomes)):
        if place % 7:
            continue
        results = Results(tmp_path / f"results-{place}")
        accepted = [results.accept(outcome) for outcome in (*order, *order)]
        assert accepted == [True] * 4 + [False] * 4
        found = merge.collect(units, results)
        assert [one.node for one in found] == ["n1", "n2", "n1", "n2"]
        page = merge.write(units, found, {}, tmp_path / f"page-{place}", lambda text: None)
        pages.add(page.read_text(encoding="utf-8"))
    assert len(pages) == 1


def test_units_without_a_result_are_named_with_the_reason(tmp_path: Path) -> None:
    units = [made(tmp_path, 0), made(tmp_path, 1, "--exit=3"), made(tmp_path, 2, cpu="zen9"), made(tmp_path, 3, "--exit=1")]
    found = board(tmp_path, units, tries=2)
    local.run(found, [HERE], TERMS)
    missing = found.missing({"zen9": "nobody has one"})
    assert missing == {
        units[1].name: "it ended with exit code 3 and no result: it has ended (on n1, after 2 of 2 tries)",
        units[2].name: "nobody has one",
    }  # fmt: skip
    results = merge.collect(units, found.results)
    assert [one.count("failed") for one in results] == [0, 1], "a failed test is a result"
    text = merge.write(units, results, missing, tmp_path / "page", print).read_text(encoding="utf-8")
    assert all(name in text for name in missing)
    assert "1 is not 2" in text
    assert len(list((tmp_path / "results" / FAILED).iterdir())) == 1, "the log of the try is kept"


def test_a_unit_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    outcome = execute(made(tmp_path, 0, f"--pid={pid}", "--sleep=600"), HERE, Terms(2.0, 0.0, True))
    assert outcome.why == "it did not end within 0.0333333 minutes"
    wait_for(lambda: not lives(int(pid.read_text())))


def test_a_remote_reaches_every_unit_and_is_in_no_key_and_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODER_PARITY_ARTIFACTS_REMOTE", "of-the-node")
    found = tmp_path / "remote"
    unit = made(tmp_path, 0, f"--remote={found}")
    for remote, told in ((None, "of-the-node"), ("https://me:secret@host/x", "https://me:secret@host/x")):
        terms = dataclasses.replace(TERMS, remote=remote)
        outcome = execute(unit, HERE, terms)
        assert found.read_text(encoding="utf-8") == told
        assert (outcome.why, outcome.key) == (None, unit.key)
        assert not any(b"secret" in content for content in outcome.files.values())
        assert "secret" not in repr(terms)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_ends_leaves_no_process_and_no_half_result(tmp_path: Path, number: signal.Signals) -> None:
    pid = tmp_path / "pid"
    command = [sys.executable, "-m", "tests.support.fleet_units", "local", str(tmp_path), "1", f"--pid={pid}", "--sleep=600"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        wait_for(lambda: pid.exists() and bool(pid.read_text()))
        running.send_signal(number)
        assert running.wait(30) != 0
    wait_for(lambda: not lives(int(pid.read_text())))
    results = tmp_path / "results"
    assert not [path for path in results.rglob("*") if path.name not in (SCRATCH, FAILED)]


def test_units_of_one_host_wait_for_one_another(tmp_path: Path) -> None:
    """Whoever starts them: the lock is the host's, and the kernel's."""
    command = [sys.executable, "-m", "tests.support.fleet_units", "local", str(tmp_path), "1", f"--pid={tmp_path / 'pid'}"]
    with alone():
        running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(4)
        assert not (tmp_path / "pid").exists()
    answer, _ = running.communicate(timeout=60)
    assert json.loads(answer)["done"] == 1


@pytest.fixture
def spinners() -> Iterator[None]:
    """Other processes that want every CPU of this machine."""
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(os.cpu_count() or 1)]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.mark.usefixtures("spinners")
def test_a_disturbed_node_refuses_a_benchmark_unless_the_plan_accepts_that(tmp_path: Path) -> None:
    unit = made(tmp_path, kind="bench")
    refused = execute(unit, HERE, Terms(60.0, 0.0, accept_disturbed=False))
    assert not refused.files
    assert refused.why is not None
    assert refused.why.startswith("the node is disturbed: ")
    assert "other processes used the CPUs" in refused.why
    assert execute(unit, HERE, Terms(60.0, 0.0, accept_disturbed=True)).why is None
    conformance = made(tmp_path)
    assert execute(conformance, HERE, Terms(60.0, 0.0, accept_disturbed=False)).why is None, "it depends on no time"


def test_each_unit_runs_on_as_many_nodes_as_it_has_copies_where_there_are_as_many(tmp_path: Path) -> None:
    units = [made(tmp_path, 0), made(tmp_path, 1, cpu="arm*")]
    found = board(tmp_path, units, copies=2)
    local.run(found, [*NODES, Node("a1", "arm9")], TERMS)
    assert [len(found.done[unit.key]) for unit in units] == [2, 1]
    assert not found.missing({})


def test_a_unit_that_failed_on_a_node_goes_to_another(tmp_path: Path) -> None:
    unit = made(tmp_path)
    found = board(tmp_path, [unit])
    taken = found.next(NODES[:2])
    assert taken is not None
    assert found.next(NODES) is None, "a unit under way is not given out again"
    found.settle(Outcome(unit.key, NODES[0].name, why="it broke"))
    again = found.next(NODES[:2])
    assert again is not None
    assert again[1] == [NODES[1]]


def test_the_variance_between_nodes_is_in_the_interval() -> None:
    alike = across([Ratio(2.0, 1.9, 2.1), Ratio(2.0, 1.9, 2.1)])
    apart = across([Ratio(2.0, 1.9, 2.1), Ratio(3.0, 2.9, 3.1)])
    assert alike.estimate == pytest.approx(2.0)
    assert alike.half_width < 0.05, "two nodes that agree know more than one"
    assert apart.low <= 2.0 < apart.estimate < 3.0 <= apart.high
    assert across([Ratio(2.0, 1.9, 2.1), Ratio(9.0, 0.0, math.inf)]) == Ratio(2.0, 1.9, 2.1), "a disturbed node adds nothing"


def test_runs_of_two_nodes_are_one_run_with_the_ratio_of_both(tmp_path: Path) -> None:
    unit = made(tmp_path, kind="bench")
    results = Results(tmp_path / "results")
    for node, factor in zip(NODES[:2], (1.0, 1.5), strict=True):
        outcome = execute(unit, node, TERMS)
        content = json.loads(outcome.files[f"{unit.name}.json"])
        rows = list(content["encoder_parity"]["rows"].values())
        for row, median in zip(rows, (2.0, 1.0 * factor), strict=True):
            row |= {"median_ms": median, "visits_ms": [median, median * 1.01, median * 1.02], "disturbed": False}
        results.accept(Outcome(unit.key, node.name, {f"{unit.name}.json": json.dumps(content).encode()}))
    (run,) = merge.joined(merge.collect([unit], results))
    ratio = run.speed_ups["sample-tiny-onnxruntime-f32"]
    assert ratio.low <= 2.0 / 1.5 < ratio.estimate < 2.0 <= ratio.high
    assert sorted(run.rows["sample-tiny-onnxruntime-f32"]["nodes"]) == ["n1", "n2"]


def test_a_unit_does_not_inherit_what_limits_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray sets OMP_NUM_THREADS for its workers, with which every runtime would be measured with one thread."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    unit = dataclasses.replace(made(tmp_path), target=("-c", "import os; print(os.environ.get('OMP_NUM_THREADS')); exit(3)"))
    outcome = execute(unit, HERE, TERMS)
    assert outcome.files["log.txt"] == b"None\n"
    assert os.environ["OMP_NUM_THREADS"] == "1"
