"""Measures what a variant costs behind a server: BentoML, driven over loopback by Locust; on request (``-m serve``)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from fixtures.core.spec import Precision, Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Block, Session
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import Array
from fixtures.metrics.inputs import singly
from fixtures.options.settings import Settings
from fixtures.report.tables.serve import BARE, EVENT
from fixtures.serving import server
from fixtures.serving.described import ENDPOINTS, IDS, NOTHING, TEXTS
from fixtures.serving.driving import Driven, drive
from fixtures.serving.server import Server
from fixtures.timing.noise import disturbance, mean_contention
from fixtures.timing.row_throughput import even

#: The most rows of the task that are asked for, one a request.
ROWS = 128


@pytest.mark.serve
@pytest.mark.variants(served=True)
@pytest.mark.phase("latency")
def test_serve(harness: Harness, settings: Settings, variant: Variant, precision: Precision, session: Session) -> None:
    """Records requests a second and latency of an empty endpoint, of one for token ids and of one for texts.

    The answers under load are those of the bare session, whose time for the same rows stands beside them.
    """
    python, serving = server.python(settings), settings.serving
    found = harness.dev(variant.model, variant.size)
    places = even(len(found.rows), ROWS)
    rows = list(singly(found.inputs, places))
    bodies = _bodies(rows, [found.rows[place] for place in places])
    expected = np.concatenate([session.run(row)["logits"] for row in rows])
    folder = harness.store.run / f"serve-{variant.id}"
    bare, driven = [session.pass_over(rows)], []
    with Server(python, server.served(harness, variant, max(server.MOST, serving.clients)), folder / "server") as running:
        _warm_up(running, bodies)
        for clients in (1, serving.clients):
            for endpoint in ENDPOINTS:  # in turns with the bare session, so that both meet the same machine
                asked = (python, running, endpoint, bodies[endpoint], clients, serving.seconds, folder)
                one = drive(*asked)
                driven.append((endpoint, drive(*asked) if one.unstable and not serving.short else one))
                bare.append(session.pass_over(rows))
    for endpoint, one in driven:
        if endpoint != NOTHING:
            _require_the_same(variant, endpoint, one, expected, precision.tolerance.invariance_db)
    same = {"variant": variant.id, "threads": session.threads, "seconds": serving.seconds, "rows": len(rows)}
    for figures in _figures(bare, driven, serving.short):
        harness.store.record(EVENT, **same, **figures)


def _bodies(rows: Sequence[Mapping[str, Any]], texts: Sequence[Mapping[str, Any]]) -> dict[str, list[bytes]]:
    """The requests of each endpoint, one for each row."""
    ids = [json.dumps({name: array.tolist() for name, array in row.items()}).encode() for row in rows]
    said = [{"texts": [row["text"]], **({"pairs": [row["pair"]]} if "pair" in row else {})} for row in texts]
    return {NOTHING: [b"{}"], IDS: ids, TEXTS: [json.dumps(one).encode() for one in said]}


def _warm_up(running: Server, bodies: Mapping[str, Sequence[bytes]]) -> None:
    """Ask for every row once: runtimes meet its shape, and every answer has the logits."""
    for endpoint, every in bodies.items():
        for body in every:
            status, answer = running.ask(endpoint, body)
            assert status == 200, f"/{endpoint} answers {status}: {answer}"


def _require_the_same(variant: Variant, endpoint: str, driven: Driven, expected: Array, bound: float) -> None:
    places = sorted(driven.answers)
    answered = np.concatenate([np.asarray(driven.answers[place]["logits"], expected.dtype) for place in places])
    found = sqnr(expected[places], answered)
    what = f"{variant.id}: /{endpoint} with {driven.clients} clients"
    assert found >= bound, f"{what} answers logits {found:.1f} dB from the session's, bound {bound} dB"


def _figures(bare: Sequence[Block], driven: Sequence[tuple[str, Driven]], short: bool) -> Iterator[dict[str, Any]]:
    """The figures of the session without a server, and of every endpoint and number of clients beside them."""
    quiet = [one for one in bare if disturbance(one.contention) is None] or bare
    taken = [1e3 * seconds for one in quiet for seconds in one.seconds]
    median, rate = statistics.median(taken), 1e3 / statistics.fmean(taken)
    yield {
        "endpoint": BARE, "clients": 1, "per_second": rate, "p50_ms": median, "p99_ms": float(np.quantile(taken, 0.99)),
        "more_ms": None, "of_bare": 1.0, "conditions": disturbance(mean_contention(quiet)) or "clean",
    }  # fmt: skip
    for endpoint, one in driven:
        computes, p50 = endpoint != NOTHING, one.percentile(0.5)
        yield {
            "endpoint": endpoint, "clients": one.clients, "per_second": one.per_second, "p50_ms": p50,
            "p99_ms": one.percentile(0.99), "more_ms": p50 - median if computes and one.clients == 1 else None,
            "of_bare": one.per_second / rate if computes else None,
            "conditions": "; ".join(filter(None, ["short" if short else None, one.unstable])) or "clean",
        }  # fmt: skip
