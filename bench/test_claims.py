"""The claims of the 2021 field notes, measured here; on request (``-m claims``). One that does not hold is a finding."""

from __future__ import annotations

import pytest

from fixtures.claim_check import CANNOT_TELL, ELSEWHERE, FAILS, HOLDS, Checker
from fixtures.claim_table import EVENT
from fixtures.claims import CLAIMS, Claim
from fixtures.settings import Settings
from fixtures.workshop import Workshop


@pytest.fixture(scope="module")
def checker(workshop: Workshop, settings: Settings) -> Checker:
    """Tests claims at ``--size``, the full one by default."""
    return Checker(workshop, settings.size or "full")


@pytest.mark.claims
@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.id for claim in CLAIMS])
def test_claim(claim: Claim, checker: Checker, workshop: Workshop) -> None:
    """What the notes saw beside what this machine says."""
    found = checker.test(claim)
    assert found.word in (HOLDS, FAILS, CANNOT_TELL, ELSEWHERE)
    workshop.store.record(
        EVENT, id=claim.id, sentence=claim.sentence, figures=claim.figures, platform=claim.platform, word=found.word,
        here=found.here,
    )  # fmt: skip
