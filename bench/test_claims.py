"""Tests the claims of the 2021 field notes on this machine, on request (``-m claims``).

A claim that does not hold is a finding, not a failure.
"""

from __future__ import annotations

import math

import pytest

from fixtures.comparisons.claim_checker import ELSEWHERE, Checker, Finding
from fixtures.comparisons.claims import CLAIMS, Claim
from fixtures.harness.harness import Harness
from fixtures.known_failures.entry import LATENCY
from fixtures.options.settings import Settings
from fixtures.pytest_plugin.outcomes import known
from fixtures.report.tables.claims import EVENT


@pytest.fixture(scope="module")
def checker(harness: Harness, settings: Settings, pytestconfig: pytest.Config) -> Checker:
    """Tests claims at ``--size``, which is ``full`` by default."""
    return Checker(harness, settings.size or "full", lambda variant: known(pytestconfig, variant, LATENCY, "test_latency"))


@pytest.mark.claims
@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.id for claim in CLAIMS])
def test_claim(claim: Claim, checker: Checker, harness: Harness) -> None:
    """Records what this machine says of the claim; fails if a runtime has an unknown failure or gives no valid interval."""
    found = checker.test(claim)
    harness.store.record(
        EVENT, id=claim.id, sentence=claim.sentence, figures=claim.figures, platform=claim.platform, word=found.word,
        here=found.here,
    )  # fmt: skip
    assert (found.word == ELSEWHERE) == (claim.platform not in ("both", harness.target.marker)), found
    assert sound(found), f"{claim.id}: {found.here}"


def sound(found: Finding) -> bool:
    """True if every interval of a finding is finite and contains its estimate."""
    return all(
        math.isfinite(one.low) and math.isfinite(one.high) and one.low <= one.estimate <= one.high for one in found.intervals
    )
