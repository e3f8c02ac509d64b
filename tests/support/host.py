"""A server on loopback with the part of the host's REST interface that comments on a pull request need."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY, PULL_REQUEST = "owner/name", "7"
_ALL = f"/repos/{REPOSITORY}/issues/{PULL_REQUEST}/comments"
_ONE = f"/repos/{REPOSITORY}/issues/comments/"


class Host:
    """The comments of one pull request, the oldest first. Without ``writable``, new and changed ones are refused."""

    def __init__(self, address: str) -> None:
        self.address, self.writable = address, True
        self.comments: list[dict[str, Any]] = []

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that a runner sets."""
        return {
            "GITHUB_API_URL": self.address, "GITHUB_SERVER_URL": "https://example.org", "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "1",
        }  # fmt: skip

    def add(self, body: str, kind: str = "Bot") -> dict[str, Any]:
        """A new comment of somebody of ``kind``."""
        number = len(self.comments) + 1
        made = {"id": number, "body": body, "user": {"type": kind}, "html_url": f"https://example.org/comment/{number}"}
        self.comments.append(made)
        return made

    def answer(self, method: str, path: str, content: Any) -> tuple[int, Any]:
        """The status and content of the answer to a request."""
        place = urlsplit(path)
        if method == "GET" and place.path == _ALL:
            size, page = (int(parse_qs(place.query)[name][0]) for name in ("per_page", "page"))
            return 200, self.comments[(page - 1) * size : page * size]
        if not self.writable:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "POST" and place.path == _ALL:
            return 201, self.add(content["body"])
        if method == "PATCH" and place.path.startswith(_ONE):
            changed = self.comments[int(place.path.removeprefix(_ONE)) - 1]
            changed.update(content)
            return 200, changed
        return 404, {"message": "Not Found"}


@contextmanager
def serving() -> Iterator[Host]:
    """A host that answers until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            content = json.loads(self.rfile.read(length)) if length else None
            allowed = self.headers.get("Authorization") == "Bearer secret"
            status, made = host.answer(self.command, self.path, content) if allowed else (401, {})
            body = json.dumps(made).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host = Host(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()
