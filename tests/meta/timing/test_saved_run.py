"""Tests a stored run as a baseline: its interval contains the variation between processes, and it never fails the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from fixtures.comparisons.comparison import Baseline, Result
from fixtures.core.errors import SuiteError
from fixtures.core.machine import this_machine
from fixtures.core.spec import Variant
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.harness.harness import Harness
from fixtures.metrics.intervals import Ratio
from fixtures.timing.gate import SLOWER, judge
from fixtures.timing.interleaved import (
    Comparison,
    Pair,
)
from fixtures.timing.saved_run import SavedRun
from fixtures.timing.stopping import LOOKS

BASE, OTHER = Variant("minilm-l6", "full", "pytorch", "f32"), Variant("minilm-l6", "full", "onnxruntime", "f32")


def stored(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A file as pytest-benchmark writes it, with two benchmarks of three visits each, and with the given changes."""
    machine = this_machine().fields()
    info = {"threads": 2, "batch": 1, "sequence_length": 128}
    content: dict[str, Any] = {
        "machine_info": {"encoder_parity": machine},
        "benchmarks": [
            {
                "stats": {"data": [middle / 1e3] * 20},
                "extra_info": {
                    **info,
                    "variant": variant.fields(),
                    "visits": [{"median_ms": middle * luck, "rounds": 20} for luck in (0.9, 1.0, 1 / 0.9)],
                },
            }
            for variant, middle in ((BASE, 20.0), (OTHER, 10.0))
        ],
    }
    change(content)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_stored_run_is_judged_by_the_spread_between_its_processes(tmp_path: Path) -> None:
    """If three visits differ by 10 %, the interval is wide, even if the rounds of each visit are alike."""
    import scipy.stats  # takes half a second, which collection does not need

    baseline = SavedRun.read(stored(tmp_path, lambda content: None), this_machine())
    ratio, trouble = baseline.ratio(OTHER, BASE, (2, 1, 128))
    expected = scipy.stats.ttest_ind(*np.log([[9, 10, 10 / 0.9], [18, 20, 20 / 0.9]]), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((0.5, math.exp(low), math.exp(high)))
    assert trouble is None
    with pytest.raises(SuiteError, match=r"was measured with threads 2, batch 1, sequence_length 128; use the same now"):
        baseline.ratio(OTHER, BASE, (1, 1, 128))


@pytest.mark.parametrize("visits", [None, [], [{"median_ms": 10.0}] * 2])
def test_a_stored_run_without_several_processes_tells_nothing(tmp_path: Path, visits: list[Any] | None) -> None:
    def without(content: dict[str, Any]) -> None:
        info = content["benchmarks"][1]["extra_info"]
        info.pop("visits") if visits is None else info.update(visits=visits)

    ratio, trouble = SavedRun.read(stored(tmp_path, without), this_machine()).ratio(OTHER, BASE, (2, 1, 128))
    assert trouble == f"run.json has {len(visits or [])} processes of {OTHER.id}, 3 are needed: measure it again"
    assert judge(ratio, 0.05, trouble, 0).word == INCONCLUSIVE


def against(text: str = "pytorch-f32", **artifacts: Any) -> Baseline:
    """The baseline of ``--compare``, in a harness that has only these ``artifacts``."""
    return Baseline(text, cast("Harness", SimpleNamespace(**artifacts)))


def test_on_a_stored_run_nothing_is_slower(tmp_path: Path) -> None:
    """Ten times as slow as in the stored run is can't tell, with the figure and a way to confirm it."""
    other = against(str(stored(tmp_path, lambda content: None)), target=this_machine())
    pairs = [Pair([math.log(10)])] * LOOKS[-1]
    found = Result(Ratio(10.0, 9.0, 11.0), "run.json", Comparison(Ratio(10.0, 9.0, 11.0), pairs, None, 1.0), None)
    said = found.verdict(0.05, other.unconfirmed())
    assert said.word == INCONCLUSIVE
    assert "at least 800.0% slower" in said.why
    assert "compare live" in said.why
    assert found.verdict(0.05, against().unconfirmed()).word == SLOWER, "another variant is alive beside it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["machine_info"]["encoder_parity"].update(cpu="Neoverse-N1"), "it was measured on Neoverse-N1, this is"),
        (lambda c: c.pop("machine_info"), r"the field 'machine_info' is missing"),
        (
            lambda c: c["benchmarks"][0]["extra_info"].update(visits=7),
            r"the field 'benchmarks.extra_info.visits' cannot be used",
        ),
        (lambda c: c["benchmarks"][0]["extra_info"].update(visits=[{"median_ms": 0}]), r"visits.median_ms' cannot be used"),
        (lambda c: c["benchmarks"][0]["extra_info"].update(visits=["x"]), r"visits' cannot be used"),
        (lambda c: c.update(benchmarks=[]), "it holds no latency of this suite"),
        (lambda c: c.update(benchmarks=["?"]), "the field 'benchmarks' cannot be used"),
    ],
)
def test_a_stored_run_that_will_not_do(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        SavedRun.read(stored(tmp_path, change), this_machine())


def test_a_stored_run_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("<html>", encoding="utf-8")
    with pytest.raises(SuiteError, match="it cannot be read as JSON"):
        SavedRun.read(tmp_path / "run.json", this_machine())
