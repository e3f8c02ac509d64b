"""Tests that a model that the suite fine-tunes must have learnt its task, whichever that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.task import BESIDE
from fixtures.harness.checkpoints import Unlearnt
from fixtures.harness.harness import Harness
from fixtures.harness.labelled_rows import listed
from fixtures.options.settings import Settings
from fixtures.store.store import Store
from tests.support.folders import artifact

MODEL = ("bert-base-cased", "tiny")
TRAINED = sorted({task.form for task in REGISTRY.tasks.values() if task.trains})


@pytest.fixture
def make(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Harness]]:
    """``make(task)`` returns a harness for ``task`` on the stand-in."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    made: list[Harness] = []

    def harness(task: str) -> Harness:
        asked = dataclasses.replace(settings, task=task, data=None, columns={}, interpreter=None, on=None)
        made.append(Harness(asked, Store(tmp_path / "store", "run", lambda text: None), lambda text: None))
        return made[-1]

    yield harness
    for one in made:
        one.close()


def test_there_are_rows_of_several_forms_to_learn() -> None:
    assert {"classification", "regression", "token-classification", "question-answering"} <= set(TRAINED)


@pytest.mark.slow
@pytest.mark.parametrize("form", TRAINED)
def test_a_model_that_predicts_the_same_for_every_row_has_not_learnt_its_task(
    make: Callable[[str], Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The outputs of a new model are those of all rows; zeros instead, which are the same for all rows, are refused."""
    harness = make(form)
    data, tuner, tuned = harness.data(), harness._tuner, harness.checkpoint(*MODEL).artifact
    written = tuner._outputs("small", tuned, data)
    with np.load(written.path / "outputs.npz") as arrays:
        found = dict(arrays)
    rows, labels = listed(harness.task, data.path, "dev"), data.meta["labels"]
    beside = {name[len(BESIDE) :]: array for name, array in found.items() if name.startswith(BESIDE)}
    assert len(harness.task.decide(found["outputs"], beside, rows, labels)) == len(rows)

    equal = artifact(tmp_path / "equal", "weights")
    np.savez(equal.path / "outputs.npz", **{**found, "outputs": np.zeros_like(found["outputs"])})
    monkeypatch.setattr(tuner, "_outputs", lambda *arguments: equal)
    with pytest.raises(
        Unlearnt, match=r"^fine-tuned small reaches .* above a model that has learnt nothing: .*; its tokenizer"
    ):
        tuner._require_learnt("small", tuned, data, "its tokenizer")


@pytest.mark.parametrize("form", ["classification", "regression"])
def test_a_model_that_predicts_the_labels_has_learnt_its_task(
    make: Callable[[str], Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    harness = make(form)
    data, tuner = harness.data(), harness._tuner
    truth = harness.task.truth(listed(harness.task, data.path, "dev"), data.meta["labels"], {})
    outputs: Any = np.eye(len(data.meta["labels"]))[truth] if form == "classification" else np.asarray(truth)[:, None]
    right = artifact(tmp_path / "right", "weights")
    np.savez(right.path / "outputs.npz", outputs=outputs)
    monkeypatch.setattr(tuner, "_outputs", lambda *arguments: right)
    tuner._require_learnt("small", right, data, "")
