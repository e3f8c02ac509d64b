"""Tests that seeded tokenizers are the same in every process: probes, and so the tests' inputs, follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.harness.worker_process import WorkerProcess

#: WordPiece, byte-level BPE and Unigram.
FAMILIES = ["bert", "roberta", "xlm-roberta"]


@pytest.mark.backend("pytorch")
def test_a_seeded_tokenizer_is_the_same_in_every_process(tmp_path: Path) -> None:
    found = []
    for number in range(2):
        worker = WorkerProcess(f"trainer {number}", tmp_path / "log", threads=2)
        asked = {"target": "tests.support.vocabularies:trained", "arguments": {"families": FAMILIES}}
        found.append(worker.ask("call", timeout=120, **asked)["value"])
        worker.close()
    assert found[0] == found[1]
    assert all(len(vocabulary) > 800 for vocabulary in found[0].values())
