"""Measures time by operator type with each runtime's own profiler, on request (``-m profile``)."""

from __future__ import annotations

import json

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics.inputs import timed
from fixtures.options.settings import Settings
from fixtures.report.tables.profile import EVENT

ROUNDS = 10


@pytest.mark.profile
@pytest.mark.variants(profiled=True)
@pytest.mark.phase("latency")
def test_profile(harness: Harness, settings: Settings, variant: Variant, session: Session) -> None:
    """Records the seconds of every operator type, and writes a trace that opens in Perfetto."""
    session.warm_up(*timed(session.shape, settings.batch, settings.seq_len))
    settings.traces.mkdir(parents=True, exist_ok=True)
    trace = settings.traces / f"{variant.id}.json"
    seconds = session.profile(ROUNDS, trace)
    assert json.loads(trace.read_text(encoding="utf-8")), f"{variant.id}: {trace} is empty"
    assert sum(seconds.values()) > 0, f"{variant.id}: the profiler saw no operator"
    harness.store.record(
        EVENT,
        variant=variant.id,
        profiler=REGISTRY.backends[variant.backend].profiler,
        trace=str(trace),
        seconds=seconds,
    )
