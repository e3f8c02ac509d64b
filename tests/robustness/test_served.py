"""Tests of a real server of a variant: wrong requests, slow clients, a full queue, a killed worker, SIGTERM.

They need BentoML, in this Python or in that of ``--serve-python``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fixtures.harness.harness import Harness
from fixtures.serving.server import Server
from tests.support import served
from tests.support.served import IDS, TEXTS

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def serving(harness: Harness) -> Iterator[Server]:
    with served.start(harness, "served") as found:
        yield found


def test_try(serving: Server) -> None:
    print(serving.ask("ids", IDS), serving.ask("texts", TEXTS), serving.ask("nothing", b"{}"))
    for body in (b"{", b'{"input_ids": [[1]]}', b'{"input_ids": [[NaN]], "attention_mask": [[1]]}', IDS.replace(b"[[1, 2, 3]]", b"[[1.5,2,3]]"), IDS.replace(b"[[1, 2, 3]]", b"[[1,2,99999999]]")):
        print(serving.ask("ids", body))
    print(serving.tree(), serving.worker())
    assert 0
