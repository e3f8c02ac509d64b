"""Tests properties of every variant and precision: a row's outputs depend only on the tokens of that row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.core.errors import SuiteError
from fixtures.core.spec import Precision, Variant
from fixtures.harness.checkpoints import Checkpoint
from fixtures.harness.session import Session
from fixtures.metrics.agreement import real, sqnr
from fixtures.metrics.arrays import Array, ArrayDict

pytestmark = [pytest.mark.phase("invariance"), pytest.mark.variants(reference=True, stands_for_all=True)]
Inputs = dict[str, npt.NDArray[np.int64]]
#: Maximum number of tokens of a drawn row, and of padding columns behind the longest row.
LONGEST, PADDING = 32, 24


@st.composite
def batches(draw: st.DrawFn, most: int = 4) -> tuple[list[list[int]], list[int], int]:
    """Strategy: up to ``most`` rows of raw token numbers, the start of the second segment of each, extra padding columns."""
    rows = draw(st.lists(st.lists(st.integers(5, 2**15), min_size=3, max_size=LONGEST), min_size=1, max_size=most))
    starts = [draw(st.integers(1, len(row))) for row in rows]
    return rows, starts, draw(st.integers(1, PADDING))


Pad = Callable[[list[list[int]], list[int], int], Inputs]


@pytest.fixture(scope="session")
def pad_whole(variant: Variant, session: Session, probes: ArrayDict) -> Pad:
    """``pad_whole(rows, starts, extra)`` returns model inputs, right-padded to the longest row plus ``extra`` columns.

    Raw numbers are folded into the vocabulary, so any token can follow any other. Dynamic int8 gets real text instead (a slice
    of the probes): its scales follow the largest activation of the tensor, including padding, and three random tokens with
    padding agree to only 4 dB, by design (github.com/microsoft/onnxruntime/issues/10111).
    """
    shape = session.shape
    text = probes["input_ids"][probes["attention_mask"] == 1]

    def tokens(row: list[int]) -> npt.NDArray[np.int64]:
        if variant.precision == "int8_dynamic":
            return np.concatenate([text[:1], text[(row[0] + np.arange(len(row) - 1)) % len(text)]])
        return 5 + np.array(row, np.int64) % (shape.vocabulary - 5)

    def make(rows: list[list[int]], starts: list[int], extra: int) -> Inputs:
        width = max(map(len, rows)) + extra
        ids = np.full((len(rows), width), shape.pad_id, np.int64)
        mask, segments = np.zeros_like(ids), np.zeros_like(ids)
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            ids[i, : len(row)] = tokens(row)
            mask[i, : len(row)] = 1
            segments[i, start : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}

    return make


@pytest.fixture(scope="session")
def pad(session: Session, pad_whole: Pad) -> Pad:
    """``pad(rows, starts, extra)`` does the same as ``pad_whole`` within the model's positions.

    If the model has too few positions for a drawn batch, rows use at most half of them and padding the rest.
    """
    longest = session.shape.max_length
    most = LONGEST if longest >= LONGEST + PADDING else longest // 2

    def make(rows: list[list[int]], starts: list[int], extra: int) -> Inputs:
        return pad_whole([row[:most] for row in rows], starts, min(extra, longest - most))

    return make


def outputs_of_tokens(logits: Array, mask: npt.NDArray[np.int64], width: int) -> Array:
    """The logits of rows, or of the tokens among the first ``width`` that are no padding."""
    return real(logits[:, :width], mask[:, :width]) if logits.ndim == 3 else logits


@pytest.fixture(scope="session")
def check(variant: Variant, precision: Precision, reference: ArrayDict) -> Any:
    """``check(expected, got, masks)`` asserts that the same rows, run in two ways, agree within the precision's noise."""
    scale = float(np.sqrt(np.mean(reference["logits"] ** 2)))
    bound = precision.tolerance.invariance_db

    def compare(what: str, expected: ArrayDict, got: ArrayDict, mask: npt.NDArray[np.int64]) -> None:
        width = min(expected["last_hidden_state"].shape[1], got["last_hidden_state"].shape[1])
        there = mask[:, :width].astype(bool)
        hidden = sqnr(expected["last_hidden_state"][:, :width][there], got["last_hidden_state"][:, :width][there])
        wanted, found = (outputs_of_tokens(each["logits"], mask, width) for each in (expected, got))
        logits = sqnr(wanted, found, scale)
        assert min(hidden, logits) >= bound, (
            f"{variant.id}: {what} changes its outputs (hidden-state SQNR {hidden:.1f} dB, logits {logits:.1f} dB, "
            f"bound {bound} dB)"
        )

    return compare


@given(batch=batches())
def test_padding_changes_nothing(session: Session, pad: Pad, check: Any, batch: Any) -> None:
    """More padding columns do not change the outputs."""
    rows, starts, extra = batch
    narrow = pad(rows, starts, 0)
    wide = pad(rows, starts, extra)
    check(f"{extra} columns of padding", session.run(narrow), session.run(wide), narrow["attention_mask"])


@given(batch=batches(), data=st.data())
def test_permuting_a_batch_permutes_its_outputs(
    session: Session, pad: Pad, check: Any, batch: Any, data: st.DataObject
) -> None:
    """Rows in another order have the same outputs."""
    inputs = pad(*batch)
    order = np.array(data.draw(st.permutations(range(len(batch[0])))))
    expected = {name: array[order] for name, array in session.run(inputs).items()}
    shuffled = {name: np.ascontiguousarray(array[order]) for name, array in inputs.items()}
    check(f"the order {order.tolist()}", expected, session.run(shuffled), shuffled["attention_mask"])


@given(batch=batches())
def test_a_batch_equals_its_rows_alone(session: Session, pad: Pad, check: Any, batch: Any) -> None:
    """Rows in a batch have the same outputs as each row alone and unpadded."""
    rows, starts, extra = batch
    inputs = pad(rows, starts, extra)
    together = session.run(inputs)
    for i, row in enumerate(rows):
        own = pad([row], [starts[i]], 0)
        mine = {name: array[i : i + 1] for name, array in together.items()}
        check(f"the company of {len(rows) - 1} rows", session.run(own), mine, own["attention_mask"])


@given(batch=batches(), noise=st.integers(5, 2**15))
def test_masked_positions_have_no_influence(
    checkpoint: Checkpoint, session: Session, pad: Pad, check: Any, batch: Any, noise: int
) -> None:
    """Other token ids where the mask is zero do not change the outputs.

    MobileBERT's embedding of a token is made of its neighbours' too, of which the one behind the last token stays.
    """
    inputs = pad(*batch)
    mask = inputs["attention_mask"]
    read = np.pad(mask, ((0, 0), (1, 0)))[:, :-1] | mask if checkpoint.family.reads_neighbours else mask
    other = 5 + noise % (session.shape.vocabulary - 5)
    noisy = {**inputs, "input_ids": np.where(read == 1, inputs["input_ids"], other)}
    check(f"token {other} behind the mask", session.run(inputs), session.run(noisy), mask)


@given(batch=batches())
def test_segments_matter_where_the_model_has_them(variant: Variant, session: Session, pad: Pad, batch: Any) -> None:
    """Exchanged segment ids change the outputs of a model that has segments; other models ignore the input."""
    inputs = pad(*batch)
    swapped = {**inputs, "token_type_ids": (1 - inputs["token_type_ids"]) * inputs["attention_mask"]}
    a, b = session.run(inputs)["last_hidden_state"], session.run(swapped)["last_hidden_state"]
    same = np.array_equal(a, b)
    assert same != ("token_type_ids" in session.shape.inputs), f"{variant.id}: segment ids, outputs equal: {same}"


@given(batch=batches())
def test_the_same_call_twice_is_bitwise_the_same(variant: Variant, session: Session, pad: Pad, batch: Any) -> None:
    """Two runs of the same inputs are identical: dropout is off and reductions have no race."""
    inputs = pad(*batch)
    first, second = session.run(inputs), session.run(inputs)
    for name in first:
        assert np.array_equal(first[name], second[name]), f"{variant.id}: {name} differs between two equal calls"


def test_thread_count_changes_nothing(session: Session, check: Any, probes: ArrayDict) -> None:
    """Outputs are the same with the session's number of threads and with another; the session's number is restored."""
    expected, other = session.run(probes), 2 if session.threads == 1 else 1
    with session.with_threads(other):
        check(f"{other} thread(s)", expected, session.run(probes), probes["attention_mask"])


def test_the_longest_sequence_runs_and_one_more_is_an_error(variant: Variant, session: Session, pad_whole: Pad) -> None:
    """A sequence of the maximum length works; a longer one is an error of one sentence."""
    longest = session.shape.max_length
    inputs = pad_whole([list(range(5, 5 + longest))], [longest // 2], 0)
    assert np.isfinite(session.run(inputs)["logits"]).all(), f"{variant.id}: logits at length {longest} are not finite"
    with pytest.raises(SuiteError, match=f"{longest + 1} exceeds the model's maximum of {longest}"):
        session.run(pad_whole([list(range(5, 6 + longest))], [1], 0))
