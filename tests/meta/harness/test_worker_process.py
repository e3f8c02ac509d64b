"""Tests real worker processes: their answers, and the message for each way in which they can end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fixtures.core.codec import decode, encode
from fixtures.core.errors import Crash, Hang, RemoteError, WorkerError
from fixtures.harness.worker_process import WorkerProcess
from fixtures.store.source_code import ROOT

Mishap = Callable[..., Any]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def worker(tmp_path: Path, said: list[str]) -> Iterator[WorkerProcess]:
    made = WorkerProcess("the-variant", tmp_path / "worker.log", threads=1, say=said.append)
    yield made
    made.close()


@pytest.fixture
def mishap(worker: WorkerProcess, tmp_path: Path) -> Mishap:
    def call(name: str, timeout: float = 30) -> Any:
        return worker.ask("call", timeout=timeout, target=f"tests.support.mishaps:{name}", arguments={"out": str(tmp_path)})

    return call


def test_a_job_answers_with_its_cost_and_says_what_it_does(mishap: Mishap, said: list[str]) -> None:
    made = mishap("fine")
    assert made["value"] == {"answer": 42}
    assert said == ["working"]
    assert made["seconds"] >= 0
    assert 5 < made["peak_mib"] < 500


def test_an_exception_is_named_and_the_child_lives_on(mishap: Mishap) -> None:
    with pytest.raises(RemoteError, match=r"^ValueError: this model has three heads"):
        mishap("raises")
    assert mishap("fine")["value"] == {"answer": 42}


def test_a_segfault_is_a_crash_with_signal_and_last_lines(mishap: Mishap) -> None:
    with pytest.raises(Crash, match=r"the-variant was killed by SIGSEGV; its last lines:\n\s+last words"):
        mishap("segfaults")


def test_a_kill_hints_at_memory(mishap: Mishap) -> None:
    with pytest.raises(Crash, match=r"killed by SIGKILL \(out of memory\?\)"):
        mishap("is_killed")


def test_an_exit_is_a_crash_with_its_code(mishap: Mishap) -> None:
    with pytest.raises(Crash, match="exited with code 7"):
        mishap("exits")


def test_a_hang_is_killed_at_its_limit(mishap: Mishap, worker: WorkerProcess) -> None:
    start = time.monotonic()
    with pytest.raises(Hang, match="gave no answer within 1 s and was killed"):
        mishap("hangs", timeout=1)
    assert time.monotonic() - start < 10
    assert not psutil.pid_exists(worker.pid)


def test_a_dead_worker_stays_dead(mishap: Mishap) -> None:
    with pytest.raises(Crash):
        mishap("exits")
    with pytest.raises(WorkerError):
        mishap("fine")


@pytest.mark.parametrize("end", ["close", "exits"])
def test_no_temporary_file_is_left(mishap: Mishap, worker: WorkerProcess, tmp_path: Path, end: str) -> None:
    left = Path(mishap("litters")["value"])
    assert left.exists()
    assert tmp_path in left.parents, "it is not removed with the run if the parent is killed"
    if end == "close":
        worker.close()
    else:
        with pytest.raises(Crash):
            mishap(end)
    assert not left.exists()


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    program = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from fixtures.harness.worker_process import WorkerProcess
worker = WorkerProcess("orphan", Path({str(tmp_path)!r}) / "log", threads=1)
print(worker.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    parent = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert parent.returncode == -9, parent.stderr
    pid = int(parent.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"worker {pid} outlives its parent"
        time.sleep(0.05)


@given(
    array=hnp.arrays(
        st.sampled_from([np.int64, np.float32, np.float64]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
def test_arrays_survive_the_wire(array: Any) -> None:
    back = decode(encode({"a": [array, (array, 3)], "b": None}))
    for got in (back["a"][0], back["a"][1][0]):
        assert got.dtype == array.dtype
        assert got.shape == array.shape
        assert np.array_equal(got, array, equal_nan=True)
    assert back["a"][1][1] == 3
