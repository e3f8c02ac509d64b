"""A model hub on the loopback interface that serves a folder, or is faulty."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.server.misbehaviour == "fails":
            self.send_error(500)
        elif self.server.misbehaviour == "talks of something else":
            self._send(b"<html>Please sign in to this network</html>", "text/html", body)
        elif "/resolve/" in self.path:
            self._file(self.path.rpartition("/")[2], body)
        elif "/tree/" in self.path:
            tree = [{"type": "file", "path": n, "size": len(c), "oid": COMMIT} for n, c in self.server.files.items()]
            self._send(json.dumps(tree).encode(), "application/json", body)
        else:
            names = [{"rfilename": name} for name in self.server.files]
            self._send(json.dumps({"id": "x/y", "sha": COMMIT, "siblings": names}).encode(), "application/json", body)

    def _file(self, name: str, body: bool) -> None:
        if name in self.server.files:
            self._send(self.server.files[name], "application/octet-stream", body)
        else:
            self.send_error(404)

    def _send(self, content: bytes, kind: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
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


@contextmanager
def serve(folder: Path | None = None, misbehaviour: str = "", **replaced: bytes) -> Iterator[str]:
    """The address of a hub whose repositories are all ``folder``; names of ``replaced`` files have "_" instead of "."."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.misbehaviour = misbehaviour
        server.files = {path.name: path.read_bytes() for path in (folder.iterdir() if folder else ())}
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
