"""Remotes for tests: nodes with stores of their own, what is in a remote's folder, and a server of files on loopback."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures.store.artifact import Artifact, Request
from fixtures.store.remote import Remote
from fixtures.store.store import Store
from tests.support.dying import REQUEST, build

#: Seconds after which tests take a lease over.
SHORT = 0.3


class Node:
    """A machine with a store of its own under ``root`` behind which is the remote at ``url``; it counts its builds."""

    def __init__(self, root: Path, url: str, ttl: float = 60.0) -> None:
        self.said: list[str] = []
        self.builds = 0
        self.store = Store(root, "run", self.said.append, Remote(url, ttl))

    def get(self, request: Request = REQUEST, make: Callable[[Path], Mapping[str, Any]] = build) -> Artifact:
        def counted(out: Path) -> Mapping[str, Any]:
            self.builds += 1
            return make(out)

        return self.store.get(request, counted)

    def events(self, name: str) -> int:
        return len(self.store.journal(name))


def whole(remote: Path) -> int:
    """Assert that all that is visible in a remote's folder is whole; return the number of artifacts."""
    for path in (remote / "objects").glob("*"):
        assert re.fullmatch("[0-9a-f]{64}", path.name), f"{path.name} is visible"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, f"half of {path.name} is visible"
    manifests = list((remote / "artifacts").glob("*"))
    for path in manifests:
        for entry in json.loads(path.read_text(encoding="utf-8"))["files"].values():
            assert (remote / "objects" / entry["sha256"]).stat().st_size == entry["bytes"], f"{path.name} before its files"
    return len(manifests)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of ``folder`` by HTTP in a process of its own; gives the address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = re.search(r"port (\d+)", server.stdout.readline())
            assert port, "the server did not start"
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            server.terminate()
