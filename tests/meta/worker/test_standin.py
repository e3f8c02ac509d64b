"""Tests the stand-ins for the data of tasks: they are the same everywhere, and rows are what their format says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from fixtures.metrics.row_figures import normalized
from fixtures.store.source_code import ROOT
from fixtures.worker import standin

DIGEST = "import hashlib, json; from fixtures.worker import standin; {code}"
CODE = "print(hashlib.sha256(json.dumps([standin.generate(form, 60, 30) for form in standin.SIZES]).encode()).hexdigest())"
SQUAD = ["question-answering", "question-answering-v2"]


def texts(rows: Any) -> Counter[str]:
    """How often each text occurs in the rows of a split."""
    if isinstance(rows, dict):
        return Counter([*rows["corpus"].values(), *rows["queries"].values()])
    found = [row[field] for row in rows for field in ("text", "pair", "question", "context") if field in row]
    return Counter(found + [" ".join(row["words"]) for row in rows if "words" in row])


def test_a_seed_gives_the_same_rows_in_every_process() -> None:
    found = set()
    for seed in ("0", "1"):
        command = [sys.executable, "-c", DIGEST.format(code=CODE)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        found.add(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    here = json.dumps([standin.generate(form, 60, 30) for form in standin.SIZES])
    assert found == {hashlib.sha256(here.encode()).hexdigest()}
    assert standin.generate("text", 5, 5, seed=1) != standin.generate("text", 5, 5, seed=2)


@pytest.mark.parametrize("form", standin.SIZES)
def test_splits_have_their_sizes_and_no_text_in_common(form: str) -> None:
    splits = standin.generate(form)["splits"]
    train, dev = standin.SIZES[form]
    assert len(splits["train"]) == train
    assert len(splits["dev"]["queries"] if form == "retrieval" else splits["dev"]) == dev
    assert not texts(splits["train"]).keys() & texts(splits["dev"]).keys()
    if form not in SQUAD:  # which may ask the same of two passages
        assert max((texts(splits["train"]) + texts(splits["dev"])).values()) == 1


@pytest.mark.parametrize("form", ["classification", "binary-classification", "pair-classification"])
def test_labels_are_balanced(form: str) -> None:
    data = standin.generate(form)
    for rows in data["splits"].values():
        shares = {label: number / len(rows) for label, number in Counter(row["label"] for row in rows).items()}
        assert set(shares) == set(range(len(data["labels"])))
        if form != "pair-classification":  # two thirds are positive, as in MRPC
            assert max(shares.values()) - min(shares.values()) <= 1.01 / len(rows) * len(shares)


def test_grades_spread_over_the_scale() -> None:
    labels = [row["label"] for row in standin.generate("regression")["splits"]["dev"]]
    assert min(labels) == 0.0
    assert max(labels) == 5.0
    assert all(sum(low <= label <= low + 1 for label in labels) > 20 for low in range(5))


def test_tags_are_iob2() -> None:
    data = standin.generate("token-classification")
    rows = data["splits"]["train"] + data["splits"]["dev"]
    found: Counter[str] = Counter()
    for row in rows:
        assert len(row["words"]) == len(row["tags"]) > 0
        assert all(row["words"])
        for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
            assert tag in data["labels"]
            assert not tag.startswith("I-") or before[2:] == tag[2:], row
        found.update(row["tags"])
    assert set(found) == set(data["labels"]) - {"I-LOC"}
    assert 0.5 < found["O"] / sum(found.values()) < 0.9


def test_tags_name_the_entities() -> None:
    """No common word or title is in an entity of a person or place."""
    rows = standin.generate("token-classification")["splits"]["train"]
    names = {word for row in rows for word, tag in zip(row["words"], row["tags"], strict=True) if tag[2:] in ("PER", "LOC")}
    assert {"Lopez", "Chicago", "Delaney", "Australia"} <= names
    assert not names & {"Ms.", "Mr.", "Sen.", "Senator", "Gov.", "Governor", "In", "in", "A", "The", "the", "House", ",", "."}
    assert all(word[0].isupper() for word in names)


@pytest.mark.parametrize("form", SQUAD)
def test_answers_are_at_their_starts(form: str) -> None:
    for split, rows in standin.generate(form)["splits"].items():
        assert len({row["id"] for row in rows}) == len(rows)
        for row in rows:
            assert len(row["answers"]) == len(row["starts"])
            assert row["question"].endswith("?")
            assert "{" not in row["question"]
            for answer, start in zip(row["answers"], row["starts"], strict=True):
                assert row["context"][start : start + len(answer)] == answer
                assert normalized(answer)
                assert start == 0 or not row["context"][start - 1].isalnum()
                assert not row["context"][start + len(answer) : start + len(answer) + 1].isalnum()
        share = sum(not row["answers"] for row in rows) / len(rows)
        assert share == (0 if form == SQUAD[0] else pytest.approx(1 / 3, abs=0.01)), split


def test_answers_are_all_over_the_passage() -> None:
    rows = standin.generate("question-answering")["splits"]["train"]
    assert sum(row["starts"][0] < 0.4 * len(row["context"]) for row in rows) < 0.6 * len(rows)


def test_relevant_documents_are_in_the_corpus() -> None:
    dev = standin.generate("retrieval")["splits"]["dev"]
    assert len(dev["corpus"]) > 2 * len(dev["queries"])
    assert dev["qrels"].keys() == dev["queries"].keys()
    relevant = [name for documents in dev["qrels"].values() for name in documents]
    assert len(set(relevant)) == len(dev["queries"])
    assert set(relevant) <= dev["corpus"].keys()
    places = [int(name[1:]) for name in relevant]
    assert places != sorted(places)


def test_sentences_are_well_formed() -> None:
    for row in standin.generate("classification", 2000, 10)["splits"]["train"]:
        text = row["text"]
        assert text.isprintable()
        assert ".." not in text
        assert text.endswith((".", '"'))
        assert text[0].upper() == text[0]


def test_an_unknown_form() -> None:
    with pytest.raises(KeyError, match="translation"):
        standin.generate("translation")
