"""Tests passes over a task's own rows: their batches, their padding, their turns and their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from fixtures.core.errors import SuiteError
from fixtures.core.precisions import PRECISIONS
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Shape, Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Pass, Session
from fixtures.metrics.agreement import sqnr
from fixtures.report.tables import task_rows
from fixtures.timing import row_throughput
from fixtures.timing.row_throughput import BATCH, BUDGET, MAXIMUM, PASSES, ROUNDS, ROWS, SORTED, UNSORTED
from fixtures.worker.counters import LIMITS

PAD, LONGEST, COUNT = 7, 12, 70
SHAPE = Shape(2, 2, 64, 128, 1000, 64, PAD, ("input_ids", "attention_mask"))
#: Counters of a machine on which nothing else runs.
QUIET = dict.fromkeys(LIMITS, 0.0)


@pytest.fixture
def rows() -> dict[str, Any]:
    """70 rows of 1 to 10 tokens, in no order of length; the token ids of a row are 100 and its number."""
    lengths = 1 + np.arange(COUNT) * 7 % 10
    mask = (np.arange(10)[None] < lengths[:, None]).astype(np.int64)
    return {"input_ids": np.where(mask == 1, 100 + np.arange(COUNT)[:, None], PAD), "attention_mask": mask}


def test_every_pass_has_every_row_once_with_its_tokens(rows: dict[str, Any]) -> None:
    made = row_throughput.passes(rows, LONGEST, PAD)
    assert list(made) == list(PASSES)
    for batches in made.values():
        assert sorted(row for group, _ in batches for row in group) == list(range(COUNT))
        assert [len(group) for group, _ in batches] == [BATCH, BATCH, COUNT - 2 * BATCH]
        for group, inputs in batches:
            for row, ids, mask in zip(group, inputs["input_ids"], inputs["attention_mask"], strict=True):
                kept = rows["attention_mask"][row].sum()
                assert ids.tolist() == [100 + row] * kept + [PAD] * (len(ids) - kept)
                assert mask.sum() == kept
    assert [row for group, _ in made[UNSORTED] for row in group] == list(range(COUNT))
    assert {inputs["input_ids"].shape[1] for _, inputs in made[MAXIMUM]} == {LONGEST}


def test_the_share_of_padding_is_that_of_the_computed_tokens(rows: dict[str, Any]) -> None:
    """7 rows of each length have 385 tokens; a batch of unsorted rows is as long as the longest, 10 tokens."""
    made = row_throughput.passes(rows, LONGEST, PAD)
    assert row_throughput.padding(made[UNSORTED], None, SHAPE) == pytest.approx(1 - 385 / 700)
    assert row_throughput.padding(made[MAXIMUM], None, SHAPE) == pytest.approx(1 - 385 / 840)
    # Of 32 rows, the longest has 5 tokens; of 64, 10; the last 6 rows are of 10 tokens.
    assert row_throughput.padding(made[SORTED], None, SHAPE) == pytest.approx(1 - 385 / (32 * 5 + 38 * 10))
    # Static shapes: 16 columns instead of 10 or 12, and in the sorted pass 8 instead of 5.
    for name, computed in ((UNSORTED, 70 * 16), (MAXIMUM, 70 * 16), (SORTED, 32 * 8 + 38 * 16)):
        assert row_throughput.padding(made[name], {"sequence": 1}, SHAPE) == pytest.approx(1 - 385 / computed)


class Slow:
    """A session whose runtime takes ``a_token`` seconds for every token, padding included."""

    shape = SHAPE

    def __init__(self, a_token: float, keeps: bool = True) -> None:
        self.a_token, self.keeps = a_token, keeps
        self.passed: list[int] = []

    def pass_over(self, batches: Sequence[Mapping[str, Any]]) -> Pass:
        self.passed.append(sum(batch["input_ids"].size for batch in batches))
        seconds = [self.a_token * batch["input_ids"].size for batch in batches]
        return Pass(seconds, QUIET, ["same" if self.keeps else str(len(self.passed)) for _ in batches])


def test_samples_a_second_are_those_of_the_tokens_that_are_computed(rows: dict[str, Any]) -> None:
    session = Slow(1e-5)
    found = row_throughput.measure(cast(Session, session), rows, LONGEST)
    assert found.samples == dict.fromkeys(PASSES, COUNT)
    assert found.per_second(UNSORTED) == pytest.approx(70 / 700e-5)
    assert found.per_second(SORTED) == pytest.approx(70 / 540e-5)
    assert found.per_second(MAXIMUM) == pytest.approx(70 / 840e-5)
    figures = {**found.fields(), "tokenised_per_second": 1e4}
    assert task_rows.padding_costs(figures) == pytest.approx(840 / 700)
    assert task_rows.sorting_gains(figures) == pytest.approx(700 / 540)
    assert task_rows.job(figures) == pytest.approx(70 / (540e-5 + 70e-4))


def test_the_passes_of_a_round_take_turns_in_both_orders(rows: dict[str, Any]) -> None:
    session = Slow(1e-5)
    row_throughput.measure(cast(Session, session), rows, LONGEST)
    one, other = [700, 540, 840], [840, 540, 700]
    assert session.passed[2:] == [*one, *one, *other, *one]  # behind two looks at what is affordable; one round is uncounted
    assert len(session.passed) == 2 + 3 * (1 + ROUNDS)


@pytest.mark.parametrize(
    ("seconds", "samples", "at_maximum"),
    [(1e-3, ROWS, ROWS), (BUDGET / 50, 6 * BATCH, 6 * BATCH), (BUDGET / 20, 2 * BATCH, 2 * BATCH), (BUDGET, 2 * BATCH, BATCH)],
)
def test_a_slow_model_passes_over_fewer_rows(seconds: float, samples: int, at_maximum: int) -> None:
    """A batch takes ``seconds`` at the maximum and half of that otherwise, in two passes; there are four rounds.

    In the second case, a batch of either kind so takes 4 / 50 of BUDGET, and six of them fit into half of it.
    """
    mask = (np.arange(10)[None] < np.full(1000, 6)[:, None]).astype(np.int64)
    many = {"input_ids": np.where(mask == 1, 100, PAD), "attention_mask": mask}
    found = row_throughput.measure(cast(Session, Slow(seconds / (BATCH * LONGEST))), many, LONGEST)
    assert found.samples == {UNSORTED: samples, SORTED: samples, MAXIMUM: at_maximum}


def test_other_logits_for_the_same_rows_are_refused(rows: dict[str, Any]) -> None:
    with pytest.raises(SuiteError, match="gave other logits than the first"):
        row_throughput.measure(cast(Session, Slow(1e-5, keeps=False)), rows, LONGEST)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["pytorch", "onnxruntime", "tensorflow_xla"])
def test_float32_predicts_the_same_in_every_pass(harness: Harness, backend: str) -> None:
    """Order and padding change which rows are in a batch and its shape, not what is predicted for a row."""
    variant = Variant("bert-base-cased", "tiny", backend, "f32", "")
    if harness.toolchain.absent(REGISTRY.backends[backend]):
        pytest.skip(f"{backend} is not installed")
    shape = harness.checkpoint(variant.model, variant.size).shape
    rows = row_throughput.sample(harness.dev(variant.model, variant.size).inputs, 2 * BATCH + 3)
    session, found = harness.open(variant), {}
    try:
        for name, batches in row_throughput.passes(rows, 128, shape.pad_id).items():
            logits = [session.run(inputs)["logits"] for _, inputs in batches]
            found[name] = np.concatenate(logits)[np.argsort(np.concatenate([group for group, _ in batches]))]
    finally:
        harness.pool.release(session)
    for name in (SORTED, MAXIMUM):
        assert np.array_equal(found[name].argmax(1), found[UNSORTED].argmax(1)), name
        assert sqnr(found[UNSORTED], found[name]) > PRECISIONS["f32"].tolerance.invariance_db, name
