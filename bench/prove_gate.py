"""How often the gate cries wolf and what it sees, on real sessions with slow-downs of known sizes.

    pytest bench/prove_gate.py -s

Compares ONNX Runtime with itself, as it is and with 5 % and 10 % of work added, on a quiet machine and beside a process that
computes; every pair of processes is new. ``ENCODER_PARITY_COMPARISONS`` (100) is their number for each case,
``ENCODER_PARITY_PROOF`` a file for all figures. The same rounds are judged as pytest-benchmark's ``--benchmark-compare-fail``
would judge them.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import SuiteError
from fixtures.gate import CANNOT_TELL, SLOWER, judge
from fixtures.inputs import token_ids
from fixtures.isolation import Session
from fixtures.paired import compare
from fixtures.ratio import Ratio
from fixtures.registry import PLUGINS, load
from fixtures.settings import DEFAULT_MODEL, Settings
from fixtures.spec import Variant
from fixtures.tabular import Column, Table, identity
from fixtures.workshop import Workshop

COMPARISONS = "ENCODER_PARITY_COMPARISONS"
SLOW_DOWNS = (0.0, 0.05, 0.10)
#: Gates under proof: they must see 5 %, so their thresholds lie between that and nothing; the first must keep the promises.
GATES = (0.01, 0.02)
#: An interval that six pairs of processes, the least, nearly always reach: what a gate does when it takes the least time.
WITHIN = 0.03
VARIANT = Variant(DEFAULT_MODEL, "full", "onnxruntime", "int8_dynamic")


def comparisons() -> int:
    """How many are asked for."""
    text = os.environ.get(COMPARISONS, "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) < 10**8):
        raise SuiteError(f"{COMPARISONS}={text}: give the number of comparisons for each case, 1 or more")
    return int(text)


def _spin() -> None:
    while True:
        pass


@contextmanager
def competition(wanted: bool) -> Iterator[None]:
    """A process that computes without pause, if wanted."""
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    if wanted:
        process.start()
    try:
        yield
    finally:
        if wanted:
            process.kill()
            process.join()


def session(workshop: Workshop, settings: Settings, extra: float) -> Session:
    """A session on the variant whose inferences take ``extra`` seconds longer."""
    artifact = workshop.artifact(VARIANT)
    shape = workshop.checkpoint(VARIANT.model, VARIANT.size).shape
    child = workshop.child("proof", settings.threads)
    meta = {**artifact.meta, "extra_seconds": extra}
    return Session(child, "onnxruntime_slowed", artifact.path, meta, shape, settings.threads)


def one(workshop: Workshop, settings: Settings, slow_down: float, median: float) -> dict[str, Any]:
    """One comparison of the variant with itself made slower."""
    found = compare(
        lambda: session(workshop, settings, 0.0), lambda: session(workshop, settings, slow_down * median),
        settings.batch, settings.seq_len, WITHIN, settings.comparing.budget,
    )  # fmt: skip
    # pytest-benchmark leaves nothing out.
    first, second = (
        [seconds for pair in found.pairs for seconds in (*(pair.first, pair.second)[side], *pair.left_out[side])]
        for side in (0, 1)
    )
    return {
        "slow_down": slow_down, "ratio": found.ratio.estimate, "low": found.ratio.low, "high": found.ratio.high,
        "processes": [statistics.median(pair.logs) for pair in found.pairs if pair.logs],
        "retaken": found.retaken, "unstable": found.unstable, "seconds": found.seconds,
        "mean": statistics.fmean(second) / statistics.fmean(first),
        "median": statistics.median(second) / statistics.median(first),
    }  # fmt: skip


def verdict(case: dict[str, Any], gate: float) -> str:
    """What a gate says of a comparison."""
    return judge(Ratio(case["ratio"], case["low"], case["high"]), gate, case["unstable"]).word


def summary(cases: list[dict[str, Any]]) -> str:
    """Shares of each verdict, by load and slow-down."""
    rows: dict[str, dict[str, Any]] = {}
    for case in cases:
        key = f"{case['load']}, {case['slow_down']:.0%} slower"
        row = rows.setdefault(key, {"n": 0, "mean": 0, "median": 0, "seconds": 0.0})
        row["n"] += 1
        for gate in GATES:
            word = verdict(case, gate)
            row[f"{SLOWER} {gate}"] = row.get(f"{SLOWER} {gate}", 0) + (word == SLOWER)
            row[f"{CANNOT_TELL} {gate}"] = row.get(f"{CANNOT_TELL} {gate}", 0) + (word == CANNOT_TELL)
        row["mean"] += case["mean"] > 1.05
        row["median"] += case["median"] > 1.05
        row["seconds"] += case["seconds"]

    def share(name: str) -> Any:
        return lambda identifier, row: f"{row[name] / row['n']:.0%}"

    columns = (
        Column("case", identity), Column("comparisons", "n", "{}"),
        *(Column(f"--gate {gate:.0%}: {word}", share(f"{word} {gate}")) for gate in GATES for word in (SLOWER, CANNOT_TELL)),
        Column("mean:5%", share("mean")), Column("median:5%", share("median")),
        Column("s each", lambda identifier, row: row["seconds"] / row["n"], "{:.1f}"),
    )  # fmt: skip
    return str(Table(rows, columns))


@pytest.mark.parametrize("load_", ["quiet", "competing"])
def test_the_gate(load_: str, workshop: Workshop, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 1 % of false alarms; at least 90 % of slow-downs by 5 % seen when quiet; no false alarm under competition."""
    wanted = comparisons()
    monkeypatch.setenv(PLUGINS, "bench.slowed")
    load()
    cases = []
    calm = session(workshop, settings, 0.0)
    calm.warm_up(token_ids(calm.shape, settings.batch, settings.seq_len))
    median = statistics.median(calm.rounds(1.0, 20).seconds)
    calm.child.close()
    with competition(load_ == "competing"):
        for _, slow_down in itertools.product(range(wanted), SLOW_DOWNS):
            cases.append({"load": load_, **one(workshop, settings, slow_down, median)})
            if path := os.environ.get("ENCODER_PARITY_PROOF"):
                Path(f"{path}.{load_}.json").write_text(json.dumps(cases), encoding="utf-8")
    print("\n" + summary(cases))
    seen = {
        slow_down: [verdict(case, GATES[0]) == SLOWER for case in cases if case["slow_down"] == slow_down]
        for slow_down in SLOW_DOWNS
    }
    assert statistics.fmean(seen[0.0]) <= 0.01, "false alarms"
    if load_ == "quiet":
        assert statistics.fmean(seen[0.05]) >= 0.90, "slow-downs by 5 % that went unseen"


if __name__ == "__main__":
    sys.exit("error: this is a test; run it with pytest bench/prove_gate.py -s")
