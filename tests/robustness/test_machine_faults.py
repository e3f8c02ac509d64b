"""Tests processes that die, run out of memory or hang at any moment, sessions that share a store, and clocks that jump."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from fixtures.core.errors import Crash, Hang, RemoteError, WorkerError
from fixtures.core.registry import REGISTRY, Backend
from fixtures.core.spec import Shape
from fixtures.harness import pool
from fixtures.harness import session as isolation
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.settings import Settings
from fixtures.pytest_plugin.countdown import Countdown
from fixtures.store.artifact import Artifact, Request
from fixtures.store.eviction import prune
from fixtures.store.manifest import MANIFEST, damage
from fixtures.store.source_code import ROOT
from fixtures.store.store import Store
from tests.support import dying
from tests.support.nested import command, surroundings

LIMIT = 2.0
SHAPE = Shape(1, 1, 64, 256, 4096, 128, 0, ("input_ids",))
EXPECTED: dict[str, tuple[type[WorkerError], str]] = {
    "is_killed": (Crash, r"^\S+ was killed by SIGKILL \(out of memory\?\)"),
    "segfaults": (Crash, r"^\S+ was killed by SIGSEGV; its last lines:\n\s+last words"),
    "runs_out_of_memory": (RemoteError, r"^(_Array)?MemoryError: Unable to allocate 8.00 GiB"),
    "hangs": (Hang, r"^\S+ gave no answer within 2 s and was killed"),
}


@pytest.fixture
def shop(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A harness with an empty store."""
    monkeypatch.setenv("ENCODER_PARITY_PLUGINS", "tests.support.faulty")
    monkeypatch.setitem(REGISTRY.backends, "faulty", Backend)  # the real one is for worker processes
    asked = dataclasses.replace(settings, interpreter=None, on=None)
    made = Harness(asked, Store(tmp_path / "store", "run", lambda text: None), lambda text: None)
    yield made
    made.close()


def build(shop: Harness, job: str, heavy: bool = False) -> Artifact:
    """Builds with a job of tests/support/mishaps.py, through the harness's worker processes and the store."""
    request = Request(job, {"job": job}, heavy)
    return shop.store.get(request, lambda out: shop.pool.job(job, f"tests.support.mishaps:{job}", heavy=heavy, out=str(out)))


def no_child_of(parent: psutil.Process, before: set[int]) -> None:
    """Waits until every process that was started after ``before`` has ended."""
    deadline = time.monotonic() + 10
    while left := [process for process in parent.children(recursive=True) if process.pid not in before]:
        assert time.monotonic() < deadline, f"{left} live on"
        time.sleep(0.05)


@pytest.mark.parametrize("heavy", [False, True], ids=["light", "heavy"])
@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_in_a_build_is_one_sentence_and_the_next_build_works(
    shop: Harness, fault: str, heavy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "hangs":
        monkeypatch.setattr(pool, "BUILD_SECONDS", LIMIT)
    error, sentence = EXPECTED[fault]
    with pytest.raises(error, match=sentence):
        build(shop, fault, heavy)
    assert [path.name for path in shop.store.root.iterdir() if path.name not in ("locks", "tmp", "runs")] == []
    assert not list((shop.store.root / "tmp").iterdir())
    monkeypatch.undo()
    assert build(shop, "fine", heavy).meta == {"answer": 42}
    start = time.monotonic()
    with pytest.raises(error, match=sentence):
        build(shop, fault, heavy)
    assert time.monotonic() - start < LIMIT / 2, "what failed was tried again in the same run"


@pytest.mark.parametrize("moment", ["load", "run"])
@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_of_a_runtime_is_one_sentence_and_the_artifact_stays(
    shop: Harness, fault: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build(shop, "fine")
    shop.close()
    error, sentence = EXPECTED[fault]
    if fault == "hangs":
        monkeypatch.setattr(isolation, "OPEN_SECONDS" if moment == "load" else "RUN_SECONDS", LIMIT)
    mine = psutil.Process()
    before = {process.pid for process in mine.children(recursive=True)}
    worker = shop.pool.runner("faulty", 1)
    work = artifact.path.parent / "tmp"  # where a dying runtime may leave what it likes

    def use() -> None:
        session = Session(worker, "faulty", work, {"moment": moment, "fault": fault}, SHAPE, 1)
        session.run({"input_ids": np.ones((1, 4), dtype=np.int64)})

    with pytest.raises(error, match=sentence):
        use()
    worker.close()
    no_child_of(mine, before)
    assert damage(artifact.path) is None
    assert build(shop, "fine") == artifact


@pytest.mark.nightly
def test_two_sessions_and_eight_workers_on_one_store_build_each_artifact_once(tmp_path: Path) -> None:
    """Two real sessions at the same time, one with eight xdist workers, build each artifact once and pass every test."""
    arguments = ("tests/conformance/test_agreement.py", "--models=distilbert-base-cased", "--size=tiny",
                 "--backends=onnxruntime",
                 "--precisions=f32", "-k", "padded", f"--artifacts={tmp_path}", "--threads=1", "-v")  # fmt: skip
    sessions = [
        subprocess.Popen(
            command(*arguments, "-n", workers), cwd=ROOT, env=surroundings(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for workers in ("0", "8")
    ]  # fmt: skip
    told = [session.communicate(timeout=300)[0] for session in sessions]
    assert [session.returncode for session in sessions] == [0, 0], told[0][-2000:] + told[1][-2000:]
    built = [int(text.partition("built ")[2].split()[0]) for text in told if "artifacts in" in text]
    stored = list(tmp_path.glob(f"*/{MANIFEST}"))
    assert sum(built) == len(stored) >= 8, f"{built} built, {len(stored)} there"
    assert all(damage(manifest.parent) is None for manifest in stored)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_pruning_spares_what_a_living_run_uses_however_the_clock_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Pruning keeps the artifacts of a living run even if the clock jumps, and removes those of an ended run."""
    living, ended = Store(tmp_path, "living", print), Store(tmp_path, "ended", print)
    used = living.get(dying.REQUEST, dying.build)
    unused = ended.get(Request("unused", {"of": "nobody"}), dying.build)
    del ended
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + days * 86400)
    removed, _ = prune(Store(tmp_path, "pruning", print), 0)
    assert removed == 1
    assert damage(used.path, dying.REQUEST.key) is None, "an artifact in use was removed"
    assert not unused.path.exists(), "what nobody uses stays because of its time"
    living.record("row", variant="x")
    assert len(living.journal("used")) == 1, "the journal of a living run was removed"


def test_an_artifact_from_the_future_is_served_and_keeps_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path, "run", print)
    made = store.get(dying.REQUEST, dying.build)
    for path in (made.path / MANIFEST, tmp_path / "locks" / f"{dying.REQUEST.key}.lock", tmp_path / "runs" / "run"):
        os.utime(path, (time.time() + 1e9,) * 2)
    later = Store(tmp_path, "later", print)
    assert later.get(dying.REQUEST, dying.build).digest == made.digest
    assert not later.journal("built")


def test_limits_and_the_countdown_do_not_look_at_the_clock_on_the_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle([0.0, 1e9, -1e9, 5e8])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    countdown = Countdown({f"test_{i}": 1.0 for i in range(20)}, workers=1)
    countdown.expect(f"test_{i}" for i in range(20))
    for i in range(15):
        countdown.spent(f"test_{i}", 1.0)
        assert countdown.finished(f"test_{i}") is None, "it spoke before its time"
    assert countdown.remaining() == pytest.approx(5.0)
    worker = WorkerProcess("the-variant", tmp_path / "log", threads=1)
    try:
        arguments = {"target": "tests.support.mishaps:fine", "arguments": {"out": str(tmp_path)}}
        assert worker.ask("call", timeout=30, **arguments)["value"] == {"answer": 42}
        start = time.monotonic()
        with pytest.raises(Hang, match="within 1 s"):
            worker.ask("call", timeout=1, **{**arguments, "target": "tests.support.mishaps:hangs"})
        assert 1 <= time.monotonic() - start < 10
    finally:
        worker.close()
