"""Measures variants under load with MLCommons' LoadGen; on request (``-m load``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Precision, Variant
from fixtures.harness.harness import Harness
from fixtures.options.settings import Settings
from fixtures.report.tables.load import EVENT
from fixtures.timing.capacity import Capacities, Capacity, Screened, stream_fields
from fixtures.timing.load import Served
from fixtures.timing.load_gate import LOWER, SavedRates, best, judge
from fixtures.timing.noise import in_parts

#: The share by which a rate may be lower than an earlier one if --fail-if-slower gives none.
GATE = 0.05
Baseline = Callable[[Capacities], float]


@pytest.fixture(scope="module")
def earlier(harness: Harness, settings: Settings) -> SavedRates | None:
    """The rates of ``--load-against``."""
    loading = settings.loading
    return None if loading.against is None else SavedRates.read(loading.against, harness.target, loading.limit * 1e3)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """The median seconds of a row in PyTorch f32 alone, measured once for each model and size."""
    known: dict[Variant, float] = {}

    def seconds(made: Capacities) -> float:
        variant = REGISTRY.pytorch_f32(made.variant.model, made.variant.size)
        if variant not in known:
            known[variant] = made.alone_seconds(variant, made.harness.settings.threads)
        return known[variant]

    return seconds


@pytest.mark.load
@pytest.mark.variants(loaded=True)
@pytest.mark.phase("latency")
def test_load(
    harness: Harness, settings: Settings, variant: Variant, precision: Precision, baseline: Baseline, earlier: SavedRates | None
) -> None:
    """Records latencies of streams, and of the ways to build a server samples a second and the largest rate that holds.

    The answers of the timed queries are those of the same rows outside of a test. With ``--load-against``, the best rate is not
    surely lower than in the earlier run.
    """
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise SuiteError("-m load: LoadGen is not installed here; pip install mlcommons-loadgen (on aarch64 it is compiled)")
    made = Capacities(harness, variant, settings.loading, Path(settings.traces) / "loadgen" / variant.id)
    streams, screened = made.streams(), made.screen()
    found = {one: made.capacity(one) for one in made.chosen(screened)}
    tests = [*streams.values(), *(test for capacity in found.values() for test in capacity.tests)]
    for test in tests:
        agreement, bound = made.agreement(test), precision.tolerance.invariance_db
        assert agreement >= bound, (
            f"{variant.id}: under load, logits are {agreement:.1f} dB from those without it, bound {bound} dB"
        )
    rows = [_row(made, one, found.get(one), streams, baseline(made)) for one in screened]
    most, base = best(rows), None if earlier is None else earlier.rates.get(variant.id)
    if most is not None and base is not None:
        gate = GATE if settings.comparing.gate is None else settings.comparing.gate
        word, ratio = judge(most, base, gate)
        verdict = {"gate": word, "gate_why": f"{ratio} times the rate before, relative to PyTorch f32; gate {gate:.1%}"}
        rows = [{**row, **verdict} for row in rows]
    for row in rows:
        harness.store.record(EVENT, **row)
    assert rows[0].get("gate") != LOWER, f"{variant.id}: its best server serves less: {rows[0]['gate_why']}"


def _row(
    made: Capacities, one: Screened, capacity: Capacity | None, streams: dict[str, Served], baseline: float
) -> dict[str, Any]:  # fmt: skip
    """The figures of one server."""
    server, loading = one.server, made.loading
    tests = [*streams.values(), *(capacity.tests if capacity else [])]
    said = [*(["short"] if loading.short else []), in_parts([test.unstable for test in tests], "tests")]
    return {
        "variant": made.variant.id, "server": str(server.sessions), "batches": server.batches,
        "sessions": server.sessions.number, "threads": server.sessions.threads, "most": server.most,
        "seconds": loading.seconds, "limit_ms": loading.limit * 1e3, "alone_ms": one.alone * 1e3, "baseline_ms": baseline * 1e3,
        "screened": one.second, "conditions": "; ".join(filter(None, said)) or "clean", **stream_fields(streams),
        **(capacity.fields() if capacity else {}),
    }  # fmt: skip
