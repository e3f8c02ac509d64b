"""Tests that a task, data or columns that do not fit are refused in one sentence before anything is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.nested import run


def refused(*options: str) -> str:
    result = run("bench/test_quality.py", "--backends=pytorch", "--precisions=f32", *options)
    assert result.returncode == 4, result.stdout[-2000:]
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    return line


def table(folder: Path, text: str) -> str:
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    return f"--data={folder / 'rows.csv'}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--task=ner",), "--task: there is no 'ner'; choose from "),
        (("--data=/nowhere.csv",), "--data /nowhere.csv: say what is judged with --task"),
        (("--task=classification", "--data=/nowhere.csv"), "--data /nowhere.csv: there is no such file or folder"),
        (("--task=classification", "--columns=text"), "--columns text: write ROLE=COLUMN"),
        (("--task=classification", "--columns=stars=label"), "with roles from text, pair, label"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: tuple[str, ...], says: str) -> None:
    assert says in refused(*options)


def test_a_bad_row_is_named_before_anything_is_built(tmp_path: Path) -> None:
    rows = "\n".join(f"a sentence about {i},{'good' if i % 2 else 'bad'}" for i in range(20))
    bad = table(tmp_path, f"text,label\n{rows}\n,good\n")
    store = f"--artifacts={tmp_path / 'store'}"
    assert "rows.csv, line 22: " in refused("--task=classification", bad, store)
    assert "no column 'stars'" in refused("--task=classification", bad, store, "--columns=text=text,label=stars")


def test_the_default_model_has_no_head_of_masked_words(tmp_path: Path) -> None:
    options = ("--task=masked-words", "--backends=pytorch", "--precisions=f32", f"--artifacts={tmp_path}")
    result = run("bench/test_quality.py", *options)
    assert result.returncode == 1, result.stdout[-2000:]
    assert "has no head of masked words" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize(
    ("task", "architecture", "says"),
    [
        (
            "question-answering", "BertForTokenClassification",
            "labels tokens (config.json has architectures BertForTokenClassification), and a model that answers questions or",
        ),
        (
            "masked-words", "BertForTokenClassification",
            "(config.json has architectures BertForTokenClassification), and a model of masked words is asked for; give",
        ),
        (
            "masked-words", "BertModel",
            "has no head of masked words (cls.predictions.transform.dense.weight), and one is asked for; give the weights as",
        ),
        ("masked-words", "MobileBertForMaskedLM", "is of the family mobilebert, whose head of masked words has no definition"),
    ],
)  # fmt: skip
def test_a_checkpoint_for_another_task_is_refused(tmp_path: Path, task: str, architecture: str, says: str) -> None:
    config = {
        "model_type": architecture.partition("For")[0].replace("Model", "").lower(), "num_hidden_layers": 1, "vocab_size": 99,
        "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 8, "max_position_embeddings": 64,
        "architectures": [architecture],
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "tokenizer.json").write_text('{"model": {}}', encoding="utf-8")
    assert says in refused(f"--task={task}", f"--checkpoint=my={tmp_path}")
