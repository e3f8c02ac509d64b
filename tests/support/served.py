"""A server of a tiny variant for tests of its faults, and clients of it."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.serving import server
from fixtures.serving.server import HOST, Server

VARIANT = Variant("bert-base-cased", "tiny", "onnxruntime", "int8_dynamic")
#: A guard: seconds after which a test gives up waiting.
PATIENCE = 90.0


def ids(length: int = 3, rows: int = 1, **other: Any) -> bytes:
    """A request for the logits of ``rows`` of token ids, with ``other`` values instead of some arrays."""
    arrays = {"input_ids": [[7] * length] * rows, "attention_mask": [[1] * length] * rows}
    return json.dumps({**arrays, "token_type_ids": [[0] * length] * rows, **other}).encode()


def start(harness: Harness, place: Path, **limits: Any) -> Server:
    """A server of VARIANT with ``limits`` (``fixtures.serving.server.served``) and its files below ``place``."""
    return Server(server.python(harness.settings), server.served(harness, VARIANT, **limits), place / "server")


def outcome(running: Server, endpoint: str, body: bytes) -> int | str:
    """The status of the answer, or the name of the error that ended the connection; TimeoutError if there is neither."""
    try:
        return running.ask(endpoint, body, PATIENCE)[0]
    except TimeoutError:
        raise
    except (OSError, HTTPException) as error:
        return type(error).__name__


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"within {PATIENCE:.0f} s, not {what}"
        time.sleep(0.02)


def waiting(running: Server) -> int:
    """The number of requests that the server has accepted and not answered, by its own metrics."""
    text = running.get("metrics")[1]
    return int(
        sum(float(value) for value in re.findall(r"^bentoml_service_request_in_progress\{.*\} (\S+)$", text, re.MULTILINE))
    )


class Slow:
    """A client that has sent the headers and the first half of its request to ``endpoint``."""

    def __init__(self, running: Server, endpoint: str, body: bytes) -> None:
        self.socket = socket.create_connection((HOST, running.port), timeout=PATIENCE)
        self.rest = body[len(body) // 2 :]
        lines = [f"POST /{endpoint} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body[: len(body) // 2])

    def finish(self) -> int:
        """Send the other half, and return the status of the answer."""
        self.socket.sendall(self.rest)
        return self.answer()

    def answer(self) -> int:
        """The status of the answer."""
        with self.socket, HTTPResponse(self.socket) as answer:
            answer.begin()
            answer.read()
            return answer.status
