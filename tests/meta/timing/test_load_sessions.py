"""Tests the sessions of a server under load, with a real runtime: their answers, their memory, and the end of one of them."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fixtures.core.errors import RemoteError
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics.agreement import sqnr
from fixtures.options.loading import Loading
from fixtures.timing.capacity import Capacities
from fixtures.timing.load import OFFLINE, QUERIES, SERVER, SINGLE, Load
from fixtures.timing.load_grid import Server, Sessions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mlperf_loadgen") is None, reason="not installed: mlcommons-loadgen"),
]
VARIANT = Variant("bert-base-cased", "tiny", "onnxruntime", "f32", "")
LOADING = Loading(seconds=0.5, limit=1.0, most=4, patience=0.005, grid=True, against=None)
APART = Sessions(2, 1, apart=True)


@pytest.fixture(scope="module")
def made(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Capacities:
    return Capacities(harness, VARIANT, LOADING, tmp_path_factory.mktemp("loadgen"))


@pytest.fixture
def apart(harness: Harness, made: Capacities) -> Iterator[Session]:
    with APART.opened(harness, VARIANT, made.rows) as session:
        yield session


def children(session: Session) -> list[psutil.Process]:
    """The processes that hold the sessions of a server apart."""
    every = psutil.Process(session.worker.pid).children()
    return [child for child in every if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize("sessions", [Sessions(1, 2), Sessions(2, 1), APART], ids=str)
@pytest.mark.parametrize("patience", [0.0, LOADING.patience])
def test_every_query_is_answered_as_without_load(
    harness: Harness, made: Capacities, sessions: Sessions, patience: float, tmp_path: Path
) -> None:
    server = Server(sessions, LOADING.most, patience)
    with sessions.opened(harness, VARIANT, made.rows) as session:
        found = Load(session, server, LOADING, 1, tmp_path).test(OFFLINE, rate=200.0)
    assert len(found.latencies) >= QUERIES
    assert made.agreement(found) > 100, "every row has its own answer, whichever session gave it"
    assert max(found.sizes) <= LOADING.most
    assert found.unique_mib > 1


def test_what_sessions_apart_compute_is_not_the_work_of_others(apart: Session, made: Capacities, tmp_path: Path) -> None:
    """Their CPU seconds belong to the server, so that its own work does not look like a disturbance."""
    before = sum(child.cpu_times().user for child in children(apart))
    asked = {"scenario": OFFLINE, "seconds": 2.0, "queries": QUERIES, "seed": 1, "rate": 500.0, "limit": 1.0, "most": 1}
    raw = apart.load({**asked, "patience": 0.0}, tmp_path)
    used, own = sum(child.cpu_times().user for child in children(apart)) - before, raw["contention"]["cpus"] * raw["seconds"]
    assert used > 0.05, "there is something to count"
    assert own > 0.8 * used, f"the server is said to have used {own:.2f} CPU seconds, its sessions alone used {used:.2f}"


def test_texts_get_the_answers_of_their_tokens(made: Capacities) -> None:
    streams = made.streams()
    assert set(streams) == {"stream", "multi", "text"}
    assert made.agreement(streams["text"]) > 100
    assert streams["text"].summary["Scenario"] == SINGLE


def test_sessions_apart_have_memory_of_their_own(harness: Harness, made: Capacities, tmp_path: Path) -> None:
    mib = {}
    for number in (1, 2):
        sessions = Sessions(number, 1, apart=True)
        with sessions.opened(harness, VARIANT, made.rows) as session:
            mib[number] = Load(session, Server(sessions), LOADING, 1, tmp_path).test(OFFLINE, rate=200.0).unique_mib
    assert mib[2] > 1.5 * mib[1]


def test_a_killed_session_is_a_clear_error_and_the_next_server_works(apart: Session, made: Capacities, tmp_path: Path) -> None:
    """Its queries get no logits, the others go on, LoadGen comes to its end, and the whole test is an error."""
    load = Load(apart, Server(APART), LOADING, 1, tmp_path)
    victim, *others = children(apart)
    assert len(others) == 1
    killer = threading.Timer(1.0, victim.kill)
    killer.start()
    with pytest.raises(RemoteError, match="a session's process ended with exit code -9"):
        load.test(SERVER, rate=100.0, seconds=4.0)
    killer.join()
    assert others[0].is_running()
    apart.serve(made.rows, 2, apart=True)
    assert made.agreement(load.test(OFFLINE, rate=200.0)) > 100


def test_sessions_end_with_their_worker_process(harness: Harness, made: Capacities) -> None:
    with APART.opened(harness, VARIANT, made.rows) as session:
        started = children(session)
        assert len(started) == 2
        psutil.Process(session.worker.pid).kill()
        gone, alive = psutil.wait_procs(started, timeout=30)
    assert not alive
    assert len(gone) == 2


@pytest.mark.parametrize("sessions", [Sessions(2, 1), APART], ids=str)
def test_a_row_that_the_runtime_refuses_is_its_error(
    harness: Harness, made: Capacities, sessions: Sessions, tmp_path: Path
) -> None:
    """Ids beyond the vocabulary, which the session's check is made to let through."""
    with sessions.opened(harness, VARIANT, made.rows) as session:
        poisoned = {name: array.copy() for name, array in made.rows.items()}
        poisoned["input_ids"][7, 1] = 10**6
        session.worker.ask("serve", timeout=120, rows=poisoned, sessions=2, apart=sessions.apart, text=None)
        with pytest.raises(RemoteError, match=r"(?i)indices|out of (range|bounds)"):
            Load(session, Server(sessions, 1), LOADING, 1, tmp_path).test(OFFLINE, rate=400.0)
        logits = session.run({name: array[:1] for name, array in made.rows.items()})["logits"]
    assert np.isfinite(logits).all(), "and the next request works"


@pytest.mark.nightly
@pytest.mark.parametrize("sessions", [Sessions(2, 1), APART], ids=str)
def test_memory_is_flat_after_ten_minutes(harness: Harness, made: Capacities, sessions: Sessions, tmp_path: Path) -> None:
    """Unique memory after ten minutes of load is at most a tenth above that after half a minute."""
    with sessions.opened(harness, VARIANT, made.rows) as session:
        load = Load(session, Server(sessions, LOADING.most), LOADING, 1, tmp_path)
        rates: dict[str, Any] = {"rate": load.screen() / 2}
        first = load.test(SERVER, seconds=30.0, **rates)
        last = load.test(SERVER, seconds=570.0, **rates)
    assert last.unique_mib <= 1.1 * first.unique_mib, f"{first.unique_mib:.1f} MiB became {last.unique_mib:.1f} MiB"
    assert sqnr(np.stack(list(first.answers.values())), np.stack([last.answers[row] for row in first.answers])) > 100
