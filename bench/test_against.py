"""Every variant against OTHER, both alive at the same time and taking turns; with ``--gate``, the regression gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.against import Against
from fixtures.conditions import in_a_word
from fixtures.gate import SLOWER, judge
from fixtures.settings import Settings
from fixtures.spec import Variant


@pytest.mark.against
@pytest.mark.variants(rivals=True)
@pytest.mark.stage("latency")
def test_against(
    variant: Variant,
    other: Against,
    settings: Settings,
    row: Callable[..., None],
    record_property: Callable[[str, Any], None],
) -> None:
    """The ratio of the variant's time to the other's, with its 95 % interval; fails only if it is surely beyond the gate."""
    asked = settings.comparing
    found = other.measure(variant, asked.within, asked.budget)
    verdict = judge(found.ratio, asked.gate or 0.0, found.unstable)
    figures = {
        "against": found.what,
        "ratio": found.ratio.estimate,
        "ratio_low": found.ratio.low,
        "ratio_high": found.ratio.high,
        "processes": found.comparison.processes,
        "rounds": found.comparison.rounds,
        "compare_seconds": found.comparison.seconds,
        "gate_conditions": in_a_word(found.unstable, found.comparison.retaken),
        "gate": verdict.word,
        "gate_why": verdict.why,
    }
    row(**figures)
    for name, value in figures.items():
        record_property(name, value)
    failed = asked.gate is not None and verdict.word == SLOWER
    assert not failed, (
        f"{variant.id} is slower than {found.what}: {found.ratio} times its time, {verdict.why}; "
        f"{found.comparison.processes} pairs of processes, {found.comparison.rounds} rounds each, {figures['gate_conditions']}"
    )
