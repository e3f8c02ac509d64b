"""Latency of every variant, timed inside its own child process; how long it takes to load, and what memory it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.clock import ChildClock
from fixtures.conditions import in_a_word, measure
from fixtures.inputs import token_ids
from fixtures.isolation import Session
from fixtures.limit import Peaks
from fixtures.registry import REGISTRY
from fixtures.settings import Settings
from fixtures.spec import Variant
from fixtures.workshop import Checkpoint, Workshop

MIN_ROUNDS, MIN_SECONDS = 20, 2.0


@pytest.mark.stage("latency")
def test_latency(
    request: pytest.FixtureRequest,
    workshop: Workshop,
    settings: Settings,
    variant: Variant,
    checkpoint: Checkpoint,
    session: Session,
    peaks: Peaks,
    row: Callable[..., None],
) -> None:
    """Median and p95 of at least 20 rounds and 2 s of quiet time after a steady warm-up, in ms."""
    artifact = workshop.artifact(variant)
    warm_up = session.warm_up(token_ids(session.shape, settings.batch, settings.seq_len))
    found = measure(session, MIN_SECONDS, MIN_ROUNDS)
    assert min(found.seconds) > 0, f"{variant.id}: a round of 0 s cannot be an inference"

    # pytest-benchmark keeps the statistics and the file: it reads a clock that goes on by what the child has measured.
    clock, rounds = ChildClock(), iter(found.seconds)
    request.node.add_marker(pytest.mark.benchmark(timer=clock, group=variant.subject))
    benchmark = request.getfixturevalue("benchmark")

    def one_round() -> None:
        clock.seconds += next(rounds)

    benchmark.pedantic(one_round, rounds=len(found.seconds))
    measured: dict[str, Any] = {
        "size_mib": artifact.size_mib,
        "start_ms": session.child.start_seconds * 1e3,
        "load_ms": session.opening.load_ms,
        "loaded_mib": session.opening.peak_mib,
        "first_ms": warm_up[0] * 1e3,
        "median_ms": found.median * 1e3,
        "p95_ms": found.percentile(95) * 1e3,
        "samples_per_second": settings.batch / found.median,
        "of_peak": peaks.share(session.shape, variant.precision, settings.batch, settings.seq_len, found.median),
        **session.memory(),
        "build_seconds": artifact.manifest["seconds"],
        "build_peak_mib": artifact.manifest["peak_mib"],
        "warm_up_rounds": len(warm_up),
        "warm_up_ms": sum(warm_up) * 1e3,
        "strain": found.strain,
        "retaken": found.retaken,
        "unstable": found.unstable,
        "conditions": in_a_word(found.unstable, found.retaken),
    }
    row(**measured)
    benchmark.extra_info.update(
        variant=variant.fields(),
        machine=workshop.target.fields(),
        versions=workshop.runtime_versions((*REGISTRY.backends[variant.backend].packages, "numpy")),
        weights=checkpoint.origin,
        artifact={"key": artifact.path.name, "sha256": artifact.digest, "meta": dict(artifact.meta)},
        threads=settings.threads,
        batch=settings.batch,
        sequence_length=settings.seq_len,
        **measured,
    )
