"""Tests the best rate of a variant's servers, and the comparison with an earlier run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.machine import this_machine
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.timing.load_gate import FIRST, LOWER, MORE, NOT_LOWER, UNKNOWN, SavedRates, best, judge

VARIANT = "minilm-l6-onnxruntime-f32"


def server(holds_at: float | None, fails_at: float | None, baseline_ms: float = 20.0) -> dict[str, Any]:
    return {"variant": VARIANT, "limit_ms": 100.0, "holds_at": holds_at, "fails_at": fails_at, "baseline_ms": baseline_ms}


@pytest.mark.parametrize(
    ("others", "word"),
    [
        ([server(90.0, 95.0)], FIRST),
        ([server(105.0, None), server(None, None)], UNKNOWN),
        ([server(111.0, 120.0)], MORE),
        ([server(0.0, 20.0)], FIRST),
    ],
)
def test_the_best_server_is_said_to_serve_more_only_if_the_first_surely_fails_at_its_rate(
    others: list[dict[str, Any]], word: str
) -> None:
    found = best([server(100.0, 110.0), *others])
    assert found is not None
    assert found["word"] == word
    assert found["times"] == max(100.0, *(one["holds_at"] for one in others if one["holds_at"] is not None)) / 100.0


def test_servers_of_which_none_holds_any_rate_have_no_best() -> None:
    assert best([server(0.0, 30.0), server(None, None)]) is None


@pytest.mark.parametrize(
    ("own", "word"),
    [
        (server(80.0, 90.0), LOWER),
        (server(80.0, 98.0), INCONCLUSIVE),
        (server(120.0, None), NOT_LOWER),
        (server(104.0, 108.0), INCONCLUSIVE),
        (server(240.0, 250.0, baseline_ms=10.0), NOT_LOWER),
        (server(150.0, 170.0, baseline_ms=10.0), LOWER),
    ],
)
def test_a_rate_is_lower_only_if_all_of_its_interval_lies_below_the_gate(own: dict[str, Any], word: str) -> None:
    """Against 100 .. 110 a second; a machine whose PyTorch f32 takes half the time is expected to serve twice as much."""
    assert judge(own, server(100.0, 110.0), 0.05)[0] == word


def test_a_rate_that_failed_nowhere_before_is_no_rate_to_be_lower_than() -> None:
    word, ratio = judge(server(99.0, 104.0), server(100.0, None), 0.05)
    assert (word, ratio.low) == (INCONCLUSIVE, 0.0)
    assert judge(server(50.0, 60.0), server(100.0, None), 0.05)[0] == LOWER, "whatever it served besides, it held 100"


def test_rates_are_read_from_the_json_of_a_run(tmp_path: Path) -> None:
    machine = this_machine()
    file = tmp_path / "before.json"

    def write(content: dict[str, Any]) -> Path:
        file.write_text(json.dumps({"encoder_parity": content}), encoding="utf-8")
        return file

    here = {"architecture": machine.architecture, "cpu": machine.cpu}
    write({"machine": here, "load": [server(100.0, 110.0), server(120.0, 130.0)]})
    assert SavedRates.read(file, machine, 100.0).rates[VARIANT]["holds_at"] == 120.0
    with pytest.raises(SuiteError, match="limit of 100 ms, this run has 50 ms: use --load-limit 100"):
        SavedRates.read(file, machine, 50.0)
    with pytest.raises(SuiteError, match=r"measured on .*ratios of different CPUs are not compared"):
        SavedRates.read(file, replace(machine, cpu="another"), 100.0)
    with pytest.raises(SuiteError, match="holds no rate under load; write it with pytest bench -m load"):
        SavedRates.read(write({"machine": here, "load": []}), machine, 100.0)
    with pytest.raises(SuiteError, match=r"the field 'encoder_parity.load.holds_at' cannot be used"):
        SavedRates.read(write({"machine": here, "load": [server(float("nan"), None)]}), machine, 100.0)
    with pytest.raises(SuiteError, match=r"--load-against .*cannot be read"):
        SavedRates.read(tmp_path / "none.json", machine, 100.0)
