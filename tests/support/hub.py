"""A hub on the loopback interface that serves a folder as a model or a data set, or is faulty."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote

JSON = "application/json"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        """Answers what is asked about paths (``paths-info``)."""
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        names = asked.get("paths", [])
        self._send(
            json.dumps([entry for name in names for entry in self._entries() if entry["path"] == name]).encode(), JSON, True
        )

    def _answer(self, body: bool) -> None:
        if self.server.misbehaviour == "fails":
            self.send_error(500)
        elif self.server.misbehaviour == "talks of something else":
            self._send(b"<html>Please sign in to this network</html>", "text/html", body)
        elif self.server.known and f"/{self.server.known}/" not in f"{self.path}/":
            self._missing("RepoNotFound")
        elif "/resolve/" in self.path:
            self._file(unquote(self.path.partition("/resolve/")[2].partition("/")[2]), body)
        elif "/tree/" in self.path:
            self._tree(body)
        else:
            names = [{"rfilename": name} for name in self.server.files]
            self._send(json.dumps({"id": "x/y", "sha": self.server.commit, "siblings": names}).encode(), JSON, body)

    def _entries(self) -> list[dict[str, Any]]:
        files = [{"type": "file", "path": n, "size": len(c), "oid": self.server.commit} for n, c in self.server.files.items()]
        folders = {str(parent) for name in self.server.files for parent in PurePosixPath(name).parents if parent.name}
        return [*files, *({"type": "directory", "path": name, "oid": self.server.commit} for name in sorted(folders))]

    def _tree(self, body: bool) -> None:
        """Sends the list of a folder: all that is in it, or with ``recursive=true`` also what is in its folders."""
        address, _, query = self.path.partition("?")
        folder = PurePosixPath(unquote(address.partition("/tree/")[2].partition("/")[2]))
        deep = "true" in parse_qs(query.lower()).get("recursive", [])
        inside = [
            entry for entry in self._entries()
            if folder in (parents := PurePosixPath(entry["path"]).parents) and (deep or folder == parents[0])
        ]  # fmt: skip
        if inside:
            self._send(json.dumps(inside).encode(), JSON, body)
        else:
            self._missing("EntryNotFound")

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, name: str, body: bool) -> None:
        if name in self.server.files:
            self._send(self.server.files[name], "application/octet-stream", body)
        else:
            self._missing("EntryNotFound")

    def _send(self, content: bytes, kind: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.server.commit)
        self.end_headers()
        if body:
            cut = len(content) // 2 if self.server.misbehaviour == "hangs up" and len(content) > 2**16 else len(content)
            self.wfile.write(content[:cut])
            self.close_connection = cut < len(content)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: a failing test has the information."""


class _Server(ThreadingHTTPServer):
    files: dict[str, bytes]
    misbehaviour: str
    known: str
    commit: str


@contextmanager
def serve(
    folder: Path | None = None, misbehaviour: str = "", known: str = "", commit: str = COMMIT, **replaced: bytes
) -> Iterator[str]:  # fmt: skip
    """The address of a hub whose repositories are all ``folder`` at ``commit``; with ``known``, that is the only one there is.

    Names of ``replaced`` files have "_" instead of ".".
    """
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.misbehaviour, server.known, server.commit = misbehaviour, known, commit
        files = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        server.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if folder}
        server.files.update({name.replace("_", "."): content for name, content in replaced.items()})
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def silent() -> Iterator[str]:
    """An address that accepts requests and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """An address on which nothing listens; it is bound, so that no other program listens there."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
