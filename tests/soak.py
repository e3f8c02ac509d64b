"""Runs the suite repeatedly in random order to find flaky tests and leaks.

``python -m tests.soak --times 20 -- tests -n 2`` does 20 runs of ``pytest tests -n 2``. Every run is a separate pytest process
with another seed for the order; ``{seed}`` in its arguments is replaced with the seed. During a run, its processes are sampled
twice a second. After a run, no process, no file in the store's ``tmp`` and ``runs`` and no held lock may be left.
"""

from __future__ import annotations

import argparse
import collections
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from fixtures.report.table import Column, Table, identity
from fixtures.store.source_code import ROOT
from fixtures.store.store import default_root
from tests.support.nested import command, surroundings

MARK = "SOAK"
MIB = 2.0**20
#: Memory that grows after this share of a run is a leak; before, the pytest processes still import modules.
WARM = 0.5


@dataclass
class Run:
    """One run: exit code, last line, the tests that ``failed``, what was ``left``, and its pytest processes' memory in MiB."""

    seconds: float = 0.0
    code: int = -1
    last: str = ""
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: int = 0
    processes: int = 0

    @property
    def growth(self) -> float:
        """MiB by which the largest memory of the second half of a run exceeds that of its middle."""
        half = self.memory[int(len(self.memory) * WARM) :]
        return max(half[len(half) // 2 :], default=0.0) - max(half[: len(half) // 2 + 1], default=0.0)


def _marked(mark: str) -> Iterator[psutil.Process]:
    """Every process with the run's mark in its environment."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _is_pytest(process: psutil.Process) -> bool:
    """True for the pytest controller and xdist's workers, which run in the project's folder; worker processes run elsewhere."""
    return "pytest" in " ".join(process.cmdline()) or Path(process.cwd()) == ROOT


def _look(mark: str, run: Run) -> None:
    memory, files, found = 0.0, 0, 0
    for process in _marked(mark):
        try:
            found += 1
            if _is_pytest(process):
                memory += process.memory_info().rss / MIB
                files = max(files, process.num_fds())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    run.memory.append(memory)
    run.files, run.processes = max(run.files, files), max(run.processes, found)


def once(arguments: Sequence[str], seed: int, store: Path) -> Run:
    """One run of pytest with ``arguments`` in the order of ``seed``."""
    mark, run, start = uuid.uuid4().hex, Run(), time.monotonic()
    order = ("--random-order-bucket=global", f"--random-order-seed={seed}")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command(*(text.replace("{seed}", str(seed)) for text in arguments), *order, f"--artifacts={store}"),
            cwd=ROOT, env=surroundings(**{MARK: mark}), stdout=log, stderr=log,
        )  # fmt: skip
        while process.poll() is None:
            _look(mark, run)
            time.sleep(0.5)
        log.seek(0)
        text = log.read()
    run.seconds, run.code = time.monotonic() - start, process.returncode
    run.last = (text.strip().splitlines() or [""])[-1].strip("= ")
    run.failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    run.left = [f"process {left.pid}" for left in _marked(mark)] + list(_left_in(store))
    return run


def _left_in(store: Path) -> Iterator[str]:
    yield from (f"{folder}/{path.name}" for folder in ("tmp", "runs") for path in (store / folder).iterdir())
    for path in (store / "locks").iterdir():
        try:
            with FileLock(path, timeout=0):
                continue
        except Timeout:
            yield f"locks/{path.name}"


def main() -> None:
    """Do all runs; returns 1 if any run failed or left something."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=20, metavar="N", help="runs (default: 20)")
    parser.add_argument(
        "--artifacts", type=Path, default=Path(default_root()), metavar="DIR", help="a store that nobody else uses"
    )
    parser.add_argument(
        "arguments", nargs="*", default=["tests", "-n", "2"], help="for pytest, behind -- (default: tests -n 2)"
    )
    asked = parser.parse_args()
    runs: dict[str, Run] = {}
    for seed in range(1, asked.times + 1):
        runs[str(seed)] = run = once(asked.arguments, seed, asked.artifacts)
        print(f"{seed}: {run.last} {'; '.join([*run.failed, *run.left])}", file=sys.stderr, flush=True)
    print(_table(runs))
    flaky = collections.Counter(name for run in runs.values() for name in run.failed)
    left = [name for run in runs.values() for name in run.left]
    print(
        f"\n{len(runs)} runs: {sum(run.code != 0 for run in runs.values())} failed, flaky: {dict(flaky)}, left behind: {left}"
    )
    sys.exit(bool(left or any(run.code for run in runs.values())))


def _table(runs: dict[str, Run]) -> Table:
    return Table(
        {name: {**vars(run), "peak": max(run.memory, default=0.0), "growth": run.growth} for name, run in runs.items()},
        [
            Column("seed", identity),
            Column("result", "last"),
            Column("s", "seconds", "{:.0f}"),
            Column("pytest's memory, MiB at most", "peak", "{:.0f}"),
            Column("growth in the last quarter, MiB", "growth", "{:.1f}"),
            Column("open files at most", "files", "{}"),
            Column("processes at most", "processes", "{}"),
        ],
    )


if __name__ == "__main__":
    main()
