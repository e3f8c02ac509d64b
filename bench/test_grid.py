"""Measures latency by batch size, sequence length and threads, like the tables of 2021; on request (``-m grid``)."""

from __future__ import annotations

import itertools

import pytest

from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics.inputs import timed
from fixtures.options.settings import Settings
from fixtures.report.tables.grid import BATCHES, EVENT, LENGTHS, MOST_SCORES
from fixtures.timing.noise import measure

MIN_ROUNDS, MIN_SECONDS = 3, 0.5


@pytest.mark.grid
@pytest.mark.phase("latency")
def test_grid(harness: Harness, settings: Settings, variant: Variant, session: Session) -> None:
    """Measures every batch size and length that the model and memory allow, with one thread and with all.

    Each is the median of at least 3 rounds and 0.5 s.
    """
    shape = "padded" if "pad_to" in harness.artifact(variant).meta else "dynamic"
    for threads in sorted({1, settings.threads}):
        with session.with_threads(threads):
            for batch, length in itertools.product(BATCHES, LENGTHS):
                if length > session.shape.max_length or batch * length**2 > MOST_SCORES:
                    continue
                session.warm_up(*timed(session.shape, batch, length))
                found = measure(session, MIN_SECONDS, MIN_ROUNDS)
                session.confirm()
                assert min(found.seconds) > 0, f"{variant.id}: a round of 0 s cannot be an inference"
                harness.store.record(
                    EVENT, variant=variant.id, shape=shape, threads=threads, batch=batch, sequence_length=length,
                    median_ms=found.median * 1e3, samples_per_second=batch / found.median, unstable=found.unstable,
                )  # fmt: skip
