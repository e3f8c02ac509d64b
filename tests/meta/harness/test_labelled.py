"""Tests labelled test pairs beside dev: accuracy uses them; training, calibration and probes do not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.harness.harness import Harness
from fixtures.harness.labelled_rows import difference, evaluated
from fixtures.options import mrpc
from fixtures.report.results import data as about
from fixtures.report.sections import data_line
from fixtures.worker.jobs import mrpc as data

MODEL = ("minilm-l6", "tiny")
HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"


def written(path: Path, start: int, stop: int) -> None:
    """Write pairs of these numbers, each longer than the previous one; every third is a paraphrase."""
    rows = [f"{int(n % 3 == 0)}\t1\t2\tIt sold {n} shares{' .' * (n % 40)}\tThey sold {n} ." for n in range(start, stop)]
    path.write_text(HEADER + "\n".join(rows), encoding="utf-8")


@pytest.fixture
def beside(harness: Harness, tmp_path: Path) -> Callable[[], Harness]:
    """``beside()`` returns a harness on a small MRPC in a separate folder, with the files that are in it at this moment."""
    for name, start, stop in (("train.tsv", 0, 60), ("dev.tsv", 60, 90)):
        written(tmp_path / name, start, stop)
    return lambda: Harness(replace(harness.settings, data=tmp_path, test_pairs=True), harness.store, print)


def test_they_are_evaluated_with_dev_and_change_nothing_else(beside: Callable[[], Harness], tmp_path: Path) -> None:
    plain = beside()
    dev = plain.dev(*MODEL)
    assert len(dev.rows) == 30
    assert "test pairs" not in data_line(about(plain))
    written(tmp_path / mrpc.ORIGINAL, 90, 135)  # includes the longest of all pairs
    more = beside()
    every = more.dev(*MODEL)
    assert every.truth.tolist() == [int(n % 3 == 0) for n in range(60, 135)]
    assert np.array_equal(every.truth[:30], dev.truth)
    width = dev.inputs["input_ids"].shape[1]
    assert every.inputs["input_ids"].shape == (75, int(every.inputs["attention_mask"].sum(1).max())) > (75, width)
    for name, array in dev.inputs.items():
        assert np.array_equal(every.inputs[name][:30, :width], array), name
        assert not every.inputs[name][:30, width:].any() or name == "input_ids"
    assert more.tokens(*MODEL).path == plain.tokens(*MODEL).path, "and with them probes and calibration"
    assert more.data().digest == plain.data().digest, "and with them the training pairs"
    assert data_line(about(more)) == (
        "MRPC (60 train and 30 dev rows, majority class 0.667; 45 labelled test pairs more for accuracy)"
    )


def test_rows_are_held_against_the_pairs_of_the_data(beside: Callable[[], Harness], tmp_path: Path) -> None:
    """Evaluated rows are compared with the tokenized pairs of the data; missing rows and other labels are reported."""
    written(tmp_path / mrpc.ORIGINAL, 90, 135)
    found = beside()
    expected, dev = found.rows(*MODEL).counted(), found.dev(*MODEL)
    assert expected["rows"] == 75
    assert not difference(evaluated(dev), expected)
    assert difference(evaluated(dev.every(2)), expected)
    assert difference(evaluated(replace(dev, rows=[{**row, "label": 1 - row["label"]} for row in dev.rows])), expected)
    assert difference(evaluated(replace(dev, inputs={name: array[::-1] for name, array in dev.inputs.items()})), expected)
    of_dev = Harness(replace(found.settings, test_pairs=False), found.store, print)
    assert of_dev.rows(*MODEL).counted()["rows"] == 30, "as tests/ have it"
    (tmp_path / mrpc.ORIGINAL).unlink()
    assert beside().rows(*MODEL).counted()["rows"] == 30 == len(data.read(found.data().path, "dev"))
