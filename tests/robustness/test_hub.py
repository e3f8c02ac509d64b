"""Tests a hub that is unreachable, slow or returns garbage.

The suite then uses seeded weights and the stand-in data and says so; a checkpoint that the user named is an error of one
sentence.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.registry import REGISTRY
from fixtures.harness.harness import Harness
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.settings import Settings
from fixtures.store.store import Store
from tests.support import hub
from tests.support.nested import run

#: Seconds until a request to the hub times out in these tests, and the limit for the whole operation.
PATIENCE, SANE = 1, 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny DistilBERT, like a repository of the hub."""
    out = tmp_path_factory.mktemp("hub") / "distilbert"
    config = REGISTRY.models["distilbert-base-cased"].configuration("tiny")
    arguments = {"out": str(out), "family": "distilbert", "config": config, "lowercase": False, "seed": 1}
    worker = WorkerProcess("seeded", out.parent / "log", threads=1)
    try:
        worker.ask("call", timeout=120, target="fixtures.worker.jobs.checkpoint:seeded", arguments=arguments)
    finally:
        worker.close()
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store in which seeded weights are made once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(
    settings: Settings, place: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Harness]]:
    """``make(address, chosen)`` returns an online harness for that hub, with one small model and empty caches."""
    small = dataclasses.replace(
        REGISTRY.models["distilbert-base-cased"], name="small", hub_id="somebody/small",
        config=REGISTRY.models["distilbert-base-cased"].configuration("tiny"),
    )  # fmt: skip
    monkeypatch.setitem(REGISTRY.models, "small", small)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", str(PATIENCE))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    harnesses = []

    def harness(address: str, chosen: str | None = None) -> Harness:
        monkeypatch.setenv("HF_ENDPOINT", address)
        asked = dataclasses.replace(
            settings, data=None, checkpoints={"small": chosen} if chosen else {}, fine_tune=False, interpreter=None, on=None
        )
        harnesses.append(Harness(asked, Store(place, tmp_path.name, said.append), said.append))
        return harnesses[-1]

    yield harness
    for one in harnesses:
        one.close()


def test_a_hub_that_works_serves_its_weights(make: Callable[..., Harness], folder: Path, said: list[str]) -> None:
    """With a working hub, the weights come from the hub; the tests below use a faulty one."""
    with hub.serve(folder) as address:
        made = make(address, chosen="somebody/else").checkpoint("small", "full")
    assert made.origin == "hub somebody/else", said
    assert said == []


FAULTS: dict[str, tuple[Callable[[Path], AbstractContextManager[str]], str]] = {
    "refuses": (lambda folder: hub.refusing(), "LocalEntryNotFoundError"),
    "never answers": (lambda folder: hub.silent(), "LocalEntryNotFoundError"),
    "fails": (lambda folder: hub.serve(folder, "fails"), ""),
    "HTML": (lambda folder: hub.serve(folder, "talks of something else"), "JSONDecodeError"),
    "hangs up": (lambda folder: hub.serve(folder, "hangs up"), ""),
    "garbage": (lambda folder: hub.serve(folder, model_safetensors=b"garbage" * 999), ""),
    "truncated": (lambda folder: hub.serve(folder, model_safetensors=(folder / "model.safetensors").read_bytes()[:-99]), ""),
    "no JSON": (lambda folder: hub.serve(folder, config_json=b"{'hidden_size': 64"), ""),
    "JSON of nothing": (lambda folder: hub.serve(folder, config_json=b"[]"), ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hub_with_a_fault_leads_to_seeded_weights_and_to_a_sentence_for_who_named_it(
    make: Callable[..., Harness], folder: Path, said: list[str], fault: str
) -> None:
    serve, name = FAULTS[fault]
    start = time.monotonic()
    with serve(folder) as address:
        harness = make(address)
        made = harness.checkpoint("small", "full")
        asked = make(address, chosen="somebody/small")
        with pytest.raises(SuiteError) as caught:
            asked.checkpoint("small", "full")
    assert time.monotonic() - start < SANE
    assert made.origin == "seeded (2021)"
    assert not made.trained
    assert [line for line in said if line.startswith(f"small: no weights from hub somebody/small ({name}")], said
    assert said[0].endswith("; seeded weights instead, no accuracy")
    if fault == "garbage":
        assert "no safetensors file or was cut short" in said[0]
    assert str(caught.value).startswith(f"--checkpoint small=somebody/small: no weights can be had from it ({name}")
    assert "\n" not in str(caught.value)


def test_a_hub_that_never_answers_costs_a_session_seconds(folder: Path, tmp_path: Path) -> None:
    """The data fall back to the stand-in, which the header says; tests of the requested checkpoint are errors."""
    arguments = ("--checkpoint=distilbert-base-cased=somebody/small", "--backends=pytorch", "--precisions=f32",
                 "--size=full", f"--artifacts={tmp_path / 'store'}")  # fmt: skip
    with hub.silent() as address:
        found = run(
            "bench/test_quality.py", "-k", "agreement", *arguments, timeout=2 * SANE,
            HF_ENDPOINT=address, HF_HOME=str(tmp_path / "hf"), HF_HUB_ETAG_TIMEOUT=str(PATIENCE), HF_HUB_OFFLINE="0",
        )  # fmt: skip
    assert found.returncode == 1, found.stdout[-3000:]
    assert "data: stand-in, generated, NOT MRPC" in found.stdout
    assert "SuiteError: --checkpoint distilbert-base-cased=somebody/small: no weights can be had from it" in found.stdout
    assert "Traceback" not in found.stdout, found.stdout[-3000:]
