"""Tests how often comparisons are wrong on simulated machines; bench/operating_characteristics.py prints the whole table.

The bounds are those that a count of the allowed rate exceeds once in 1,000 times (binomial); seeds are fixed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bench.operating_characteristics import covered, ended, recorded, spent, words
from bench.prove_gate import contradictions
from bench.simulated import WORLDS, Logs, comparisons, resonating, stopped
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.metrics.intervals import CONFIDENCE
from fixtures.timing.gate import NOT_SLOWER, SLOWER, judge
from fixtures.timing.stopping import LEVEL, LOOKS, Stop, few, judged, narrow

NUMBER = 200
#: The simulated machines on which other gates were wrong.
NAMES = ("independent", "drift, AR(1)", "two frequencies", "skewed processes")


def most(rate: float, number: int = NUMBER) -> int:
    """The number that a count of this rate exceeds once in 1,000 times."""
    import scipy.stats  # takes half a second, which collection does not need

    return int(scipy.stats.binom.ppf(0.999, number, rate))


def least(rate: float, number: int = NUMBER) -> int:
    """The number below which a count of this rate falls once in 1,000 times."""
    import scipy.stats  # takes half a second, which collection does not need

    return int(scipy.stats.binom.ppf(0.001, number, rate))


@pytest.fixture(scope="module", params=NAMES)
def logs(request: pytest.FixtureRequest) -> Logs:
    """Log ratios of 200 comparisons of equals, 40 pairs each."""
    return comparisons(WORLDS[request.param], NUMBER, seed=1)


def test_the_looks_spend_what_the_error_allows() -> None:
    """The looks spend at most 2.5 % of error on each side of 50,000 normal samples, and at least 2 %, to save pairs."""
    share = spent(LOOKS, LEVEL, 50_000, seed=1)
    assert share <= most((1 - CONFIDENCE) / 2, 50_000) / 50_000
    assert share >= 0.02
    assert spent(range(3, 41), LEVEL, 10_000, seed=1) > 0.03, "a look after every pair would spend more"


def test_equals_are_not_slower(logs: Logs) -> None:
    """At most one in 1,000 equals is called slower at any gate; at 5 %, 99 % are not slower, after fewer than 8 pairs."""
    for gate in (0.01, 0.02, 0.05):
        found = words(logs, 0.0, gate)
        assert found[SLOWER] <= most(0.001)
    assert found[NOT_SLOWER] >= least(0.99)
    assert found["pairs"] < 8


@pytest.mark.parametrize("gate", [0.01, 0.02, 0.05])
def test_a_slow_down_of_the_gate_itself_is_called_slower_in_one_of_40(logs: Logs, gate: float) -> None:
    found = words(logs, gate, gate)
    assert found[SLOWER] <= most(0.025)
    assert found["covered"] >= least(CONFIDENCE), "and the interval at which it stopped holds the truth"


def test_twice_a_gate_of_5_per_cent_is_seen(logs: Logs) -> None:
    assert words(logs, 0.10, 0.05)[SLOWER] >= least(0.99)


def test_without_a_gate_the_interval_holds_the_truth(logs: Logs) -> None:
    found = ended(logs, 0.0, narrow(0.01))
    assert covered((ratio for ratio, _ in found), 0.0) >= least(CONFIDENCE)


def test_a_claim_holds_the_truth_in_six_pairs(logs: Logs) -> None:
    found = ended(logs, 0.3, few(lambda ratio: ratio.low > 1.25 or ratio.high < 1.25))
    assert covered((ratio for ratio, _ in found), 0.3) >= least(CONFIDENCE)
    assert max(pairs for _, pairs in found) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_run_of_three_visits_holds_the_truth(name: str) -> None:
    found = [recorded(WORLDS[name], seed)[0] for seed in range(NUMBER)]
    assert covered(found, 0.0) >= least(CONFIDENCE)


def test_two_modes_by_process_do_not_fool_the_gate() -> None:
    """If processes have two modes, of 1 and 1.3 times, no more equals are called slower than at a slow-down of the gate."""
    logs = comparisons(WORLDS["two modes by process"], NUMBER, seed=1)
    assert words(logs, 0.0, 0.05)[SLOWER] <= most(0.025)


def slower(jitter: bool, stop: Stop) -> int:
    """The number of 200 equals that are called slower at ``--fail-if-slower 0%`` beside a neighbour with a period of 0.5 s."""
    generator = np.random.default_rng(1)
    rows = [np.array(resonating(generator, jitter).pairs(stop.looks[-1])) for _ in range(NUMBER)]
    found = [stopped(row, 0.0, stop) for row in rows]
    return sum(judge(one.ratio, 0.0, None, one.clean).word == SLOWER for one in found)


def test_a_neighbour_does_not_keep_the_rhythm_of_the_turns() -> None:
    """With six pairs and a 95 % interval, fixed turns are wrong far more often than 2.5 %, random turns are not."""
    six = Stop((6,), CONFIDENCE, lambda ratio, pairs: True)
    assert slower(jitter=False, stop=six) > most(0.05)
    assert slower(jitter=True, stop=six) <= most(0.025)
    assert slower(jitter=True, stop=judged(0.0)) <= most(0.025)


def proven(word: str, count: int, slow_down: float) -> list[dict[str, Any]]:
    """A hundred comparisons in real sessions: ``count`` with the verdict ``word``, the others with can't tell."""
    said = [word] * count + [INCONCLUSIVE] * (100 - count)
    common = {
        "mode": "--fail-if-slower 5%",
        "slow_down": slow_down,
        "low": 1 + slow_down,
        "high": 1 + slow_down,
        "unstable": None,
    }
    return [{**common, "word": one} for one in said]


@pytest.mark.parametrize(
    ("word", "count", "slow_down", "broken"),
    [(SLOWER, 0, 0.0, False), (SLOWER, 4, 0.0, True), (SLOWER, 5, 0.05, False), (SLOWER, 9, 0.05, True),
     (SLOWER, 85, 0.1, False), (SLOWER, 80, 0.1, True), (NOT_SLOWER, 100, 0.0, False)],
)  # fmt: skip
def test_the_proof_judges_by_what_its_number_can_bound(word: str, count: int, slow_down: float, broken: bool) -> None:
    assert bool(list(contradictions(proven(word, count, slow_down), clean=True))) is broken


def test_pairs_are_what_a_machine_would_give() -> None:
    """Simulated pairs vary by the declared spread of processes plus that of rounds."""
    logs = comparisons(WORLDS["independent"], NUMBER, seed=1)
    assert abs(logs.mean()) < 4 * logs.std() / math.sqrt(logs.size)
    assert 0.0127 < logs.std() < 0.025
