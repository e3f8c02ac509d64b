"""Compares the latency of every variant with that of ``--compare``'s baseline; with ``--fail-if-slower``, the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.comparisons.comparison import Baseline, Result
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.options.settings import Settings
from fixtures.report.tables.gate import SANITY
from fixtures.timing import stopping
from fixtures.timing.gate import IDENTICAL, SLOWER, Verdict, doubt
from fixtures.timing.noise import in_a_word

#: The reason why identical sides are not measured.
SAME = "identical: the same file, code and versions"


@pytest.fixture(scope="module")
def unsound(other: Baseline, settings: Settings, harness: Harness) -> Callable[[Variant, float], str | None]:
    """A function that gives the reason why no variant can be called slower in this run, or None.

    It compares the baseline with itself, once, when the first variant asks.
    """
    said: list[str | None] = []

    def ask(variant: Variant, gate: float) -> str | None:
        if not said:
            found = other.a_a(variant, gate, settings.comparing.budget)
            said.append(None)
            if found is not None:
                ratio = found.ratio
                known = {} if found.unstable else {"ratio": ratio.estimate, "low": ratio.low, "high": ratio.high}
                harness.store.record(SANITY, what=other.name(variant), unstable=found.unstable, **known)
                said[0] = None if found.unstable else doubt(ratio, gate, found.clean)
        return said[0]

    return ask


def figures(found: Result) -> dict[str, Any]:
    """The figures of a comparison for the table."""
    ratio, measured = found.ratio, found.comparison
    row: dict[str, Any] = {"against": found.what, "gate_conditions": in_a_word(found.unstable, 0)}
    if measured is not None:
        row |= {
            "ratio": ratio.estimate, "ratio_low": ratio.low, "ratio_high": ratio.high, "processes": measured.processes,
            "rounds": measured.rounds, "compare_seconds": measured.seconds,
            "gate_conditions": in_a_word(found.unstable, measured.repeated),
        }  # fmt: skip
    return row


@pytest.mark.against
@pytest.mark.variants(compared=True)
@pytest.mark.phase("latency")
def test_against(
    variant: Variant,
    other: Baseline,
    settings: Settings,
    unsound: Callable[[Variant, float], str | None],
    row: Callable[..., None],
    record_property: Callable[[str, Any], None],
) -> None:
    """The variant is not surely slower than the baseline by more than the gate; records the ratio with its 95 % interval."""
    asked, gate = settings.comparing, settings.comparing.gate
    verdict = None
    if other.identical(variant):
        measured: dict[str, Any] = {"against": other.name(variant), "gate_conditions": SAME}
        verdict = None if gate is None else Verdict(IDENTICAL, SAME)
    else:
        doubted = other.unconfirmed() or (None if gate is None else unsound(variant, gate))
        found = other.measure(variant, stopping.of(asked), asked.budget)
        measured = figures(found)
        verdict = None if gate is None else found.verdict(gate, doubted)
    if verdict is not None:
        measured |= {"gate": verdict.word, "gate_why": verdict.why}
    row(**measured)
    for name, value in measured.items():
        record_property(name, value)
    assert verdict is None or verdict.word != SLOWER, (
        f"{variant.id} is slower than {measured['against']}: {found.ratio} times its time, {verdict.why}; "
        f"{measured['processes']} pairs of processes, {measured['rounds']} rounds each, {measured['gate_conditions']}"
    )
