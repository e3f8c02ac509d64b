"""Latency of every variant, timed inside its own child process; how long it takes to load, and what memory it needs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fixtures.clock import ChildClock
from fixtures.isolation import Session
from fixtures.registry import REGISTRY, versions
from fixtures.settings import Settings
from fixtures.spec import Variant
from fixtures.workshop import Checkpoint, Workshop

MIN_ROUNDS, MIN_SECONDS = 20, 2.0


def token_ids(session: Session, batch: int, length: int) -> dict[str, npt.NDArray[np.int64]]:
    """``batch`` full rows of ``length`` tokens: dense kernels take the same time for any ids."""
    ids = 5 + np.arange(batch * length, dtype=np.int64).reshape(batch, length) % (session.shape.vocabulary - 5)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


@pytest.mark.stage("latency")
@pytest.mark.timed
def test_latency(
    request: pytest.FixtureRequest,
    workshop: Workshop,
    settings: Settings,
    variant: Variant,
    checkpoint: Checkpoint,
    session: Session,
    row: Callable[..., None],
) -> None:
    """Median and p95 of at least 20 rounds and 2 s after a steady warm-up, in ms."""
    clock = ChildClock()
    request.node.add_marker(pytest.mark.benchmark(timer=clock, group=variant.subject))
    benchmark = request.getfixturevalue("benchmark")
    artifact = workshop.artifact(variant)
    warm_up = session.warm_up(token_ids(session, settings.batch, settings.seq_len))
    rounds = max(MIN_ROUNDS, math.ceil(MIN_SECONDS / statistics.median(warm_up[-5:])))

    def one_round() -> None:
        clock.seconds += session.time_once()

    benchmark.pedantic(one_round, rounds=rounds)
    measured: dict[str, Any] = {
        "size_mib": artifact.size_mib,
        "load_ms": session.opening.load_ms,
        "loaded_mib": session.opening.peak_mib,
        "peak_mib": session.peak_mib(),
        "build_seconds": artifact.manifest["seconds"],
        "build_peak_mib": artifact.manifest["peak_mib"],
        "warm_up_rounds": len(warm_up),
    }
    if benchmark.stats is not None:  # under xdist pytest-benchmark measures nothing
        seconds = benchmark.stats.stats.data
        measured["median_ms"] = statistics.median(seconds) * 1e3
        measured["p95_ms"] = float(np.percentile(seconds, 95)) * 1e3
        assert min(seconds) > 0, f"{variant.id}: a round of 0 s cannot be an inference"
    row(**measured)
    benchmark.extra_info.update(
        variant=variant.fields(),
        machine=workshop.machine.fields(),
        versions=versions((*REGISTRY.backends[variant.backend].packages, "numpy")),
        weights=checkpoint.origin,
        artifact={"key": artifact.path.name, "sha256": artifact.digest, "meta": dict(artifact.meta)},
        threads=settings.threads,
        batch=settings.batch,
        sequence_length=settings.seq_len,
        **measured,
    )
