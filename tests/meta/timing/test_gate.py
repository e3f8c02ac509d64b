"""Tests the gate's verdicts, their table and their thresholds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.spec import Variant
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.metrics.intervals import MIN_PAIRS, Ratio
from fixtures.options.comparison import read_options
from fixtures.report.tables.gate import heading, table
from fixtures.timing.gate import IDENTICAL, NOT_SLOWER, SLOWER, doubt, judge

BASE, OTHER = Variant("minilm-l6", "full", "pytorch", "f32"), Variant("minilm-l6", "full", "onnxruntime", "f32")


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.06, 1.2, SLOWER),
        (1.04, 1.2, INCONCLUSIVE),
        (0.9, 1.05, NOT_SLOWER),
        (0.5, 0.6, NOT_SLOWER),
        (0.0, math.inf, INCONCLUSIVE),
    ],
)
def test_three_verdicts(low: float, high: float, word: str) -> None:
    assert judge(Ratio(1.0, low, high), 0.05, None, MIN_PAIRS).word == word


def test_no_variant_is_slower_where_other_is_slower_than_itself() -> None:
    """If OTHER compared with itself is beyond the gate, the machine cannot compare, and no variant is called slower."""
    reason = doubt(Ratio(1.12, 1.06, 1.18), 0.05, MIN_PAIRS)
    slower = judge(Ratio(1.2, 1.1, 1.3), 0.05, None, MIN_PAIRS)
    assert slower.unless(reason).word == INCONCLUSIVE
    assert "OTHER beside itself came out at 1.120 [1.060, 1.180]" in slower.unless(reason).why
    assert doubt(Ratio(0.9, 0.85, 0.94), 0.05, MIN_PAIRS) is not None, "on either side"
    assert doubt(Ratio(1.02, 1.01, 1.03), 0.05, MIN_PAIRS) is None
    assert slower.unless(None) == slower
    assert judge(Ratio(1.0, 0.9, 1.02), 0.05, None, MIN_PAIRS).unless(reason).word == NOT_SLOWER


def content(gate: float | None, *sanity: dict[str, Any]) -> dict[str, Any]:
    """A run with one variant that was compared, one that is identical and one that was not compared."""
    measured = {"against": "x", "ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3, **({} if gate is None else {"gate": SLOWER})}
    same = {"against": "x", "gate_conditions": IDENTICAL, **({} if gate is None else {"gate": IDENTICAL})}
    return {"gate": gate, "sanity": list(sanity), "rows": {"a": measured, "b": same, "c": {"median_ms": 1.0}}}


def test_without_a_gate_there_is_a_ratio_and_no_verdict() -> None:
    bare, gated = (str(table(content(gate))) for gate in (None, 0.05))
    assert "1.100 .. 1.300" in bare
    assert "verdict" not in bare
    assert SLOWER not in bare
    assert "| slower" in gated
    assert all("| b " in one and "| c " not in one for one in (bare, gated))
    assert "slower: the interval" not in heading(content(None))


def test_other_beside_itself_stands_above_the_table() -> None:
    known = {"what": "numpy 1", "ratio": 1.001, "low": 0.99, "high": 1.012, "unstable": None}
    unknown = {"what": "numpy 1", "ratio": None, "low": None, "high": None, "unstable": "never quiet"}
    assert "A/A, numpy 1 beside itself: 1.001 [0.990, 1.012]" in heading(content(0.05, known))
    assert "A/A, numpy 1 beside itself: never quiet" in heading(content(0.05, unknown))


def test_a_width_and_a_gate_are_two_questions() -> None:
    asked = {"compare": "x", "fail_if_slower": 0.05, "ci_width": 0.01, "max_seconds": 1.0, "summary": None}
    with pytest.raises(SuiteError, match="a comparison with a gate ends when its verdict is known; give one of them"):
        read_options(asked.get)
