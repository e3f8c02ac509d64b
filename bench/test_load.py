"""Measures variants under load with MLCommons' LoadGen; on request (``-m load``)."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

import numpy as np
import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.spec import Precision, Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics import glue
from fixtures.metrics.agreement import sqnr
from fixtures.options.settings import Settings
from fixtures.report.tables.load import EVENT
from fixtures.timing.load import SERVER_PERCENTILE, SINGLE, STREAM_PERCENTILE, Load, mean_batch, per_second
from fixtures.timing.row_throughput import ROWS, sample


@pytest.mark.load
@pytest.mark.variants(loaded=True)
@pytest.mark.phase("latency")
def test_load(harness: Harness, settings: Settings, variant: Variant, precision: Precision, session: Session) -> None:
    """Records SingleStream, and with batches of one row and of several, Offline and the largest rate of Server.

    The answers of the timed queries are those of the same rows outside of a test.
    """
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise SuiteError("-m load: LoadGen is not installed here; pip install mlcommons-loadgen (on aarch64 it is compiled)")
    rows, loading = sample(harness.dev(variant.model, variant.size).inputs, ROWS), settings.loading
    load = Load(session, rows, loading, settings.seed, Path(settings.traces) / "loadgen" / variant.id)
    expected, _ = glue.predict(session.run, rows)
    stream = load.test(SINGLE)
    for most in (1, loading.most):
        offline = load.offline(most)
        server = load.server(most, per_second(offline))
        tests = [stream, offline, *([server.at] if server.at else [])]
        for test in tests:
            places = sorted(test.answers)
            found = sqnr(expected[places], np.stack([test.answers[place] for place in places]))
            bound = precision.tolerance.invariance_db
            assert found >= bound, (
                f"{variant.id}: under load, logits are {found:.1f} dB from those without it, bound {bound} dB"
            )
        unstable = [test.unstable for test in tests if test.unstable]
        harness.store.record(
            EVENT, variant=variant.id, threads=session.threads, most=most, seconds=loading.seconds,
            stream_ms=stream.percentile(STREAM_PERCENTILE) * 1e3, offline=per_second(offline),
            holds_at=server.low, fails_at=server.high, limit_ms=loading.limit * 1e3,
            server_ms=None if server.at is None else server.at.percentile(SERVER_PERCENTILE) * 1e3,
            mean_batch=mean_batch(server.at or offline), of_bound=server.low * statistics.median(stream.latencies),
            unique_mib=tests[-1].unique_mib,
            conditions="; ".join([*(["short"] if loading.short else []), *unstable]) or "clean",
        )  # fmt: skip
