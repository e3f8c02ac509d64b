"""Tests every token, every position, the longest padding and batch sizes up to 65, by the worst token or row of each.

A figure over all rows would hide a single wrong row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fixtures.core.hidden_states import stages
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Precision, Variant
from fixtures.harness.assessment import Yardsticks
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics import inputs
from fixtures.metrics.arrays import ArrayDict
from fixtures.metrics.extents import AT_ONCE, LEAST_DB, too_far_in_company, too_far_rows, too_far_tokens
from fixtures.metrics.inputs import BATCH_SIZES, Inputs
from fixtures.metrics.stage_bounds import violations

#: Rows of the longest batch: rows of all lengths for tiny models, one row of full length for the full size, which is slower.
LONG_ROWS = {"tiny": 6, "full": 1}
#: Rows of the longest batch, and of the vocabulary, that an emulated CPU runs in a minute. Other CPUs run the other rows.
EMULATED_ROWS = 2
#: Batch sizes for a runtime that compiles a program for every power of two, which takes a second each.
COMPILED_SIZES = (1, 5, 17, 65)
#: Tokens of a row in the test of batch sizes, and how many of them are padding in every other row.
ROW, PADDING = 12, 4


Judge = Callable[[Inputs, Sequence[str]], list[str]]


@pytest.fixture
def judge(variant: Variant, session: Session, yardsticks: Yardsticks) -> Judge | None:
    """``judge(batch, stages)`` returns the violations of these stages on ``batch``; None if the runtime does not show all."""
    layers = session.shape.layers
    if REGISTRY.backends[variant.backend].shows(layers) != stages(layers):
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
@pytest.mark.variants(size="tiny", stands_for_all=True)
def test_every_token_of_the_vocabulary(
    harness: Harness, variant: Variant, precision: Precision, session: Session, judge: Judge | None
) -> None:
    """The embedding of every token is right; if the runtime does not show it, its last hidden state is."""
    batch = inputs.vocabulary(session.shape)
    if harness.target.emulated:
        batch = inputs.rows_of(batch, range(-EMULATED_ROWS, 0))
    if judge is not None:
        parts = range(0, len(batch["input_ids"]), AT_ONCE)
        why = [text for part in parts for text in judge(_part(batch, part), ["embeddings"])]
        assert not why, f"{variant.id}: {why}"
        return
    expected = harness.reference(variant.model, variant.size, batch)["last_hidden_state"]
    far = too_far_tokens(expected, session.run, batch, LEAST_DB[precision.stored])
    assert far is None, f"{variant.id}: {far}"


def _part(batch: Inputs, start: int) -> Inputs:
    return inputs.rows_of(batch, range(len(batch["input_ids"]))[start : start + AT_ONCE])


@pytest.mark.variants(stands_for_all=True)
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
    if judge is None or not precision.stored.startswith("int"):
        expected = harness.reference(variant.model, variant.size, batch)
        far = too_far_rows(expected, session.run(batch), batch, LEAST_DB[precision.stored])
        assert far is None, f"{variant.id}: {far}"


@pytest.mark.phase("invariance")
@pytest.mark.variants(size="tiny", stands_for_all=True)
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
