"""Works on a store in a process that kills itself at its n-th step: a line of the store's code or a file system call."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from fixtures.core.errors import Crash
from fixtures.store import eviction, lease, manifest, remote, remote_files, run_lock, store
from fixtures.store.artifact import Request
from fixtures.store.eviction import prune
from fixtures.store.manifest import MANIFEST
from fixtures.store.remote import Remote
from fixtures.store.store import Store

REQUEST = Request("thing", {"weights": "abc", "precision": "f32"})
FAILING = Request("failing", {"weights": "none"})
CALLS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.utime", "os.truncate", "shutil.rmtree", "fcntl.flock"}
SOURCES = tuple(inspect.getfile(module) for module in (eviction, lease, manifest, remote, remote_files, run_lock, store))
#: Folders below the root of a process that works with a remote.
STORE, REMOTE = "store", "remote"
#: Seconds after which the lease of a killed process is taken over.
TTL = 0.2


def build(out: Path) -> Mapping[str, Any]:
    """Build a payload of two files."""
    (out / "model.bin").write_bytes(b"0123456789" * 100)
    (out / "deep").mkdir()
    (out / "deep" / "more.bin").write_bytes(b"x")
    return {"value": {"opset": 17}, "seconds": 0.5, "peak_mib": 12.0}


def crash(out: Path) -> Mapping[str, Any]:
    raise Crash("the-variant was killed by SIGSEGV")


def builds(root: Path) -> None:
    """Build an artifact that does not exist."""
    Store(root, "killed", lambda text: None).get(REQUEST, build)


def rebuilds(root: Path) -> None:
    """Build a damaged artifact again."""
    (root / REQUEST.folder / "model.bin").write_bytes(b"?")
    builds(root)


def fails(root: Path) -> None:
    """Record a failed build."""
    try:
        Store(root, "killed", lambda text: None).get(FAILING, crash)
    except Crash:
        return


def prunes(root: Path) -> None:
    """Remove an artifact that no run uses."""
    os.utime(root / REQUEST.folder / MANIFEST, (0, 0))
    prune(Store(root, "killed", lambda text: None), 0)


def node(root: Path, name: str = STORE, run: str = "killed") -> Store:
    """A store below ``root`` with a remote beside it."""
    return Store(root / name, run, lambda text: None, Remote(str(root / REMOTE), TTL))


def publishes(root: Path) -> None:
    """Build an artifact that no node has built."""
    node(root).get(REQUEST, build)


def fetches(root: Path) -> None:
    """Fetch an artifact from the remote."""
    node(root).get(REQUEST, crash)


def die_at(step: int, work: Callable[[Path], None], root: Path) -> None:
    """Do ``work`` on the store at ``root``; SIGKILL before its ``step``-th step, or a normal end if it has fewer."""
    import fsspec.implementations.local  # noqa: F401  # steps are then those of the work, not of an import

    left = step

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(SOURCES):
            return None
        if event == "line":
            count()
        return trace

    sys.addaudithook(lambda event, arguments: count() if event in CALLS else None)
    sys.settrace(trace)
    work(root)
    sys.settrace(None)
    os._exit(0)
