"""Tests measurements under load: batches of what waits, the bisection of rates, and LoadGen itself on answers of no model."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fixtures.core.errors import RemoteError
from fixtures.harness.worker_process import WorkerProcess
from fixtures.timing.load import FIRST, LEAST_RATE, OFFLINE, SERVER, SINGLE, Served, largest, surely_fails
from fixtures.worker.load_generator import Batches, summary
from tests.support.load_jobs import ROWS

WITH_LOADGEN = pytest.mark.skipif(importlib.util.find_spec("mlperf_loadgen") is None, reason="not installed: mlcommons-loadgen")
LIMIT = 0.1
Floats = npt.NDArray[np.float32]


def served(late: int, of: int, valid: bool) -> Served:
    latencies = [2 * LIMIT] * late + [LIMIT / 2] * (of - late)
    return Served(latencies, [1] * of, {"Result is": "VALID" if valid else "INVALID"}, None, 1.0)


class Blocked:
    """A batcher whose first answer waits until ``go``; ``batches`` are the rows of each answer."""

    def __init__(self, lengths: Sequence[int], most: int) -> None:
        self.batches: list[list[int]] = []
        self.go, self.started = threading.Event(), threading.Event()
        self.completed: dict[int, float] = {}
        self.made = Batches([self.answer], lengths, most, 0.0, self.complete)

    def answer(self, rows: Sequence[int]) -> Floats:
        self.batches.append(list(rows))
        self.started.set()
        assert self.go.wait(30)
        return np.array([[10 * row] for row in rows], np.float32)

    def complete(self, queries: list[int], logits: Floats) -> None:
        self.completed |= {query: float(row[0]) for query, row in zip(queries, logits, strict=True)}


def test_a_batch_is_the_oldest_query_with_those_nearest_in_length() -> None:
    blocked = Blocked(lengths=[10, 50, 11, 90, 52, 12], most=3)
    blocked.made.issue([100], [0])
    assert blocked.started.wait(30)
    blocked.made.issue([101, 102, 103, 104, 105], [1, 2, 3, 4, 5])
    blocked.go.set()
    blocked.made.close()
    assert blocked.batches == [[0], [1, 4, 5], [2, 3]], "the oldest goes first, whatever its length"
    assert blocked.completed == {100 + row: 10.0 * row for row in range(6)}, "every query has its own answer, once"
    assert blocked.made.sizes == [1, 3, 2]
    assert len(blocked.made.latencies) == 6


def test_a_query_that_waits_alone_is_answered_when_its_patience_ends_or_the_batcher_closes() -> None:
    done = threading.Event()
    made = Batches([lambda rows: np.zeros((len(rows), 1))], [5], 8, 1e-3, lambda queries, logits: done.set())
    made.issue([1], [0])
    assert done.wait(30)
    patient = Batches([lambda rows: np.zeros((len(rows), 1))], [5], 8, 3600.0, lambda queries, logits: None)
    patient.issue([1], [0])
    patient.close()
    assert patient.sizes == [1]
    made.close()


def test_the_largest_rate_lies_between_one_that_holds_and_one_that_surely_fails() -> None:
    tried = []

    def serve(rate: float) -> Served:
        tried.append(rate)
        return served(late=0 if rate <= 137 else 50, of=1000, valid=rate <= 137)

    found = largest(serve, 400.0, LIMIT, tries=8)
    assert found.low <= 137 < (found.high or 0)
    assert tried[0] == FIRST * 400, "the first try is most of what no server holds"
    assert (found.high or 0) - found.low < 400 / 2**6
    assert len(tried) == 8
    assert set(found.tried) == set(tried)
    assert found.at is not None
    assert found.at.valid


def test_a_rate_that_cannot_be_judged_is_neither() -> None:
    """1 % of late queries is not surely more than 1 %, and LoadGen does not call it valid: no rate is said to fail."""
    found = largest(lambda rate: served(late=10, of=1000, valid=False), 400.0, LIMIT)
    assert (found.low, found.high, found.at) == (0.0, None, None)
    assert largest(lambda rate: pytest.fail("no rate is worth a test"), LEAST_RATE, LIMIT).at is None, "of minutes"
    assert surely_fails(served(late=30, of=1000, valid=False), LIMIT)
    assert not surely_fails(served(late=2, of=40, valid=False), LIMIT), "2 of 40 may be luck"


def test_a_summary_of_loadgen_is_read_by_its_own_names() -> None:
    text = (
        "==\nScenario : Server\n99.00 percentile latency (ns)   : 9108179\nResult is : INVALID\n  Min queries satisfied : Yes\n"
    )
    assert summary(text) == {
        "Scenario": "Server",
        "99.00 percentile latency (ns)": 9108179.0,
        "Result is": "INVALID",
        "Min queries satisfied": "Yes",
    }


@WITH_LOADGEN
@pytest.mark.parametrize("scenario", [SINGLE, OFFLINE, SERVER])
def test_loadgen_gets_an_answer_to_every_query(scenario: str, tmp_path: Path) -> None:
    found = _loadgen(tmp_path, scenario)
    assert found["queries"] == found["rows"] >= 100
    assert found["answers"] == {str(row): float(row) for row in range(ROWS)}, "each row has its own answer"
    assert found["largest"] <= (1 if scenario == SINGLE else 4)
    assert found["summary"]["Scenario"] == scenario
    assert (tmp_path / "mlperf_log_detail.txt").stat().st_size > 0, "LoadGen's own logs are kept"


@WITH_LOADGEN
def test_a_poisoned_row_is_an_error_and_nothing_hangs(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="row 7 is poisoned"):
        _loadgen(tmp_path, OFFLINE, poisoned=7)


def _loadgen(out: Path, scenario: str, **more: Any) -> dict[str, Any]:
    asked = {"scenario": scenario, "seconds": 0.1, "queries": 100, "seed": 1, "rate": 1000.0, "limit": LIMIT, "most": 4,
             "patience": 0.0}  # fmt: skip
    worker = WorkerProcess("loadgen", out / "worker.log", threads=1)
    try:
        made: dict[str, Any] = worker.ask(
            "call", timeout=120, target="tests.support.load_jobs:run", arguments={"asked": asked, "out": str(out), **more}
        )["value"]
    finally:
        worker.close()
    return made
