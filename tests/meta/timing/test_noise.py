"""Tests that disturbed stretches are measured again, or the latency is reported as disturbed."""

from __future__ import annotations

from collections.abc import Iterator

from fixtures.harness.session import Block
from fixtures.timing.noise import disturbance, gather
from tests.support.turns import BUSY, QUIET


def test_disturbed_stretches_are_repeated() -> None:
    blocks: Iterator[Block] = iter([Block([9.0], BUSY), Block([1.0], QUIET), Block([9.0], BUSY), Block([1.2], QUIET)])
    found = gather(lambda: next(blocks), wanted=2)
    assert (found.seconds, found.repeated, found.unstable) == ([1.0, 1.2], 2, None)


def test_what_never_was_quiet_says_so() -> None:
    found = gather(lambda: Block([1.0], BUSY), wanted=2)
    assert found.unstable == "6 of 6 stretches disturbed: threads waited for a CPU (40%)"
    assert found.seconds == [1.0] * 6
    assert disturbance(QUIET) is None
    assert disturbance({**QUIET, "queued": 0.2}) is None, "a runtime that queues behind its own threads"
