"""Tests the verdicts of claims: exact intervals of lost accuracy, intervals over processes, known failures."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bench.test_claims import sound
from fixtures.comparisons.claim_checker import FAILS, HOLDS, Checker, Finding, overall
from fixtures.comparisons.claims import BOTH, Claim, Size, SpeedUp, Way
from fixtures.core.errors import RemoteError, WorkerError
from fixtures.core.spec import Variant
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.harness.harness import Harness
from fixtures.known_failures.entry import KnownFailure
from fixtures.metrics import binomial
from fixtures.metrics.intervals import Ratio
from fixtures.timing.interleaved import Comparison, Pair
from fixtures.timing.stopping import Stop

WAY, OTHER = Way("bert-base-uncased", "onnxruntime"), Way("bert-base-uncased", "pytorch")
CLAIM = Claim("size", "a file has a size", "1 MB", BOTH, (Size(WAY, 1.0),))
KNOWN = KnownFailure(
    "*onnxruntime*", "build", RemoteError, "RuntimeError: broken", "it is broken", "another", "https://example.org/1"
)


def checker(known: KnownFailure | None, error: WorkerError) -> Checker:
    """A checker of claims for which every build raises ``error``."""

    def artifact(variant: Variant) -> Any:
        raise error

    settings = SimpleNamespace(comparing=SimpleNamespace(budget=1.0))
    harness = SimpleNamespace(
        toolchain=SimpleNamespace(absent=lambda backend: ()),
        artifact=artifact,
        target=SimpleNamespace(marker="intel"),
        settings=settings,
    )
    return Checker(cast("Harness", harness), "full", lambda variant: known)


def test_a_runtime_that_breaks_as_is_known_leaves_a_claim_open() -> None:
    found = checker(KNOWN, RemoteError("RuntimeError: broken")).test(CLAIM)
    assert (found.word, found.here) == (INCONCLUSIVE, "known failure: RuntimeError: broken")
    crashing = KnownFailure("*", "latency", RemoteError, "x", "it crashes", "another", "https://example.org/1", crashes=True)
    assert checker(crashing, RemoteError("not reached")).test(CLAIM).here == "not run, it crashes: it crashes"


@pytest.mark.parametrize("known", [None, KNOWN])
def test_a_runtime_that_breaks_in_another_way_breaks_the_test(known: KnownFailure | None) -> None:
    with pytest.raises(RemoteError, match="cannot be imported"):
        checker(known, RemoteError("ImportError: it cannot be imported")).test(CLAIM)


def test_a_finding_without_an_interval_is_none() -> None:
    for bad in (Ratio(1.0, 0.0, math.inf), Ratio(1.0, 1.1, 1.2), Ratio(math.nan, 0.9, 1.1)):
        assert not sound(Finding(HOLDS, "", (Ratio(1.0, 0.9, 1.1), bad)))
    assert sound(overall([Finding(FAILS, "a", (Ratio(1.0, 0.9, 1.1),)), Finding(INCONCLUSIVE, "b")]))
    assert overall([Finding(HOLDS, "a", (Ratio(1.0, 0.9, 1.1),)), Finding(HOLDS, "b")]).intervals


def test_a_speed_up_is_asked_of_pairs_of_processes_until_its_claim_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Stop] = []

    def compare(first: object, second: object, batch: int, length: int, stop: Stop, budget: float) -> Comparison:
        asked.append(stop)
        return Comparison(Ratio(1.2, 1.1, 1.3), [Pair([math.log(1.2)])] * 3, None, 1.0)

    monkeypatch.setattr("fixtures.comparisons.claim_checker.compare", compare)
    claim = Claim("faster", "it is faster", "-", BOTH, (SpeedUp(WAY, OTHER, least=1.0), SpeedUp(WAY, OTHER, most=1.15)))
    found = checker(None, RemoteError("not reached")).test(claim)
    assert (found.word, found.intervals) == (INCONCLUSIVE, (Ratio(1.2, 1.1, 1.3),) * 2)
    (stop,) = asked
    assert stop.now(Ratio(1.2, 1.1, 1.3), 3)
    assert not stop.now(Ratio(1.2, 0.9, 1.3), 4)
    assert stop.now(Ratio(1.2, 0.9, 1.3), 6), "a claim is worth no more than six pairs"


def test_where_no_answer_changed_the_loss_is_not_known_to_be_nothing() -> None:
    """With 408 rows of which none changed, a loss of up to about one per cent is possible, which these rows do not show."""
    found = binomial.lost(0, 0, 408)
    assert (found.estimate, found.low) == (0.0, -found.high)
    no_change = 1 - binomial.TAIL ** (1 / 408)
    assert no_change < found.high < 1.02 * no_change, "and at most a fiftieth more, for the share that became right"


@pytest.mark.slow
@pytest.mark.parametrize(("worse", "better"), [(0.0, 0.0), (0.002, 0.001), (0.015, 0.005), (0.02, 0.02)])
def test_the_interval_of_a_loss_holds_the_truth(worse: float, better: float) -> None:
    """Summed exactly over all likely outcomes of 408 rows, the interval contains the true loss in 95 % or more."""
    import scipy.stats  # takes half a second, which collection does not need

    rows = 408
    span = range(26)
    chance = scipy.stats.multinomial
    covered = missed = 0.0
    for lost in span:
        for gained in span:
            if (p := chance.pmf([lost, gained, rows - lost - gained], rows, [worse, better, 1 - worse - better])) < 1e-7:
                continue
            found = binomial.lost(lost, gained, rows)
            held = found.low <= worse - better <= found.high
            covered, missed = covered + p * held, missed + p * (not held)
    assert covered + missed == pytest.approx(1.0, abs=1e-3)
    assert covered >= 0.95


def test_a_share_has_its_exact_limits() -> None:
    """Limits are Clopper and Pearson's: at each, the observed count or a more extreme one has a chance of 1/40."""
    import scipy.stats  # takes half a second, which collection does not need

    found = binomial.share(3, 100)
    assert scipy.stats.binom.sf(2, 100, found.low) == pytest.approx(0.025)
    assert scipy.stats.binom.cdf(3, 100, found.high) == pytest.approx(0.025)
    assert np.isclose(binomial.share(0, 100).high, 1 - 0.025 ** (1 / 100))
