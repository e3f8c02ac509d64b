"""Counts how often comparisons are wrong and which slow-downs they detect, on real sessions with known slow-downs.

    pytest bench/prove_gate.py -s --max-seconds 25

Compares ONNX Runtime with itself plus added work: none, as much as the gate, or twice the gate. It does so on a quiet machine
and beside a process that computes; every process is new. ``ENCODER_PARITY_COMPARISONS`` (100) is the number of comparisons for
each mode and slow-down, and ``ENCODER_PARITY_PROOF`` names a file for all figures. ``-k quiet`` and ``-k competing`` run one
half. Shares have 95 % Clopper-Pearson limits, and the test fails if these limits exclude what the gate promises: from a hundred
comparisons without a false alarm it follows that there are fewer than 3.7 %. The same rounds are also judged by the rules of
pytest-benchmark's ``--benchmark-compare-fail``. ``bench/operating_characteristics.py`` simulates thousands of comparisons.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.registry import PLUGINS, load
from fixtures.core.spec import Variant
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics import binomial
from fixtures.metrics.inputs import timed
from fixtures.metrics.intervals import Ratio, welch_interval
from fixtures.options.settings import DEFAULT_MODEL, Settings
from fixtures.report.table import Column, Table, identity
from fixtures.timing.gate import SLOWER, judge
from fixtures.timing.interleaved import Comparison, compare
from fixtures.timing.noise import measure
from fixtures.timing.stopping import Stop, few, judged, narrow
from fixtures.timing.visits import VISITS

COMPARISONS = "ENCODER_PARITY_COMPARISONS"
#: Seconds of each visit in a stored run.
VISIT_SECONDS = 1.0
#: The ratio at which pytest-benchmark's ``mean:5%`` and ``median:5%`` fail.
THRESHOLD = 1.05


@dataclass(frozen=True)
class Mode:
    """A way to compare: its stopping rule, the ``limit`` of its gate, and the slow-downs with which it is tested."""

    name: str
    stop: Stop
    limit: float
    slow_downs: tuple[float, ...]
    stored: bool = False


def gate(limit: float) -> Mode:
    """The mode of a gate of ``limit``, with slow-downs of none, the limit itself and twice the limit."""
    return Mode(f"--fail-if-slower {limit:.0%}", judged(limit), limit, (0.0, limit, 2 * limit))


MODES = (
    gate(0.02),
    gate(0.05),
    Mode("--ci-width 2%", narrow(0.02), 0.05, (0.0,)),
    Mode("a claim of 1.1", few(lambda ratio: ratio.low > 1.1 or ratio.high < 1.1), 0.05, (0.0,)),
    Mode(
        "a stored run, --fail-if-slower 5%",
        few(lambda ratio: not ratio.low <= 1.05 < ratio.high),
        0.05,
        (0.0, 0.10),
        stored=True,
    ),
)


def comparisons() -> int:
    """The number of comparisons for each case, from the environment variable."""
    text = os.environ.get(COMPARISONS, "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) < 10**8):
        raise SuiteError(f"{COMPARISONS}={text}: give the number of comparisons for each case, 1 or more")
    return int(text)


def _spin() -> None:
    while True:
        pass


@contextmanager
def competition(wanted: bool) -> Iterator[None]:
    """A context in which another process computes without pause, if ``wanted``."""
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    if wanted:
        process.start()
    try:
        yield
    finally:
        if wanted:
            process.kill()
            process.join()


def variant(settings: Settings) -> Variant:
    """The variant that is compared: of the first of ``--models`` or the default model, full size unless ``--size`` is given."""
    model = settings.models[0] if settings.models else DEFAULT_MODEL
    return Variant(model, settings.size or "full", "onnxruntime", "int8_dynamic")


class Proof:
    """Compares one variant with itself made slower."""

    def __init__(self, harness: Harness, settings: Settings) -> None:
        self.harness, self.settings, self.variant = harness, settings, variant(settings)

    def session(self, extra: float) -> Session:
        """A session on the variant whose inferences take ``extra`` seconds longer."""
        artifact = self.harness.artifact(self.variant)
        shape = self.harness.checkpoint(self.variant.model, self.variant.size).shape
        worker = self.harness.pool.runner("proof", self.settings.threads)
        meta = {**artifact.meta, "extra_seconds": extra}
        return Session(worker, "onnxruntime_slowed", artifact.path, meta, shape, self.settings.threads)

    @functools.cached_property
    def inference(self) -> float:
        """Seconds of one inference, of which a slow-down is a share: the median over three pairs of processes."""
        found = self.compare(0.0, Stop((3,), 0.95, lambda ratio, pairs: True))
        return statistics.median(seconds for pair in found.pairs for seconds in (*pair.first, *pair.left_out[0]))

    def compare(self, extra: float, stop: Stop) -> Comparison:
        """Compare the variant with itself slowed by ``extra`` seconds for each inference."""
        batch, length, budget = self.settings.batch, self.settings.seq_len, self.settings.comparing.budget
        return compare(lambda: self.session(0.0), lambda: self.session(extra), batch, length, stop, budget)

    def visited(self) -> Ratio:
        """The ratio of a stored run between equals: visits to the same file, alternately assigned to the two sides."""

        def visit(number: int) -> float:
            session = self.session(0.0)
            try:
                session.warm_up(*timed(session.shape, self.settings.batch, self.settings.seq_len))
                return math.log(measure(session, VISIT_SECONDS, 5).median)
            finally:
                session.worker.close()

        medians = list(map(visit, range(2 * VISITS)))
        return welch_interval(medians[::2], medians[1::2])

    def one(self, mode: Mode, slow_down: float) -> dict[str, Any]:
        """The result of one comparison as data for JSON."""
        before = self.visited() if mode.stored else Ratio(1.0, 1.0, 1.0)
        known = mode.stop.known
        stop = Stop(mode.stop.looks, mode.stop.confidence, lambda ratio, pairs: known(ratio / before, pairs))
        found = self.compare(slow_down * self.inference, stop)
        ratio = found.ratio / before
        # pytest-benchmark has no disturbed rounds that it leaves out.
        first, second = (
            [seconds for pair in found.pairs for seconds in (*(pair.first, pair.second)[side], *pair.left_out[side])]
            for side in (0, 1)
        )
        word = judge(ratio, mode.limit, found.unstable, found.clean).word
        return {
            "mode": mode.name, "slow_down": slow_down, "ratio": ratio.estimate, "low": ratio.low, "high": ratio.high,
            "word": INCONCLUSIVE if mode.stored and word == SLOWER else word, "beyond": word == SLOWER,
            "processes": [statistics.median(pair.logs) for pair in found.pairs if pair.logs],
            "retaken": found.repeated, "unstable": found.unstable, "seconds": found.seconds,
            "mean": statistics.fmean(second) / statistics.fmean(first) > THRESHOLD,
            "median": statistics.median(second) / statistics.median(first) > THRESHOLD,
        }  # fmt: skip


def count(cases: list[dict[str, Any]], asked: Callable[[dict[str, Any]], bool]) -> Ratio:
    """The share of ``cases`` for which ``asked`` is true, with its exact limits."""
    return binomial.share(sum(map(asked, cases)), len(cases))


def covers(case: dict[str, Any]) -> bool:
    """True if the interval covers the slow-down that was made; added work is accurate to a tenth of a per cent."""
    return bool(case["low"] <= 1.001 + case["slow_down"] and 0.999 + case["slow_down"] <= case["high"])


def summary(cases: list[dict[str, Any]]) -> str:
    """A table of shares in per cent with their limits, by mode and slow-down."""

    def said(share: Ratio) -> str:
        return f"{100 * share.estimate:.0f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"

    rows = {}
    for (mode, slow_down), group in itertools.groupby(sorted(cases, key=_case), key=_case):
        mine = list(group)
        clean = [case for case in mine if case["unstable"] is None]
        rows[f"{mode}, {slow_down:.0%} slower"] = {
            "n": len(mine),
            "slower": said(count(mine, lambda case: case["word"] == SLOWER)),
            "unknown": said(count(mine, lambda case: case["word"] == INCONCLUSIVE)),
            "covers": said(count(clean, covers)) if clean else None,
            "mean": said(count(mine, lambda case: case["mean"])), "median": said(count(mine, lambda case: case["median"])),
            "pairs": statistics.fmean(len(case["processes"]) for case in mine),
            "seconds": statistics.fmean(case["seconds"] for case in mine),
        }  # fmt: skip
    columns = (
        Column("case", identity), Column("comparisons", "n", "{}"), Column("slower %", "slower"),
        Column("can't tell %", "unknown"), Column("interval holds the truth %", "covers"), Column("mean:5% fails", "mean"),
        Column("median:5% fails", "median"), Column("pairs", "pairs", "{:.1f}"), Column("s each", "seconds", "{:.1f}"),
    )  # fmt: skip
    return str(Table(rows, columns))


def _case(case: dict[str, Any]) -> tuple[str, float]:
    return case["mode"], case["slow_down"]


@pytest.mark.parametrize("load_", ["quiet", "competing"])
def test_the_gate(load_: str, harness: Harness, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of no counted share exclude what the gate promises.

    It promises at most 0.1 % false alarms, at most 2.5 % at the gate itself, intervals that cover the truth in 95 %, and on a
    quiet machine the detection of 90 % of slow-downs by twice a gate of 5 %.
    """
    wanted, cases = comparisons(), []
    monkeypatch.setenv(PLUGINS, "bench.slowed")
    load()
    proof = Proof(harness, settings)
    every = [(mode, slow_down) for mode in MODES for slow_down in mode.slow_downs]
    with competition(load_ == "competing"):
        for _, (mode, slow_down) in itertools.product(range(wanted), every):
            cases.append(proof.one(mode, slow_down))
            if path := os.environ.get("ENCODER_PARITY_PROOF"):
                Path(f"{path}.{load_}.json").write_text(json.dumps(cases), encoding="utf-8")
    print(f"\n{load_}; {proof.variant.id}, {1e3 * proof.inference:.2f} ms\n\n{summary(cases)}")
    for broken in contradictions(cases, clean=load_ == "quiet"):
        pytest.fail(broken)


def contradictions(cases: list[dict[str, Any]], clean: bool) -> Iterator[str]:
    """One message for each promise that the limits of a counted share exclude."""
    for (mode, slow_down), group in itertools.groupby(sorted(cases, key=_case), key=_case):
        mine = list(group)
        limit = next(one.limit for one in MODES if one.name == mode)
        slower = count(mine, lambda case: case["word"] == SLOWER)
        allowed = 0.001 if slow_down == 0 else 0.025 if slow_down <= limit else 1.0
        if slower.low > allowed:
            yield f"{mode}: at least {slower.low:.1%} of slow-downs by {slow_down:.0%} were called slower, {allowed:.1%} may be"
        if clean and limit >= 0.05 and slow_down >= 2 * limit and not _stored(mode) and slower.high < 0.9:
            yield f"{mode}: at most {slower.high:.1%} of slow-downs by {slow_down:.0%} were seen, 90 % are to be"
        sure = [case for case in mine if case["unstable"] is None]
        if sure and (held := count(sure, covers)).high < 0.95:
            yield f"{mode}: at most {held.high:.1%} of intervals held a slow-down by {slow_down:.0%}, 95 % are to do so"


def _stored(name: str) -> bool:
    return any(mode.stored for mode in MODES if mode.name == name)


if __name__ == "__main__":
    sys.exit("error: this is a test; run it with pytest bench/prove_gate.py -s")
