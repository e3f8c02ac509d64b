"""Measures the latency, load time and memory of every variant, in worker processes that run nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Variant
from fixtures.harness.checkpoints import Checkpoint
from fixtures.harness.harness import Harness
from fixtures.options.settings import Settings
from fixtures.timing.pytest_timer import recorded
from fixtures.timing.roofline import Peaks, least_seconds
from fixtures.timing.visits import VISITS, Visits


@pytest.fixture
def whole(variant: Variant, visits: Visits) -> None:
    """Skips a test if an earlier visit to the variant failed, so that a failure is reported once."""
    if visits.failed(variant):
        pytest.skip(f"a visit to {variant.id} failed before")


@pytest.mark.phase("latency")
@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("visit", range(1, VISITS + 1))
def test_visit(variant: Variant, checkpoint: Checkpoint, visits: Visits, visit: int) -> None:
    """Measures one visit; every variant has its first visit before any has its second.

    A visit is rounds in a fresh process after a steady warm-up. No round is shorter than reading the weights takes.
    """
    made = visits.take(variant, visit)[-1]
    fastest, least = min(made.found.seconds), least_seconds(checkpoint.shape, variant, made.threads)
    assert fastest >= least, (
        f"{variant.id}: a round of {fastest * 1e6:.3g} us is no inference: any machine takes {least * 1e6:.3g} us to read its "
        "weights"
    )


@pytest.mark.phase("latency")
@pytest.mark.usefixtures("whole")
def test_latency(
    request: pytest.FixtureRequest,
    harness: Harness,
    settings: Settings,
    variant: Variant,
    checkpoint: Checkpoint,
    visits: Visits,
    peaks: Peaks,
    row: Callable[..., None],
) -> None:
    """Records the lowest median of the visits, their difference, p95 of all rounds, memory and size.

    Fails if the number of threads is not the one asked for, or if the latency is too short to be an inference.
    """
    artifact, latency = harness.artifact(variant), visits.latency(variant)
    best = latency.best
    threads = {visit.threads for visit in latency.visits}
    assert threads == {settings.threads}, f"{variant.id} ran with {threads} threads, not with {settings.threads}"

    benchmark = recorded(request, best.found.seconds, variant.subject)
    why = peaks.too_fast(checkpoint.shape, variant, settings.batch, settings.seq_len, best.found.median)
    assert why is None, f"{variant.id}: {why}"
    measured = {
        **latency.fields(),
        "size_mib": artifact.size_mib,
        "samples_per_second": settings.batch / best.found.median,
        "of_peak": peaks.share(checkpoint.shape, variant, settings.batch, settings.seq_len, best.found.median),
        "build_seconds": artifact.manifest["seconds"],
        "build_peak_mib": artifact.manifest["peak_mib"],
    }
    row(**measured)
    benchmark.extra_info.update(
        variant=variant.fields(),
        machine=harness.target.fields(),
        versions=harness.toolchain.runtime_versions((*REGISTRY.backends[variant.backend].packages, "numpy")),
        weights=checkpoint.origin,
        artifact={"key": artifact.path.name, "sha256": artifact.digest, "meta": dict(artifact.meta)},
        threads=best.threads,
        batch=settings.batch,
        sequence_length=settings.seq_len,
        visits=[visit.fields() for visit in latency.visits],
        **measured,
    )
