"""Tests the contention that the kernel's counters show, with readings of a simulated large host and real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from fixtures.store.source_code import ROOT
from fixtures.worker import counters
from fixtures.worker.counters import disturbance

CPUS = 64


class Times(NamedTuple):
    """The CPU times from psutil that the counters use, in seconds."""

    user: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    steal: float = 0.0


class Host:
    """A simulated host: numbers of its CPUs, those that this process may use, and seconds that each was used or stolen."""

    def __init__(self, allowed: set[int], numbers: list[int] | None = None) -> None:
        self.allowed, self.numbers = allowed, list(range(CPUS)) if numbers is None else numbers
        self.wall = self.own = 0.0
        self.used: dict[int, float] = {}
        self.stolen: dict[int, float] = {}

    def cpu_times(self, percpu: bool = False) -> Any:
        each = [Times(user=self.used.get(n, 0.0), steal=self.stolen.get(n, 0.0)) for n in self.numbers]
        return each if percpu else Times(*map(sum, zip(*each, strict=True)))

    def contention(self, own: float, used: dict[int, float], stolen: dict[int, float] | None = None) -> dict[str, float]:
        """The contention in one second, in which this process used ``own`` seconds and CPUs were used or stolen as given."""
        before = counters.read()
        self.wall, self.own, self.used, self.stolen = 1.0, own, used, stolen or {}
        return counters.contention(before, counters.read())


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``feed(host)`` makes the counters read ``host``."""

    def replace(host: Host) -> Host:
        monkeypatch.setattr(counters, "psutil", SimpleNamespace(cpu_times=host.cpu_times))
        clock = SimpleNamespace(perf_counter=lambda: host.wall, process_time=lambda: host.own)
        monkeypatch.setattr(counters, "time", clock)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: host.allowed, raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: len(host.numbers))
        online = ",".join(map(str, host.numbers))
        monkeypatch.setattr(counters, "_numbers", lambda pattern, root: iter([online] if pattern == "online" else []))
        return host

    return replace


def test_neighbours_on_the_cpus_of_a_pinned_process_disturb_it(feed: Any) -> None:
    """Two neighbours use only 3 % of 64 CPUs, but half of the two that this process may use."""
    found = feed(Host({10, 11})).contention(own=1.0, used={10: 1.0, 11: 1.0})
    assert found["foreign"] == pytest.approx(0.5)
    assert disturbance(found) == "other processes used the CPUs (50%)"


def test_neighbours_on_other_cpus_do_not(feed: Any) -> None:
    found = feed(Host({10, 11})).contention(own=2.0, used=dict.fromkeys(range(CPUS), 1.0))
    assert found["foreign"] == pytest.approx(0.0)
    assert disturbance(found) is None


def test_the_hypervisor_counts_on_those_cpus_only(feed: Any) -> None:
    assert feed(Host({10, 11})).contention(2.0, {10: 1.0, 11: 1.0}, stolen={10: 0.1})["steal"] == pytest.approx(0.05)
    assert feed(Host({10, 11})).contention(2.0, {10: 1.0, 11: 1.0}, stolen={12: 1.0})["steal"] == 0.0


def test_cpus_that_are_off_are_left_out_by_number(feed: Any) -> None:
    """If the second thread of every core is off, the fifth CPU that the kernel lists is number 8."""
    found = feed(Host({8}, numbers=list(range(0, CPUS, 2)))).contention(own=0.5, used={8: 1.0})
    assert found["foreign"] == pytest.approx(0.5)


def test_a_container_that_numbers_its_cpus_anew_is_taken_as_a_whole(feed: Any) -> None:
    """lxcfs shows a container CPUs 0 and 1, whatever numbers they have for the scheduler."""
    found = feed(Host({10, 11}, numbers=[0, 1])).contention(own=1.0, used={0: 1.0, 1: 1.0})
    assert found["foreign"] == pytest.approx(0.5)


def test_where_no_process_can_be_pinned_every_cpu_counts(feed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = feed(Host(set()))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert host.contention(own=1.0, used={10: 1.0, 11: 1.0})["foreign"] == pytest.approx(1 / CPUS)


PINNED_BY_A_RUNTIME = """
import os, threading
from fixtures.worker import counters
before, done = os.sched_getaffinity(0), threading.Event()
other = threading.Thread(target=done.wait)
other.start()
os.sched_setaffinity(0, {min(before)})
assert set(counters.read().used) == before, counters.read()
done.set()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no process can be pinned on this system")
def test_a_thread_that_pins_itself_leaves_the_others_their_cpus() -> None:
    found = subprocess.run([sys.executable, "-c", PINNED_BY_A_RUNTIME], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print("spins", flush=True)
while True:
    pass
"""
#: Code that reads the counters before and after half a second of the neighbour's CPU time, and spins in between.
WATCH = """
import json, os, sys
import psutil
from fixtures.worker import counters
os.sched_setaffinity(0, {int(sys.argv[1])})
neighbour = psutil.Process(int(sys.argv[2]))
used = lambda: sum(neighbour.cpu_times()[:2])
start, before = used(), counters.read()
while used() - start < 0.5:
    pass
after = counters.read()
print(json.dumps([counters.contention(before, after), (used() - start) / (after.wall - before.wall)]))
"""


@contextmanager
def spinning(cpu: int) -> Iterator[int]:
    """A process that uses ``cpu`` as much as possible."""
    with subprocess.Popen([sys.executable, "-c", SPIN, str(cpu)], stdout=subprocess.PIPE) as neighbour:
        try:
            assert neighbour.stdout is not None
            assert neighbour.stdout.readline()
            yield neighbour.pid
        finally:
            neighbour.kill()


def watched(own: int, neighbour: int) -> tuple[dict[str, float], float]:
    """The contention of a process pinned to the CPU ``own``, and the share of a CPU that its neighbour used."""
    with spinning(neighbour) as pid:
        told = subprocess.run(
            [sys.executable, "-c", WATCH, str(own), str(pid)], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    contention, share = json.loads(told)
    return contention, share


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no process can be pinned on this system")
def test_a_real_neighbour_counts_where_it_is() -> None:
    """A neighbour counts only on a CPU that this process may use, by the kernel's accounting, whatever else runs."""
    first, *others = sorted(os.sched_getaffinity(0))
    contention, share = watched(first, first)
    assert contention["foreign"] > 0.7 * share, f"{contention}; the neighbour used {share:.2f} of the same CPU"
    if others:
        contention, share = watched(first, others[-1])
        assert contention["foreign"] + contention["cpus"] < 1.15, (
            f"{contention}; one CPU; the neighbour used {share:.2f} of another"
        )
