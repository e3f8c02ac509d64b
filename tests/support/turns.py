"""Simulates processes: rounds, turns and pairs from a seed, quiet or disturbed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fixtures.harness.session import Block
from fixtures.timing.interleaved import (
    Pair,
    alternate,
)

QUIET = {"cpus": 2.0, "queued": 0.0, "foreign": 0.0, "steal": 0.0, "throttled": 0.0, "heated": 0.0}
BUSY = {**QUIET, "queued": 0.4, "foreign": 0.08}


def noisy(generator: np.random.Generator, middle: float, contention: dict[str, float] = QUIET) -> Callable[[], Block]:
    """Turns of a process whose rounds take ``middle`` seconds, with a deviation of 3 % and a few tenfold outliers."""

    def turn() -> Block:
        rounds = middle * generator.lognormal(0, 0.03, 5) * generator.choice([1, 10], 5, p=[0.95, 0.05])
        return Block(rounds.tolist(), contention)

    return turn


def launches(seed: int, slow_down: float, spread: float = 0.01, contention: dict[str, float] = QUIET) -> Callable[[bool], Pair]:
    """Pairs of processes, each process with a random factor of ``spread``."""
    generator = np.random.default_rng(seed)

    def launch(swap: bool) -> Pair:
        first, second = (0.01 * generator.lognormal(0, spread) for _ in range(2))
        one, two = noisy(generator, first, contention), noisy(generator, slow_down * second, contention)
        return alternate(one, two, wanted=5, rest=at_once)

    return launch


def at_once(seconds: float, jitter: float) -> None:
    """A pause that takes no time."""
