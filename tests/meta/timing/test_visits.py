"""Tests the measurement of latency: windows, visits, their spread, and speed-ups with an interval."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.harness.harness import Harness
from fixtures.harness.session import Block
from fixtures.report.sections import table
from fixtures.report.speed_up import speed_up
from fixtures.timing.noise import PATIENCE, Measurement, gather, steady
from fixtures.timing.visits import ROUNDS_FOR_P95, Latency, Visit
from tests.support.nested import run
from tests.support.turns import BUSY, QUIET


def window(*medians: float, contention: dict[str, float] = QUIET) -> Measurement:
    blocks = iter([Block([median] * 5, contention) for median in medians])
    return gather(lambda: next(blocks), len(medians))


def visit(median: float, rounds: int = 30, unstable: str | None = None, repeated: int = 0) -> Visit:
    found = Measurement([median] * rounds, repeated, unstable, QUIET)
    return Visit(100.0, 10.0, 5.0, 10, 50.0, 64.0, 80.0, 90.0 + median, 2000.0, 2, ("open", "warm_up", "rounds"), found)


def test_a_window_whose_stretches_differ_is_measured_again() -> None:
    windows: Iterator[Measurement] = iter([window(1.0, 1.6, 1.0), window(1.0, 1.05, 1.0)])
    found = steady(lambda: next(windows))
    assert (found.median, found.unstable, found.repeated) == (1.0, None, 3)
    assert found.apart == pytest.approx(0.05)


def test_a_window_that_never_is_even_says_so() -> None:
    windows = iter([window(1.0, 1.6), window(1.0, 1.2), window(1.0, 1.4)])
    found = steady(lambda: next(windows))
    assert (found.unstable, found.repeated) == ("stretches differ by 20%", 2 * (PATIENCE - 1))
    busy = steady(lambda: gather(lambda: Block([1.0], BUSY), 1))
    assert "threads waited for a CPU" in str(busy.unstable), "what the kernel saw is the better reason"


def test_the_lowest_visit_counts_and_the_others_say_what_it_is_worth() -> None:
    latency = Latency((visit(1.29), visit(0.75, repeated=2), visit(0.76)))
    figures = latency.fields()
    assert (figures["median_ms"], figures["visits_ms"]) == (750.0, [1290.0, 750.0, 760.0])
    assert figures["unstable"] == "visits differ by 72%"
    assert figures["conditions"] == "unstable: visits differ by 72%"
    steady_one = Latency((visit(0.75), visit(0.78, unstable="stretches differ by 20%"), visit(0.76, repeated=2)))
    assert (steady_one.unstable, steady_one.fields()["conditions"]) == (None, "2 repeated"), "an unstable visit that is near"
    assert Latency((visit(0.75, unstable="x"), visit(0.76))).unstable == "x"
    assert figures["peak_mib"] == pytest.approx(90.76), "the middle process"


def test_a_95th_percentile_takes_59_rounds() -> None:
    few, enough = Latency((visit(1.0, 29), visit(1.0, 29))), Latency((visit(1.0, 29), visit(1.0, 30)))
    assert (few.p95, enough.p95) == (None, 1.0)
    assert 0.95**ROUNDS_FOR_P95 < 0.05 < 0.95 ** (ROUNDS_FOR_P95 - 1)


def row(*visits: float, baseline: str = "base") -> dict[str, Any]:
    return {"median_ms": min(visits), "visits_ms": list(visits), "baseline": baseline}


def test_a_speed_up_has_an_interval_over_processes() -> None:
    base, own = row(20.0, 20.4, 20.2), row(10.0, 10.1, 10.3)
    found = speed_up(base, own)
    assert found is not None
    assert found.estimate == 2.0
    assert 1.9 < found.low < 2.0 < found.high < 2.1
    same = speed_up(base, base)
    assert same is not None
    assert (same.low, same.high) == (1.0, 1.0)
    assert speed_up({}, own) is None
    for one, other in (({**base, "disturbed": True}, own), (base, {**own, "disturbed": True})):
        beside = speed_up(one, other)
        assert beside is not None
        assert not beside.bounded, "no quiet stretch came: nothing parts the two"
    single = speed_up(row(20.0), row(10.0))
    assert single is not None
    assert (single.estimate, single.bounded) == (2.0, False)
    text = str(table({"base": base, "other": own}))
    assert f"{found.low:.2f} .. {found.high:.2f}" in text


def test_the_interval_of_a_speed_up_holds_the_truth() -> None:
    """Of 1,000 runs of three visits that vary by 5 % (normal), at most 5 % plus three deviations miss the true speed-up."""
    generator = np.random.default_rng(3)
    missed = 0
    for _ in range(1000):
        own, base = (np.exp(generator.normal(math.log(middle), 0.05, 3)).tolist() for middle in (10.0, 20.0))
        found = speed_up(row(*base), row(*own))
        assert found is not None
        missed += not found.low <= 2.0 <= found.high
    assert missed <= 71


@pytest.mark.slow
@pytest.mark.backend("onnxruntime")
def test_other_tests_of_the_session_leave_no_trace_in_a_latency(harness: Harness, tmp_path: Path) -> None:
    """Visits run in separate processes, all first visits before the second ones, and report their number of threads.

    Other tests have no effect on them: one leaves the shared session with another number of threads, one parses the file in it.
    """
    stored = tmp_path / "run.json"
    found = run(
        "tests/conformance/test_invariance.py", "bench", "--models=bert-base-cased", "--size=tiny",
        "--backends=onnxruntime,pytorch",
        "--precisions=f32", f"--artifacts={harness.store.root}", "--threads=2", "--seq-len=32", f"--benchmark-json={stored}",
        "-k", "(test_thread_count or test_graph or latency) and not opset11", "-v",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    order = list(dict.fromkeys(re.findall(r"::test_visit\[(\S+)-(\d)\]", found.stdout)))  # the output may contain a line twice
    assert [number for _, number in order] == ["1", "1", "2", "2", "3", "3"], order
    content = json.loads(stored.read_text(encoding="utf-8"))
    for case in content["benchmarks"]:
        assert case["extra_info"]["threads"] == 2
        assert [visit["threads"] for visit in case["extra_info"]["visits"]] == [2, 2, 2]
        assert [visit["operations"] for visit in case["extra_info"]["visits"]] == [["open", "warm_up", "rounds"]] * 3
        assert case["stats"]["median"] * 1e3 == pytest.approx(case["extra_info"]["median_ms"])
