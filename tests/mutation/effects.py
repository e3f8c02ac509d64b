"""Measures how much each fault of ``tests.mutation.faults`` changes outputs, for ``test_faults.py`` and ``detection.py``.

The inputs are chosen so that every fault has an effect: the probes, a batch of 40 rows, and the vocabulary's last ids at every
position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fixtures.core.spec import Shape, Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import ArrayDict
from fixtures.metrics.inputs import token_ids
from tests.mutation.faults import states
from tests.mutation.faults.spec import HARMLESS, PREFIX

ROWS, LENGTH = 40, 16
#: Lowest SQNR, in dB, of a harmless change in float32: the same function, computed with other roundings.
SAME_DB = 100.0
#: Faults without an effect on a single call: those of a session's state (``test_faults.py`` tests them), and those that ONNX
#: Runtime removes.
SILENT = {fault.recipe for fault in states.FAULTS} | {"fault_dropout"}


def stress(shape: Shape, probes: ArrayDict) -> Iterator[ArrayDict]:
    """Batches on which every fault has an effect; the first two have the same shape, for faults that reuse an earlier call."""
    yield probes
    yield {name: np.ascontiguousarray(array[::-1]) for name, array in probes.items()}
    many = token_ids(shape, ROWS, min(LENGTH, shape.max_length))
    many["attention_mask"][::2, -3:] = 0
    many["token_type_ids"][:, LENGTH // 2 :] = 1
    yield many
    longest = token_ids(shape, 1, shape.max_length)
    longest["input_ids"] = np.arange(shape.vocabulary - shape.max_length, shape.vocabulary)[None]
    yield longest


def effect(right: ArrayDict, wrong: ArrayDict, mask: np.ndarray) -> float:
    """The lower SQNR of both outputs in dB, over real tokens; rows that only one of the arrays has count as lost."""
    real = mask.astype(bool)
    hidden = right["last_hidden_state"], wrong["last_hidden_state"]
    return min(sqnr(right["logits"], wrong["logits"]), sqnr(hidden[0][real], hidden[1][real]))


@pytest.fixture(scope="session")
def beside() -> dict[Variant, list[ArrayDict]]:
    """The outputs of correct variants, each computed once."""
    return {}


def _right(beside: dict[Variant, list[ArrayDict]], harness: Harness, variant: Variant, probes: ArrayDict) -> list[ArrayDict]:
    right = Variant(variant.model, variant.size, variant.backend, variant.precision)
    if right not in beside:
        opened = harness.open(right)
        beside[right] = [opened.run(inputs) for inputs in stress(opened.shape, probes)]
        harness.pool.release(opened)
    return beside[right]


@pytest.mark.variants(size="tiny")
def test_effect(
    harness: Harness,
    variant: Variant,
    session: Session,
    beside: dict[Variant, list[ArrayDict]],
    probes: ArrayDict,
    record_property: Callable[[str, object], None],
) -> None:
    """Every fault changes outputs on some input, and a harmless change in float32 on none."""
    found = [
        effect(right, session.run(inputs), inputs["attention_mask"])
        for right, inputs in zip(_right(beside, harness, variant, probes), stress(session.shape, probes), strict=True)
    ]
    record_property("probes_db", found[0])
    record_property("effect_db", min(found))
    if variant.recipe.startswith(PREFIX) and variant.recipe not in SILENT:
        assert min(found) < float("inf"), f"{variant.id} changes nothing"
    elif variant.recipe.startswith(HARMLESS) and variant.precision == "f32":
        assert min(found) >= SAME_DB, f"{variant.id}: {min(found):.1f} dB"
