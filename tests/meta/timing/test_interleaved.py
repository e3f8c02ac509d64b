"""Tests two processes that take turns: drift cancels, the order is random, the comparison ends, and it has a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.harness.session import Block
from fixtures.metrics.intervals import MIN_PAIRS, Ratio
from fixtures.options.comparison import read_options
from fixtures.timing import stopping
from fixtures.timing.gate import NOT_SLOWER, SLOWER, judge
from fixtures.timing.interleaved import (
    JITTER,
    OFFSET,
    SETTLE,
    TURN_SECONDS,
    Pair,
    alternate,
    orders,
    replicate,
    turn,
)
from fixtures.timing.stopping import LOOKS, judged, narrow
from tests.support.turns import BUSY, QUIET, at_once, launches, noisy


def test_sides_exchange() -> None:
    one, two = noisy(np.random.default_rng(1), 0.01), noisy(np.random.default_rng(2), 0.02)
    pair = alternate(one, two, wanted=3, rest=at_once)
    other = pair.mirrored()
    assert (other.logs, other.first, other.second) == ([-log for log in pair.logs], pair.second, pair.first)


def test_a_drift_cancels() -> None:
    """If both sides become slower by 1 % with each turn, neither is slower than the other."""
    place = iter(range(10_000))

    def turn() -> Block:
        return Block([0.01 * 1.01 ** next(place)], QUIET)

    assert alternate(turn, turn, wanted=5, rest=at_once).logs == pytest.approx([0.0] * 5, abs=1e-9)


def test_each_side_begins_in_one_of_every_two_pairs_at_random_in_which() -> None:
    drawn = orders(np.random.default_rng(1))
    blocks = [(next(drawn), next(drawn)) for _ in range(200)]
    assert set(blocks) == {(False, True), (True, False)}
    assert 70 <= blocks.count((True, False)) <= 130, "a fair coin, four deviations"


def test_pauses_and_turns_are_of_no_fixed_length(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    asked: list[float] = []
    monkeypatch.setattr("fixtures.timing.interleaved.time.sleep", slept.append)

    class Recording:
        def rounds(self, seconds: float, at_least: int, discard: int) -> Block:
            asked.append(seconds)
            return Block([0.01] * (at_least + discard), QUIET)

    recording: Any = Recording()
    alternate(turn(recording), turn(recording), wanted=20)
    for least, jitter, found in ((SETTLE, OFFSET, slept[:1]), (SETTLE, JITTER, slept[1:]), (TURN_SECONDS, JITTER, asked)):
        assert all(least <= seconds <= least + jitter for seconds in found)
    assert max(asked) - min(asked) > JITTER / 2
    assert max(slept[1:]) - min(slept[1:]) > JITTER / 2


@pytest.mark.parametrize(("slow_down", "word"), [(1.0, NOT_SLOWER), (1.2, SLOWER)])
def test_the_gate_sees_what_is_there(slow_down: float, word: str) -> None:
    found = replicate(launches(1, slow_down), judged(0.05), budget=10)
    assert (found.unstable, found.repeated) == (None, 0)
    assert judge(found.ratio, 0.05, found.unstable, found.clean).word == word


def test_without_a_gate_it_is_measured_until_the_interval_is_narrow() -> None:
    found = replicate(launches(1, 1.2), narrow(0.02), budget=10)
    assert found.ratio.half_width <= 0.02
    assert found.clean >= MIN_PAIRS
    assert replicate(launches(1, 1.2), narrow(0.0), budget=1000).clean == LOOKS[-1], "it ends"


def test_slower_wants_six_pairs_however_clear_three_are() -> None:
    """With two modes by process, three pairs with the same ratio have no variance and do not suffice for a verdict."""
    equal: Callable[[bool], Pair] = lambda swap: Pair([math.log(1.3)])  # noqa: E731
    found = replicate(equal, judged(0.05), budget=10)
    assert (found.clean, judge(found.ratio, 0.05, None, found.clean).word) == (MIN_PAIRS, SLOWER)
    assert judge(found.ratio, 0.05, None, MIN_PAIRS - 1).word == INCONCLUSIVE
    quicker = replicate(lambda swap: equal(swap).mirrored(), judged(0.05), budget=10)
    assert (quicker.clean, judge(quicker.ratio, 0.05, None, quicker.clean).word) == (LOOKS[0], NOT_SLOWER)


def test_disturbed_turns_do_not_count_and_make_no_verdict() -> None:
    found = replicate(launches(1, 2.0, contention=BUSY), judged(0.05), budget=10)
    assert (found.processes, found.rounds) == (LOOKS[0], 0), "it gives up when nothing was ever quiet"
    assert found.unstable is not None
    assert "threads waited for a CPU" in found.unstable
    assert judge(found.ratio, 0.05, found.unstable, found.clean).word == INCONCLUSIVE


def test_a_budget_that_is_too_short_says_so() -> None:
    found = replicate(launches(1, 2.0), judged(0.05), budget=0)
    assert found.unstable == "1 pairs of processes in 0 s, 3 are needed: give it more --max-seconds"


def test_with_a_gate_a_comparison_ends_when_its_verdict_is_known() -> None:
    """A wide interval within the gate ends the comparison after three pairs; without a gate it never does."""
    asked = {"compare": "x", "fail_if_slower": 0.05, "ci_width": None, "max_seconds": 1.0, "summary": None}
    wide = Ratio(0.9, 0.8, 1.04)
    assert stopping.of(read_options(asked.get)).now(wide, LOOKS[0])
    assert not stopping.of(read_options({**asked, "fail_if_slower": 0.01}.get)).now(wide, LOOKS[0])
    bare = stopping.of(read_options({**asked, "fail_if_slower": None}.get))
    assert not any(bare.now(wide, pairs) for pairs in range(LOOKS[-1]))
