"""Tests tokenizers that people have beside their weights: read as they are, or said not to know the words of the data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.harness.worker_process import WorkerProcess
from fixtures.worker.jobs.checkpoint_tokenizer import MOST_UNKNOWN, warning
from tests.support import pieces
from tests.support.nested import run
from tests.support.traits import worded

JOBS = "fixtures.worker.jobs"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    made = WorkerProcess("tokenizers", tmp_path_factory.mktemp("tokenizers") / "log", threads=1)
    yield made
    made.close()


def ask(worker: WorkerProcess, target: str, **arguments: Any) -> Any:
    return worker.ask("call", timeout=120, target=target, arguments=arguments)["value"]


@pytest.fixture(scope="module")
def plain(worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "bert"
    ask(worker, "tests.support.folders:ordinary", out=str(folder))
    return folder


@pytest.fixture
def folder(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "folder"))


def brought(worker: WorkerProcess, folder: Path) -> Path:
    out = folder.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    ask(worker, f"{JOBS}.checkpoint:copy", out=str(out), source=str(folder), family="bert", labels=2, seed=1)
    return out


@pytest.fixture(scope="module")
def rows(worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rows")
    ask(worker, f"{JOBS}.mrpc:from_standin", out=str(out))
    return out / "dev.json"


@pytest.mark.parametrize("kind", pieces.KINDS)
def test_a_folder_with_nothing_but_sentencepiece_is_read_as_sentencepiece_reads_it(
    worker: WorkerProcess, folder: Path, rows: Path, kind: str
) -> None:
    ask(worker, "tests.support.pieces:train", folder=str(folder), kind=kind)
    out = brought(worker, folder)
    assert ask(worker, "tests.support.pieces:differing", folder=str(folder), checkpoint=str(out), kind=kind) == 0
    counted = ask(worker, f"{JOBS}.checkpoint_tokenizer:unknown", out="", pairs=str(rows), checkpoint=str(out))
    assert counted["tokenizer"] == kind
    assert not warning(counted)


@pytest.mark.parametrize("kind", ["AlbertTokenizer", "CamembertTokenizer", "XLMRobertaTokenizer", "DebertaV2Tokenizer"])
def test_a_class_that_does_not_know_the_words_is_warned_of(worker: WorkerProcess, folder: Path, rows: Path, kind: str) -> None:
    """A vocab.txt of WordPiece beside the class of another algorithm: nearly all tokens are unknown."""
    worded(kind=kind)(folder)
    counted = ask(
        worker, f"{JOBS}.checkpoint_tokenizer:unknown", out="", pairs=str(rows), checkpoint=str(brought(worker, folder))
    )
    assert counted["share"] > MOST_UNKNOWN
    assert f"are unknown to its tokenizer ({kind}): is the class in tokenizer_config.json the one" in warning(counted)


def test_byte_level_files_beside_a_wordpiece_class_are_warned_of_too(
    worker: WorkerProcess, folder: Path, rows: Path, tmp_path: Path
) -> None:
    ask(worker, "tests.support.folders:ordinary", out=str(tmp_path / "ibert"), family="ibert", lowercase=False)
    fast = json.loads((tmp_path / "ibert" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(fast["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in fast["merges"]), encoding="utf-8")
    ordered = sorted(fast["vocab"], key=lambda token: int(fast["vocab"][token]))
    (folder / "vocab.txt").write_text("\n".join(ordered), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": False, "unk_token": "<unk>", "pad_token": "<pad>"})
    )
    counted = ask(
        worker, f"{JOBS}.checkpoint_tokenizer:unknown", out="", pairs=str(rows), checkpoint=str(brought(worker, folder))
    )
    assert "are unknown to its tokenizer (BertTokenizer)" in warning(counted)


def test_the_share_of_unknown_tokens_is_counted_over_words_only() -> None:
    assert not warning({"share": None, "tokens": 0, "tokenizer": "RobertaTokenizer"})
    assert not warning({"share": MOST_UNKNOWN, "tokens": 10, "tokenizer": "BertTokenizer"})
    assert warning({"share": 0.89, "tokens": 10, "tokenizer": "BertTokenizer"}).startswith(
        "WARNING: 89 % of the tokens of the data"
    )


def test_the_warning_is_in_the_header_and_in_the_page(folder: Path, tmp_path: Path) -> None:
    worded(kind="AlbertTokenizer")(folder)
    found = run(
        "bench/test_quality.py", "--backends=pytorch", "--precisions=f32", "--no-fine-tune", "-k", "accuracy",
        f"--checkpoint=own={folder}", f"--artifacts={tmp_path / 'store'}", f"--report={tmp_path / 'report'}",
    )  # fmt: skip
    said = r"% of the tokens of the data are unknown to its tokenizer (AlbertTokenizer)"
    header = found.stdout[: found.stdout.index("collected")]
    assert f" {said}" in header.partition("own: WARNING: ")[2], found.stdout[-3000:]
    assert said in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert said in found.stdout[found.stdout.index("SKIPPED") :], (
        "accuracy that is not judged says that the tokenizer does not fit"
    )
