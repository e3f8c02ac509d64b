"""Simulates machines by a clock and random numbers, so that thousands of comparisons can be counted.

Turns, pairs and verdicts are computed by the suite's own code (``fixtures.timing.interleaved``, ``fixtures.timing.stopping``);
the duration of an inference is simulated. No time passes, and every figure comes from a seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, repeat

import numpy as np
import numpy.typing as npt

from fixtures.harness.session import Block
from fixtures.timing.interleaved import (
    DISCARD,
    JITTER,
    TURN_ROUNDS,
    TURN_SECONDS,
    Comparison,
    Pair,
    Turn,
    exchangeable,
    orders,
    replicate,
)
from fixtures.timing.stopping import LOOKS, Stop

Logs = npt.NDArray[np.float64]
Generator = np.random.Generator
QUIET = {"cpus": 2.0, "queued": 0.0, "foreign": 0.0, "steal": 0.0, "throttled": 0.0, "heated": 0.0}
#: Standard deviation of the log of a round's time; a share OUTLIERS of rounds takes OUTLIER times as long.
ROUND_NOISE, OUTLIERS, OUTLIER = 0.03, 0.05, 1.5
#: Standard deviation of the log of a process's factor: 1.3 % between pairs, as measured for ONNX Runtime on one machine.
LUCK = 0.009
#: Ranges of the seconds of one inference and of opening a pair of processes; each comparison draws its own.
INFERENCE, LAUNCH = (0.003, 0.012), (0.6, 1.6)


def lucky(generator: Generator) -> float:
    """The factor by which a process is slower for all its life: close to 1, normal on a log scale."""
    return float(generator.lognormal(0, LUCK))


def skewed(generator: Generator) -> float:
    """A process's factor: most are fast, some are 2 % or 6 % slower (exponential)."""
    return math.exp(generator.exponential(0.02))


def two_modes(generator: Generator) -> float:
    """A process's factor: half of them take 1.3 times as long, like TFLite f32 on an AMD EPYC (17.9 or 23.4 ms)."""
    return lucky(generator) * (1.3 if generator.random() < 0.5 else 1.0)


def rarely_slow(generator: Generator) -> float:
    """A process's factor: one of twelve takes 1.65 times as long, like ONNX Runtime int8 (7.4 to 7.9 ms, once 12.97 ms)."""
    return lucky(generator) * (1.65 if generator.random() < 1 / 12 else 1.0)


def steady(generator: Generator) -> Callable[[float], float]:
    """The factor by which the machine is slower at a time: always 1."""
    return lambda now: 1.0


def drifting(generator: Generator) -> Callable[[float], float]:
    """The machine's factor is a first-order autoregression: 3 %, with a correlation that falls to 1/e in 5 s."""
    step, keep = 0.1, math.exp(-0.1 / 5)
    state, until = 0.0, 0.0

    def factor(now: float) -> float:
        nonlocal state, until
        while until <= now:
            state = keep * state + 0.03 * math.sqrt(1 - keep**2) * generator.standard_normal()
            until += step
        return math.exp(state)

    return factor


def switching(slow: float, dwell: float, apart: float) -> Callable[[Generator], Callable[[float], float]]:
    """The machine's factor is ``slow`` for ``dwell`` seconds, then 1 for ``apart`` seconds (means; exponential)."""

    def make(generator: Generator) -> Callable[[float], float]:
        now_slow, until = False, generator.exponential(apart)

        def factor(now: float) -> float:
            nonlocal now_slow, until
            while until <= now:
                now_slow = not now_slow
                until += generator.exponential(dwell if now_slow else apart)
            return slow if now_slow else 1.0

        return factor

    return make


def beside_a_neighbour(generator: Generator) -> Callable[[float], float]:
    """The machine is 1.2 times as slow for 0.2 s of every 0.5 s, because of a load that the kernel's counters do not show."""
    return lambda now: 1.2 if now % 0.5 < 0.2 else 1.0


@dataclass(frozen=True)
class World:
    """The kind of processes (``luck``) and the behaviour of the machine over time (``machine``)."""

    luck: Callable[[Generator], float] = lucky
    machine: Callable[[Generator], Callable[[float], float]] = steady


WORLDS = {
    "independent": World(),
    "drift, AR(1)": World(machine=drifting),
    "two frequencies": World(machine=switching(1.12, 2.0, 2.0)),
    "slow episodes": World(machine=switching(1.5, 8.0, 60.0)),
    "neighbour, 0.5 s": World(machine=beside_a_neighbour),
    "skewed processes": World(luck=skewed),
    "two modes by process": World(luck=two_modes),
    "one process of 12 slow": World(luck=rarely_slow),
}


class Machine:
    """A simulated machine with its clock; without ``jitter``, turns and pauses have fixed lengths and sides a fixed order.

    ``inference`` and ``launch`` are the seconds of one inference and of opening a pair of processes.
    """

    def __init__(self, world: World, generator: Generator, jitter: bool = True) -> None:
        self.world, self.generator, self.jitter = world, generator, jitter
        self.factor = world.machine(generator)
        self.now = float(generator.uniform(0, 100))
        self.inference, self.launch = float(generator.uniform(*INFERENCE)), float(generator.uniform(*LAUNCH))

    def rest(self, seconds: float, jitter: float) -> None:
        """Advance the clock by ``seconds`` and a random time up to ``jitter``."""
        self.now += seconds + self._random(jitter)

    def _random(self, most: float) -> float:
        return float(self.generator.uniform(0, most)) if self.jitter else 0.0

    def turn(self) -> Turn:
        """A function that simulates one turn of a new process."""
        inference = self.inference * self.world.luck(self.generator)

        def measure() -> Block:
            end = self.now + TURN_SECONDS + self._random(JITTER)
            seconds: list[float] = []
            noise: Iterator[float] = repeat(1.0)
            while len(seconds) < TURN_ROUNDS + DISCARD or self.now < end:
                if len(seconds) % 16 == 0:
                    drawn = self.generator.normal(0, ROUND_NOISE, 16)
                    noise = iter(np.exp(drawn) * np.where(self.generator.random(16) < OUTLIERS, OUTLIER, 1.0))
                seconds.append(inference * self.factor(self.now) * next(noise))
                self.now += seconds[-1]
            return Block(seconds[DISCARD:], QUIET)

        return measure

    def pairs(self, number: int) -> list[float]:
        """The log ratios of ``number`` pairs of processes in a comparison of equals."""
        order = orders(self.generator) if self.jitter else cycle((False, True))
        found = []
        for swap, _ in zip(order, range(number), strict=False):
            self.now += self.launch + float(self.generator.normal(0, 0.002))
            found.append(statistics.median(exchangeable(self.turn(), self.turn(), swap, self.rest).logs))
        return found

    def visit(self) -> float:
        """The log of the median round of a process that runs alone for ten turns."""
        self.now += 2.0
        turn = self.turn()
        return math.log(statistics.median(seconds for _ in range(10) for seconds in turn().seconds))


def resonating(generator: Generator, jitter: bool) -> Machine:
    """A machine with another load of period 0.5 s, with which fixed turns are in resonance.

    Pairs of processes begin half a period apart. It is the worst case that was found among inferences of 3 to 12 ms and
    launches of 0.4 to 0.8 s.
    """
    machine = Machine(WORLDS["neighbour, 0.5 s"], generator, jitter)
    machine.inference, machine.launch = 0.006, 0.45
    return machine


def comparisons(world: World, number: int, seed: int, most: int = LOOKS[-1], jitter: bool = True) -> Logs:
    """Log ratios [number, most]: each row is a comparison of equals with ``most`` pairs of processes."""
    generator = np.random.default_rng(seed)
    return np.array([Machine(world, generator, jitter).pairs(most) for _ in range(number)])


def stopped(logs: Logs, slow_down: float, stop: Stop) -> Comparison:
    """The comparison by :func:`fixtures.timing.interleaved.replicate` of pairs whose second side is slower by ``slow_down``."""
    each = iter(logs + math.log1p(slow_down))
    return replicate(lambda swap: Pair([float(next(each))]), stop, math.inf)
