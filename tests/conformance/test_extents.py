"""Tests every token, every position, the longest padding and batch sizes up to 65, by the worst token or row of each.

A figure over all rows would hide a single wrong row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits

from fixtures.core.hidden_states import stages
from fixtures.core.registry import REGISTRY, Backend
from fixtures.core.spec import Precision, Shape, Variant
from fixtures.harness.assessment import Yardsticks
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics import inputs
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import Array, ArrayDict
from fixtures.metrics.inputs import BATCH_SIZES, Inputs
from fixtures.metrics.stage_bounds import violations

#: Lowest allowed SQNR of a single token or row, by the format of matrix products. It must be above that of a fault: a token
#: whose row of the table is zeros keeps 4 dB (the sum of three tables of equal variance loses one of them:
#: 10 log10(1 / (2 - 2 sqrt(2/3)))), a token with another token's row keeps 2 dB, and a row that is another row keeps 0 dB. One
#: rounding to 24, 11 and 8 bits gives 146, 68 and 50 dB; the limits leave room for the rounding errors of all layers in the
#: worst token of a vocabulary. Calibrated 8-bit ranges clip values that no text of the calibration data had.
LEAST_DB = {"f32": 90.0, "f16": 40.0, "bf16": 25.0, "int8": 10.0}
#: Rows in one call of the vocabulary test.
AT_ONCE = 64
#: Rows of the longest batch: rows of all lengths for tiny models, one row of full length for the full size, which is slower.
LONG_ROWS = {"tiny": 6, "full": 1}
#: Rows of the longest batch, and of the vocabulary, that an emulated CPU runs in a minute. Other CPUs run the other rows.
EMULATED_ROWS = 2
#: Batch sizes for a runtime that compiles a program for every power of two, which takes a second each.
COMPILED_SIZES = (1, 5, 17, 65)
#: Tokens of a row in the test of batch sizes, and how many of them are padding in every other row.
ROW, PADDING = 12, 4
Run = Callable[[Inputs], ArrayDict]


def each_db(expected: Array, got: Array) -> npt.NDArray[np.float64]:
    """SQNR in dB of every vector [..., values] of ``got`` against that of ``expected``; -inf where ``got`` is not finite."""
    error = np.asarray(got, np.float64) - np.asarray(expected, np.float64)
    noise, signal = (np.mean(np.asarray(array, np.float64) ** 2, axis=-1) for array in (error, expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isfinite(noise), 10 * np.log10(signal / noise), -np.inf)


def too_far_tokens(expected: Array, run: Run, batch: Inputs, least: float) -> str | None:
    """Describes the token of ``batch`` with the worst last hidden state, or returns None if its SQNR is at least ``least``."""
    rows = range(len(batch["input_ids"]))
    parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    got = np.concatenate([run(inputs.rows_of(batch, part))["last_hidden_state"] for part in parts])
    found = each_db(expected, got)
    worst = np.unravel_index(found.argmin(), found.shape)
    if found[worst] >= least:
        return None
    token, many = batch["input_ids"][worst], int((found < least).sum())
    return f"token {token}, the worst of {many} beyond it: hidden-state SQNR {found[worst]:.1f} dB < {least:g} dB"


def too_far_rows(expected: ArrayDict, got: ArrayDict, batch: Inputs, least: float) -> str | None:
    """Describes the first row of ``batch`` whose hidden states or logits have an SQNR below ``least`` dB, or returns None."""
    scale = float(np.sqrt(np.mean(expected["logits"] ** 2)))
    for row, mask in enumerate(batch["attention_mask"].astype(bool)):
        name = f"row {row}, {mask.sum()} tokens and {(~mask).sum()} of padding"
        hidden = sqnr(expected["last_hidden_state"][row][mask], got["last_hidden_state"][row][mask])
        logits = sqnr(expected["logits"][row], got["logits"][row], scale)
        if hidden < least:
            return f"{name}: hidden-state SQNR {hidden:.1f} dB < {least:g} dB"
        if logits < least:
            return f"{name}: logits SQNR {logits:.1f} dB < {least:g} dB"
    return None


def too_far_in_company(
    run: Run, batch: Inputs, sizes: Sequence[int], scale: float, mixed_db: float, copies_db: float
) -> str | None:
    """Describes the first row that another batch size changes too much, or returns None.

    The bound is ``mixed_db`` in a batch of other rows, and ``copies_db`` in a batch of copies of the row, which leaves the
    range of a dynamic quantizer unchanged.
    """
    alone = [run(inputs.rows_of(batch, [row])) for row in range(len(batch["input_ids"]))]
    for size in sizes:
        for what, rows, least in (("others", range(size), mixed_db), ("copies", [size % len(alone)] * size, copies_db)):
            together = run(inputs.rows_of(batch, list(rows)))
            found = [_lesser(alone[row], place, together, scale) for place, row in enumerate(rows)]
            worst = int(np.argmin(found))
            if found[worst] < least:
                return f"row {worst} in a batch of {size} among {what}: SQNR {found[worst]:.1f} dB < {least:g} dB"
    return None


def _lesser(alone: ArrayDict, place: int, together: ArrayDict, scale: float) -> float:
    hidden = sqnr(alone["last_hidden_state"][0], together["last_hidden_state"][place])
    return min(hidden, sqnr(alone["logits"][0], together["logits"][place], scale))


Judge = Callable[[Inputs, Sequence[str]], list[str]]


@pytest.fixture
def judge(variant: Variant, session: Session, yardsticks: Yardsticks) -> Judge | None:
    """``judge(batch, stages)`` returns the violations of these stages on ``batch``; None if the runtime returns no stages."""
    if REGISTRY.backends[variant.backend].layers is Backend.layers:
        return None
    scales = session.scales() if yardsticks.static(variant) else None

    def wrong(batch: Inputs, stages: Sequence[str]) -> list[str]:
        # For the vocabulary only the embeddings are tested: the later stages would take much longer.
        yardstick = (yardsticks.only if stages == ["embeddings"] else yardsticks.of)(variant, batch, scales)
        with threadpool_limits(limits=1):
            found = yardstick.stages(session.layers(batch, stages), stages)
        return violations(found)

    return wrong


@pytest.mark.phase("agreement")
@pytest.mark.variants(size="tiny")
def test_every_token_of_the_vocabulary(
    harness: Harness, variant: Variant, precision: Precision, session: Session, judge: Judge | None
) -> None:
    """The embedding of every token is right; if the runtime returns no stages, its last hidden state is."""
    batch = inputs.vocabulary(session.shape)
    if harness.target.emulated:
        batch = inputs.rows_of(batch, range(-EMULATED_ROWS, 0))
    if judge is not None:
        parts = range(0, len(batch["input_ids"]), AT_ONCE)
        why = [text for part in parts for text in judge(_part(batch, part), ["embeddings"])]
        assert not why, f"{variant.id}: {why}"
        return
    expected = harness.reference(variant.model, variant.size, batch)["last_hidden_state"]
    far = too_far_tokens(expected, session.run, batch, LEAST_DB[precision.arithmetic])
    assert far is None, f"{variant.id}: {far}"


def _part(batch: Inputs, start: int) -> Inputs:
    return inputs.rows_of(batch, range(len(batch["input_ids"]))[start : start + AT_ONCE])


@pytest.mark.phase("agreement")
def test_every_position_and_the_longest_padding(
    harness: Harness, variant: Variant, precision: Precision, session: Session, probes: ArrayDict, judge: Judge | None
) -> None:
    """Rows up to the model's maximum length are right, stage by stage, and end to end if the format is not int8."""
    rows = LONG_ROWS[variant.size]
    batch = inputs.long_rows(session.shape, probes, min(rows, EMULATED_ROWS) if harness.target.emulated else rows)
    if judge is not None:
        why = judge(batch, stages(session.shape.layers))
        assert not why, f"{variant.id}: {why}"
    if judge is None or precision.arithmetic != "int8":
        expected = harness.reference(variant.model, variant.size, batch)
        far = too_far_rows(expected, session.run(batch), batch, LEAST_DB[precision.arithmetic])
        assert far is None, f"{variant.id}: {far}"


@pytest.mark.phase("invariance")
@pytest.mark.variants(size="tiny")
def test_every_batch_size(
    harness: Harness, variant: Variant, precision: Precision, session: Session, probes: ArrayDict, reference: ArrayDict
) -> None:
    """A row's outputs do not depend on the batch size, among other rows and among copies of itself.

    Among other rows the bound is that of invariance. Among copies only the order of sums differs, and the bound is that for two
    CPUs.
    """
    batch = inputs.text_rows(probes, max(BATCH_SIZES), min(ROW, session.shape.max_length))
    for name in ("attention_mask", "token_type_ids"):  # every other row is padded, so that the mask matters in each batch
        if name in batch:
            batch[name][1::2, -PADDING:] = 0
    sizes = COMPILED_SIZES if "pad_to" in harness.artifact(variant).meta else BATCH_SIZES
    scale, tolerance = float(np.sqrt(np.mean(reference["logits"] ** 2))), precision.tolerance
    why = too_far_in_company(session.run, batch, sizes, scale, tolerance.invariance_db, tolerance.cpus_db)
    assert why is None, f"{variant.id}: {why}"


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
    batch = inputs.long_rows(SHAPE, PROBES, LONG_ROWS["tiny"])
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
