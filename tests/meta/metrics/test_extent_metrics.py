"""A single wrong token, position, row or batch size is found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from fixtures.core.spec import Shape
from fixtures.metrics import inputs
from fixtures.metrics.extents import LEAST_DB, Run, too_far_in_company, too_far_rows, too_far_tokens
from fixtures.metrics.inputs import BATCH_SIZES, Inputs

#: Tokens of a row in the batches of all sizes, and rows of the longest batch, as the conformance tests have them.
ROW, LONG_ROWS = 12, 6
SHAPE = Shape(2, 2, 8, 16, 20_000, 300, 0, ("input_ids", "attention_mask"))
TABLES = np.random.default_rng(5)
WORDS, POSITIONS = (TABLES.standard_normal((size, 8)) for size in (SHAPE.vocabulary, SHAPE.max_length))
PROBES = {"input_ids": np.arange(7, 907).reshape(9, 100), "attention_mask": np.ones((9, 100), np.int64)}


def right(batch: Inputs) -> dict[str, Any]:
    """A correct encoder: embeddings plus the mean over the tokens of the row."""
    ids, mask = batch["input_ids"], batch["attention_mask"][..., None]
    embedded = WORDS[ids] + POSITIONS[: ids.shape[1]]
    state = embedded + (embedded * mask).sum(1, keepdims=True) / mask.sum(1, keepdims=True)
    return {"logits": state[:, 0, :2], "last_hidden_state": state}


def given(change: Callable[[Inputs], Inputs]) -> Run:
    return lambda batch: right(change(batch))


def with_ids(change: Callable[[Any], Any]) -> Run:
    return given(lambda batch: {**batch, "input_ids": change(batch["input_ids"])})


def after_row(number: int, change: Callable[[Any], Any]) -> Run:
    """A run in which ``change`` is applied to the outputs of the rows from ``number`` on."""

    def run(batch: Inputs) -> dict[str, Any]:
        return {name: np.concatenate([array[:number], change(array[number:])]) for name, array in right(batch).items()}

    return run


def windowed(batch: Inputs) -> dict[str, Any]:
    """A run in which no token after the first 128 is attended to."""
    mask = batch["attention_mask"] * (np.arange(batch["input_ids"].shape[1]) < 128)
    return right({**batch, "attention_mask": mask})


def positions_stop_at_128(batch: Inputs) -> dict[str, Any]:
    found = right(batch)
    late = np.arange(batch["input_ids"].shape[1]) >= 128
    found["last_hidden_state"] = found["last_hidden_state"] - (late[:, None] * POSITIONS[: len(late)])
    return found


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (right, None),
        (with_ids(lambda ids: ids & (2**14 - 1)), "the worst of "),
        (with_ids(lambda ids: np.where(ids == 19_999, 100, ids)), "token 19999, the worst of "),
        (lambda batch: {**right(batch), "last_hidden_state": right(batch)["last_hidden_state"] * np.nan}, "SQNR -inf dB"),
    ],
)
def test_a_token_that_is_not_its_own_is_found(run: Run, says: str | None) -> None:
    batch = inputs.vocabulary(SHAPE)
    assert set(batch["input_ids"].ravel()) == set(range(1, SHAPE.vocabulary))
    expected = right(batch)["last_hidden_state"]
    found = too_far_tokens(expected, run, batch, LEAST_DB["int8"])
    assert found is None if says is None else says in str(found)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (right, None),
        (windowed, "row 0, 300 tokens and 0 of padding"),
        (positions_stop_at_128, "row 0, 300 tokens and 0 of padding"),
        (given(lambda batch: {**batch, "attention_mask": np.ones_like(batch["attention_mask"])}), "row 1, 257 tokens and 43"),
        (after_row(5, np.zeros_like), "row 5, 3 tokens and 297 of padding"),
    ],
)
def test_a_position_or_a_tail_that_is_wrong_is_found(run: Run, says: str | None) -> None:
    batch = inputs.long_rows(SHAPE, PROBES, LONG_ROWS)
    lengths = batch["attention_mask"].sum(1).tolist()
    assert lengths == [300, 257, 129, 65, 17, 3]
    found = too_far_rows(right(batch), run(batch), batch, LEAST_DB["f16"])
    assert found is None if says is None else str(found).startswith(says)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (right, None),
        (after_row(16, np.zeros_like), "row 16 in a batch of 17 among others"),
        (after_row(64, lambda rows: rows[::-1] * 1.1), "row 64 in a batch of 65 among copies"),
        (after_row(32, lambda rows: np.roll(rows, 1, axis=0)), "row 33 in a batch of 63 among others"),
    ],
)
def test_a_row_that_is_wrong_in_company_is_found(run: Run, says: str | None) -> None:
    """Uses the bounds of dynamic int8, which are the loosest."""
    batch = inputs.text_rows(PROBES, max(BATCH_SIZES), ROW)
    found = too_far_in_company(run, batch, BATCH_SIZES, 1.0, 2, 30)
    assert found is None if says is None else str(found).startswith(says), found


def test_rows_are_taken_as_they_are_named() -> None:
    rows: Sequence[int] = [1, 1, 0]
    assert inputs.rows_of(PROBES, rows)["input_ids"][:, 0].tolist() == [107, 107, 7]
