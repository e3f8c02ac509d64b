"""Tests a real server of a variant: wrong requests, slow clients, a full queue, a killed worker process, and the end.

They need BentoML and Locust, in this Python or in that of ``--serve-python``. Waits are guards; no test judges seconds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.core.errors import SuiteError
from fixtures.harness.harness import Harness
from fixtures.serving.described import MOST_BYTES, MOST_ROWS
from fixtures.serving.driving import drive
from fixtures.serving.server import Server
from fixtures.serving.server import python as server_python
from tests.support.served import Slow, ids, outcome, start, until, waiting

pytestmark = pytest.mark.server
#: Requests that the shared server accepts at a time.
MOST = 6
OK = HTTPStatus.OK
TEXTS = json.dumps({"texts": ["One sentence."], "pairs": ["Another one."]}).encode()
#: The most text that one request may have: computing its answer takes long enough for others to wait.
LONG = json.dumps({"texts": ["many words " * 300] * MOST_ROWS, "pairs": ["of a text " * 300] * MOST_ROWS}).encode()


@pytest.fixture(scope="module")
def running(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start(harness, tmp_path_factory.mktemp("served"), most=MOST) as found:
        yield found


WRONG = {
    "no JSON": ("ids", b"{", "Invalid JSON"),
    "a list": ("ids", b"[]", "should be an object"),
    "a missing field": ("ids", b'{"input_ids": [[1]]}', "attention_mask"),
    "a field that the model needs": ("ids", b'{"input_ids": [[7]], "attention_mask": [[1]]}', "'token_type_ids' is missing"),
    "fractions": ("ids", ids(input_ids=[[7, 7, 7.5]]), "valid integer"),
    "words for ids": ("ids", ids(input_ids=[["7", "7", "7"]]), "valid integer"),
    "NaN": ("ids", ids(input_ids=[[7, 7, float("nan")]]), "valid integer"),
    "infinity": ("ids", ids(attention_mask=[[1, 1, float("inf")]]), "valid integer"),
    "a huge number": ("ids", ids(input_ids=[[7, 7, 10**30]]), "less than"),
    "no id of the vocabulary": ("ids", ids(input_ids=[[7, 7, 10**6]]), "token ids must lie in 0.."),
    "a mask of other numbers": ("ids", ids(attention_mask=[[1, 1, 2]]), "less than or equal to 1"),
    "another length": ("ids", ids(attention_mask=[[1, 1]]), "all alike"),
    "rows of several lengths": ("ids", ids(input_ids=[[7], [7, 7]]), "differ in length"),
    "too long": ("ids", ids(4000), "exceeds the model's maximum of"),
    "no rows": ("ids", ids(rows=0), "at least 1 item"),
    "no tokens": ("ids", ids(0), "give non-empty int64"),
    "too many rows": ("ids", ids(rows=MOST_ROWS + 1), f"at most {MOST_ROWS} items"),
    "no text": ("texts", b'{"texts": [null]}', "valid string"),
    "fewer pairs": ("texts", b'{"texts": ["a", "b"], "pairs": ["c"]}', "give as many of both"),
}


def said(answer: Any) -> str:
    """What the answer to a wrong request says, in BentoML's form or in that of its check of arguments."""
    first = answer[0] if isinstance(answer, list) else answer
    return " ".join([first["error"], *(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in first.get("detail", ()))])


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_answered_in_one_sentence_and_the_next_one_works(running: Server, name: str) -> None:
    endpoint, body, expected = WRONG[name]
    status, answer = running.ask(endpoint, body)
    assert status == HTTPStatus.BAD_REQUEST, f"{name}: {status} {answer}"
    assert expected in said(answer), said(answer)
    fields = [one["loc"][:1] for one in answer.get("detail", ())] if isinstance(answer, dict) else []
    assert len(fields) == len({tuple(field) for field in fields}), f"{name}: more than one sentence on a field: {answer}"
    assert outcome(running, endpoint, ids() if endpoint == "ids" else TEXTS) == OK


def test_texts_of_any_length_and_script_are_answered(running: Server) -> None:
    texts = ["", " ", "word " * 5000, "\0\ud7ff\U0001f600", "日本語", "[PAD] [MASK] [CLS]"]
    status, answer = running.ask("texts", json.dumps({"texts": texts, "pairs": texts[::-1]}).encode())
    assert status == OK, answer
    assert len(answer["logits"]) == len(texts)


def test_a_body_beyond_the_limit_is_refused(running: Server) -> None:
    assert outcome(running, "texts", json.dumps({"texts": ["a" * MOST_BYTES]}).encode()) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert outcome(running, "texts", TEXTS) == OK


def test_a_slow_client_does_not_block_others(running: Server) -> None:
    slow = Slow(running, "texts", TEXTS)
    until(lambda: waiting(running) == 1, "accepted")
    assert [outcome(running, "ids", ids()) for _ in range(20)] == [OK] * 20
    assert slow.finish() == OK


def test_requests_beyond_the_limit_are_refused_at_once_and_memory_is_bounded(running: Server) -> None:
    slow = [Slow(running, "texts", TEXTS) for _ in range(MOST)]
    until(lambda: waiting(running) == MOST, "all accepted")
    body = json.dumps({"texts": ["a" * (MOST_BYTES // 2)]}).encode()
    before, worker = running.worker().memory_info().rss, running.worker()
    refused = [outcome(running, "texts", body) for _ in range(200)]
    grown = worker.memory_info().rss - before
    assert set(refused) == {HTTPStatus.TOO_MANY_REQUESTS.value}, set(refused)
    assert grown < 20 * len(body), f"200 refused requests of {len(body)} bytes leave {grown} bytes"
    assert [one.finish() for one in slow] == [OK] * MOST
    assert outcome(running, "texts", TEXTS) == OK


def test_a_killed_worker_process_fails_what_it_had_and_its_successor_answers(running: Server) -> None:
    """Each client fails at most once, with an error of its connection; none hangs, and all are answered afterwards."""
    outcomes: list[list[int | str]] = [[] for _ in range(MOST - 1)]
    first, over = running.worker(), threading.Event()

    def client(own: list[int | str]) -> None:
        while not over.is_set():
            own.append(outcome(running, "texts", LONG))

    with ThreadPoolExecutor(len(outcomes)) as clients:
        busy = [clients.submit(client, own) for own in outcomes]
        try:
            until(lambda: waiting(running) == len(outcomes), "all in flight")
            first.kill()
            before = [len(own) for own in outcomes]
            until(lambda: all(len(own) > past + 2 for own, past in zip(outcomes, before, strict=True)), "answered again")
        finally:
            over.set()
        for each in busy:
            each.result()
    failed = [[one for one in own if one != OK] for own in outcomes]
    assert all(len(own) <= 1 for own in failed), failed
    assert {one for own in failed for one in own} <= {"ConnectionResetError", "RemoteDisconnected", "IncompleteRead"}, failed
    assert any(failed), "no request was in flight"
    assert [own[-1] for own in outcomes] == [OK] * len(outcomes)
    assert running.worker().pid != first.pid


def test_load_on_an_endpoint_that_fails_is_said(running: Server, harness: Harness, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"requests to /ids failed: .*400"):
        drive(server_python(harness.settings), running, "ids", [b"{"], 1, 1, tmp_path)


def test_sigterm_answers_what_was_accepted_and_refuses_the_rest(harness: Harness, tmp_path: Path) -> None:
    with start(harness, tmp_path, most=MOST, seconds=30.0) as ending:
        slow = [Slow(ending, "texts", TEXTS) for _ in range(3)]
        until(lambda: waiting(ending) == len(slow), "all accepted")
        worker = ending.worker()
        with ThreadPoolExecutor(2) as clients:
            code = clients.submit(ending.end)
            until(lambda: psutil.CONN_LISTEN not in {one.status for one in worker.net_connections()}, "closed to new clients")
            late = clients.submit(outcome, ending, "ids", ids())
            assert [one.finish() for one in slow] == [OK] * len(slow)
            assert late.result() in {"ConnectionResetError", "ConnectionRefusedError", "RemoteDisconnected"}, late.result()
            assert code.result() == 0
        assert not worker.is_running()


def test_a_stalled_client_is_timed_out_and_a_killed_server_leaves_no_process(harness: Harness, tmp_path: Path) -> None:
    with start(harness, tmp_path, most=1, seconds=2.0) as found:
        stalled = Slow(found, "texts", TEXTS)
        assert stalled.answer() == HTTPStatus.GATEWAY_TIMEOUT
        assert outcome(found, "texts", TEXTS) == OK
        started = found.tree()
        found.kill()
        assert not psutil.wait_procs(started, timeout=60)[1]
