"""Counts how often comparisons are wrong and which slow-downs they detect, on simulated machines.

It prints the tables of docs/measuring.md:

    python -m bench.operating_characteristics [COMPARISONS]

COMPARISONS (2000) is the number of comparisons for each cell; 2000 take about six minutes on two cores. Shares are in per
cent, with 95 % Clopper-Pearson limits.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.simulated import WORLDS, Logs, Machine, World, comparisons, resonating, stopped
from fixtures.metrics import binomial
from fixtures.metrics.intervals import CONFIDENCE, Ratio, welch_interval
from fixtures.report.table import Column, Table, identity
from fixtures.timing.gate import NOT_SLOWER, SLOWER, judge
from fixtures.timing.stopping import LEVEL, LOOKS, Stop, few, judged, narrow
from fixtures.timing.visits import VISITS

GATES = (0.01, 0.02, 0.05)
SEED = 2026


def spent(looks: Sequence[int], level: float, samples: int, seed: int) -> float:
    """The share of ``samples`` normal samples in which Student's t, at any of ``looks``, exceeds its quantile of ``level``.

    This is the total error of these looks on one side. It does not depend on the mean or variance of what is compared.
    """
    import scipy.special

    values = np.random.default_rng(seed).standard_normal((samples, looks[-1]))
    ever = np.zeros(samples, bool)
    for look in looks:
        seen = values[:, :look]
        t = seen.mean(1) / (seen.std(1, ddof=1) / math.sqrt(look))
        ever |= t > scipy.special.stdtrit(look - 1, 1 - level)
    return float(ever.mean())


def words(logs: Logs, slow_down: float, gate: float) -> dict[str, Any]:
    """Counts of a gate's verdicts over comparisons in which the second side is slower by ``slow_down``.

    Also how often the interval covers the truth, and the mean number of pairs of processes.
    """
    stop = judged(gate)
    found = [stopped(row, slow_down, stop) for row in logs]
    said = [judge(one.ratio, gate, one.unstable, one.clean).word for one in found]
    return {
        "n": len(logs), SLOWER: said.count(SLOWER), NOT_SLOWER: said.count(NOT_SLOWER),
        "covered": covered((one.ratio for one in found), slow_down), "pairs": float(np.mean([one.clean for one in found])),
    }  # fmt: skip


def covered(ratios: Iterable[Ratio], slow_down: float) -> int:
    """The number of intervals that cover the true ratio, ``1 + slow_down``."""
    return sum(ratio.low <= 1 + slow_down <= ratio.high for ratio in ratios)


def per_cent(count: int, of: int) -> str:
    """The share ``count / of`` in per cent, with its exact limits."""
    found = binomial.share(count, of)
    return f"{100 * found.estimate:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def gated(name: str, logs: Logs) -> dict[str, dict[str, Any]]:
    """The rows of the gate's table for one world."""
    rows = {}
    for gate in GATES:
        none, edge, twice = (words(logs, slow_down, gate) for slow_down in (0.0, gate, 2 * gate))
        rows[f"{name}, {gate:.0%}"] = {
            "none": per_cent(none[SLOWER], none["n"]), "quick": per_cent(none[NOT_SLOWER], none["n"]),
            "none_pairs": none["pairs"], "edge": per_cent(edge[SLOWER], edge["n"]),
            "covered": per_cent(edge["covered"], edge["n"]), "twice": per_cent(twice[SLOWER], twice["n"]),
            "missed": per_cent(twice[NOT_SLOWER], twice["n"]), "twice_pairs": twice["pairs"],
        }  # fmt: skip
    return rows


GATED = (
    Column("machine or processes, gate", identity), Column("equals: slower %", "none"),
    Column("equals: not slower %", "quick"), Column("pairs", "none_pairs", "{:.1f}"), Column("at the gate: slower %", "edge"),
    Column("interval holds the truth %", "covered"), Column("twice the gate: slower %", "twice"),
    Column("not slower %", "missed"), Column("pairs ", "twice_pairs", "{:.1f}"),
)  # fmt: skip


def others(name: str, world: World, logs: Logs) -> dict[str, dict[str, Any]]:
    """The rows for the modes without a gate: ``--ci-width``, a claim (1.25 times as fast), and a stored run."""
    within, claim = narrow(0.01), few(lambda ratio: ratio.low > 1.25 or ratio.high < 1.25)
    stored = [recorded(world, seed) for seed in range(len(logs))]
    rows = {}
    for mode, found in (
        ("--ci-width 1%", ended(logs, 0.0, within)), ("a claim of 1.25, true 1.3", ended(logs, 0.3, claim)),
        ("a stored run", stored),
    ):  # fmt: skip
        truth = 0.3 if "claim" in mode else 0.0
        rows[f"{name}: {mode}"] = {
            "covered": per_cent(covered((ratio for ratio, _ in found), truth), len(found)),
            "half": 100 * float(np.median([ratio.half_width for ratio, _ in found])),
            "beyond": per_cent(sum(ratio.low > 1.05 for ratio, _ in found), len(found)) if truth == 0 else None,
            "pairs": float(np.mean([pairs for _, pairs in found])),
        }  # fmt: skip
    return rows


OTHERS = (
    Column("machine or processes: mode", identity), Column("interval holds the truth %", "covered"),
    Column("plus or minus %", "half", "{:.1f}"), Column("equals: interval beyond 5 % %", "beyond"),
    Column("pairs", "pairs", "{:.1f}"),
)  # fmt: skip


def ended(logs: Logs, slow_down: float, stop: Stop) -> list[tuple[Ratio, int]]:
    """The ratio and the number of pairs of processes of every comparison, when ``stop`` ends it."""
    found = (stopped(row, slow_down, stop) for row in logs)
    return [(one.ratio, one.clean) for one in found]


def recorded(world: World, seed: int) -> tuple[Ratio, int]:
    """The ratio of a comparison with a stored run between two equal variants, and its number of pairs of processes.

    The ratio of the two variants now, from pairs of processes, is divided by their ratio then, from visits.
    """
    then = Machine(world, np.random.default_rng([SEED, seed, 1]))
    now = Machine(world, np.random.default_rng([SEED, seed, 2]))
    first, second = zip(*((then.visit(), then.visit()) for _ in range(VISITS)), strict=True)
    before = welch_interval(first, second)
    stop = Stop((3, 4, 6), 1 - 2 * LEVEL, lambda ratio, pairs: (ratio / before).high <= 1.05 or (ratio / before).low > 1.05)
    live = stopped(np.array(now.pairs(6)), 0.0, stop)
    return live.ratio / before, live.clean


def beside(jitter: bool, number: int, stop: Stop) -> str:
    """The share of equals called slower at ``--fail-if-slower 0%``, on a machine with another load of period 0.5 s."""
    generator = np.random.default_rng(SEED)
    logs = (np.array(resonating(generator, jitter).pairs(stop.looks[-1])) for _ in range(number))
    return per_cent(
        sum(judge((one := stopped(row, 0.0, stop)).ratio, 0.0, None, one.clean).word == SLOWER for row in logs), number
    )


def world_rows(name: str, number: int) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The rows of both tables for one world."""
    logs = comparisons(WORLDS[name], number, SEED)
    return gated(name, logs), others(name, WORLDS[name], logs)


def number(text: str) -> int:
    """The number of cases in a command's argument."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) < 10**8):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of comparisons: give 1 or more")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.operating_characteristics")
    parser.add_argument("comparisons", nargs="?", type=number, default=2000, help="for each cell (default: 2000)")
    asked = parser.parse_args(arguments).comparisons
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(world_rows, [(name, asked) for name in WORLDS])
    print(f"looks {LOOKS}, {LEVEL:.2%} each: {spent(LOOKS, LEVEL, 400_000, SEED):.2%} spent on each side\n")
    print(Table({k: v for gates, _ in found for k, v in gates.items()}, GATED), end="\n\n")
    print(Table({k: v for _, modes in found for k, v in modes.items()}, OTHERS), end="\n\n")
    print("beside a neighbour of period 0.5 s, equals called slower at --fail-if-slower 0%, per cent:")
    for name, jitter in (("turns and order fixed", False), ("random", True)):
        six = Stop((6,), CONFIDENCE, lambda ratio, pairs: True)
        print(f"{name}: six pairs, 95 % {beside(jitter, asked, six)}; looks {beside(jitter, asked, judged(0.0))}")


if __name__ == "__main__":
    main()
