"""A server of a tiny variant for tests of its faults, and clients of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.serving import server
from fixtures.serving.server import Server

VARIANT = Variant("bert-base-cased", "tiny", "onnxruntime", "int8_dynamic")
#: Short rows of token ids that every checkpoint knows, and texts.
IDS = json.dumps({"input_ids": [[1, 2, 3]], "attention_mask": [[1, 1, 1]], "token_type_ids": [[0, 0, 0]]}).encode()
TEXTS = json.dumps({"texts": ["One sentence."], "pairs": ["Another one."]}).encode()
#: The most rows that a request may have, each as long as the model takes: slow enough that others wait.
LONG = json.dumps({"texts": ["many words " * 200] * 64, "pairs": ["of a text " * 200] * 64}).encode()


def start(harness: Harness, name: str, **limits: Any) -> Server:
    """A server of VARIANT with ``limits`` (``fixtures.serving.server.served``), in the folder ``name`` of the run."""
    return Server(server.python(harness.settings), server.served(harness, VARIANT, **limits), harness.store.run / name)


def outcome(serving: Server, endpoint: str, body: bytes) -> int | str:
    """The status of one answer, or the name of the error that ended the connection; TimeoutError if there is none."""
    try:
        return serving.ask(endpoint, body)[0]
    except TimeoutError:
        raise
    except (OSError, HTTPException) as error:
        return type(error).__name__


def together(serving: Server, asked: Sequence[tuple[str, bytes]], meanwhile: Callable[[], None] = lambda: None) -> list[int | str]:
    """The outcomes of all requests ``asked``, which are sent at the same time; ``meanwhile`` runs after they are sent."""
    with ThreadPoolExecutor(len(asked)) as clients:
        waiting = [clients.submit(outcome, serving, *one) for one in asked]
        meanwhile()
        return [each.result() for each in waiting]
