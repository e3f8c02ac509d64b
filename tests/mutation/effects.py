"""What each fault of ``tests.mutation.faults`` changes, apart from any bound, for ``test_faults.py`` and ``detection.py``.

Inputs are such that every fault shows: the probes, a batch of 40 rows, the vocabulary's last ids on every position.
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
#: Rounding in another order: what float32 keeps of a function that is computed otherwise.
SAME_DB = 100.0
#: Those of a session's state, which no single call shows (``test_faults.py`` has them), and what ONNX Runtime takes out.
SILENT = {fault.recipe for fault in states.FAULTS} | {"fault_dropout"}


def stress(shape: Shape, probes: ArrayDict) -> Iterator[ArrayDict]:
    """Batches on which each fault shows, one after the other; the first two have one shape, as an earlier call has."""
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
    """The lower SQNR of both outputs in dB, of real tokens alone; rows that only one of them has count as lost."""
    real = mask.astype(bool)
    hidden = right["last_hidden_state"], wrong["last_hidden_state"]
    return min(sqnr(right["logits"], wrong["logits"]), sqnr(hidden[0][real], hidden[1][real]))


@pytest.fixture(scope="session")
def beside() -> dict[Variant, list[ArrayDict]]:
    """What right variants give, each computed once."""
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
    """A fault changes outputs somewhere, what is harmless in float32 nowhere."""
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
