"""Tests Ctrl-C and SIGTERM at any moment: no process, lock or half-made file remains, and the next run works.

The tests also work if this pytest ignores SIGINT, as a background process of a shell without job control does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from fixtures.store.manifest import MANIFEST, damage
from fixtures.store.source_code import ROOT
from tests.support.nested import command, run, surroundings

PATIENCE = 60.0
CTRL_C, KILL_INT, TERM = "Ctrl-C", "SIGINT", "SIGTERM"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that contains the data, which every session needs."""
    store = tmp_path_factory.mktemp("filled") / "store"
    assert run("tests/meta/core/test_machine.py", f"--artifacts={store}").returncode == 0
    return store


def wait_until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} took over {PATIENCE} s"
        time.sleep(0.02)


@contextmanager
def in_the_background() -> Iterator[None]:
    """Starts processes as ``nohup pytest &`` in a script does: with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def lingering(
    moment: str, workers: int, tmp_path: Path, seconds: int = 300, start: Callable[..., list[str]] = command
) -> Iterator[subprocess.Popen[str]]:
    """A separate pytest session, started by ``start``, that has reached ``moment`` and would wait there for minutes."""
    mark = tmp_path / "mark"
    environment = surroundings(
        LINGER_AT=moment, LINGER_MARK=str(mark), LINGER_SECONDS=str(seconds), LINGER_OUT=str(tmp_path), PYTHONUNBUFFERED="1"
    )
    arguments = ("tests/support/lingering.py", f"--artifacts={tmp_path / 'store'}", "-n", str(workers))
    with subprocess.Popen(
        start(*arguments), cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as session:  # fmt: skip
        try:
            wait_until(moment, lambda: mark.exists() or session.poll() is not None)
            yield session
        finally:
            session.kill()


def send(session: subprocess.Popen[str], how: str) -> None:
    """Sends the signal: like Ctrl-C on a terminal to every process of the session, or like ``kill`` to one."""
    if how == CTRL_C:
        os.killpg(session.pid, signal.SIGINT)
    else:
        session.send_signal(signal.SIGINT if how == KILL_INT else signal.SIGTERM)


@pytest.mark.parametrize(
    ("moment", "workers", "how"),
    [
        ("collection", 0, CTRL_C),
        ("build", 0, CTRL_C),
        ("build", 0, KILL_INT),
        ("heavy build", 0, CTRL_C),
        ("run", 0, CTRL_C),
        ("build", 2, CTRL_C),
        ("run", 2, KILL_INT),
        ("build", 0, TERM),
        ("run", 2, TERM),
    ],
)
def test_an_interrupted_session_leaves_nothing_behind(
    moment: str, workers: int, how: str, tmp_path: Path, filled: Path
) -> None:
    store = shutil.copytree(filled, tmp_path / "store")
    with lingering(moment, workers, tmp_path) as session:
        assert_nothing_is_left(session, how, store)


@pytest.mark.parametrize("how", [CTRL_C, TERM])
def test_so_it_is_where_this_session_runs_in_the_background(how: str, tmp_path: Path, filled: Path) -> None:
    store = shutil.copytree(filled, tmp_path / "store")
    with in_the_background(), lingering("build", 0, tmp_path) as session:
        assert_nothing_is_left(session, how, store)


def in_this_state(*arguments: str) -> list[str]:
    """Starts pytest with the signal handling of this process; ``command`` would reset ignored signals."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


def test_a_session_in_the_background_ends_by_sigterm(tmp_path: Path, filled: Path) -> None:
    store = shutil.copytree(filled, tmp_path / "store")
    with in_the_background(), lingering("run", 2, tmp_path, start=in_this_state) as session:
        assert_nothing_is_left(session, TERM, store)


def test_a_session_in_the_background_is_not_interrupted_and_no_child_of_it(tmp_path: Path, filled: Path) -> None:
    """A session in the background and its worker processes ignore Ctrl-C, which is meant for another program."""
    shutil.copytree(filled, tmp_path / "store")
    with in_the_background(), lingering("run", 0, tmp_path, seconds=1, start=in_this_state) as session:
        send(session, CTRL_C)
        told, _ = session.communicate(timeout=PATIENCE)
    assert session.returncode == 0, told[-3000:]
    assert "3 passed" in told, told[-3000:]


def assert_nothing_is_left(session: subprocess.Popen[str], how: str, store: Path) -> None:
    """Ends ``session`` and asserts that it leaves nothing; then asserts that the same session runs to its end."""
    family = psutil.Process(session.pid).children(recursive=True)
    send(session, how)
    told, _ = session.communicate(timeout=PATIENCE)
    assert session.returncode == (-signal.SIGTERM if how == TERM else 2), told[-3000:]
    assert "INTERNALERROR" not in told, told[-3000:]
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, f"{[(child.pid, child.cmdline()) for child in alive]} live on"
    for lock in (store / "locks").iterdir():
        with FileLock(lock, timeout=0):
            """Nobody holds it."""
    whole = [manifest.parent for manifest in store.glob(f"*/{MANIFEST}")]
    assert {path for path in store.iterdir() if path.name not in ("locks", "tmp", "runs")} == set(whole)
    assert all(damage(folder) is None for folder in whole)
    again = run("tests/support/lingering.py", f"--artifacts={store}")
    assert again.returncode == 0, again.stdout[-3000:]
    assert "3 passed" in again.stdout
    assert not list((store / "tmp").iterdir())
