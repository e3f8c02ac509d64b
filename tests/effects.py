"""What each fault of ``tests.faults`` changes, apart from any bound: run by ``tests/test_faults.py`` and ``tests.detection``.

Inputs are such that every fault shows: the probes, a batch of 40 rows, every id of the vocabulary, the model's longest row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fixtures.agreement import sqnr
from fixtures.inputs import token_ids
from fixtures.isolation import Session
from fixtures.spec import Shape, Variant
from fixtures.workshop import Arrays, Workshop
from tests.faults.spec import HARMLESS, PREFIX

ROWS, LENGTH = 40, 16
#: Rounding in another order: what float32 keeps of a function that is computed otherwise.
SAME_DB = 100.0


def stress(shape: Shape, probes: Arrays) -> Iterator[Arrays]:
    """Batches on which each fault shows, one after the other."""
    yield probes
    many = token_ids(shape, ROWS, min(LENGTH, shape.max_length))
    many["attention_mask"][::2, -3:] = 0
    many["token_type_ids"][:, LENGTH // 2 :] = 1
    yield many
    length = min(256, shape.max_length)
    every = np.arange(5, 5 + -(-shape.vocabulary // length) * length).reshape(-1, length) % shape.vocabulary
    for ids in np.array_split(every, -(-len(every) // 32)):
        yield {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    yield token_ids(shape, 1, shape.max_length)


def effect(right: Arrays, wrong: Arrays, mask: np.ndarray) -> float:
    """The lower SQNR of both outputs in dB, of real tokens alone; rows that only one of them has count as lost."""
    real = mask.astype(bool)
    hidden = right["last_hidden_state"], wrong["last_hidden_state"]
    return min(sqnr(right["logits"], wrong["logits"]), sqnr(hidden[0][real], hidden[1][real]))


@pytest.fixture(scope="session")
def beside(workshop: Workshop, variant: Variant) -> Iterator[Session]:
    """The right variant of the same cell, in a session of its own."""
    opened = workshop.open(Variant(variant.model, variant.size, variant.backend, variant.precision))
    yield opened
    workshop.release(opened)


@pytest.mark.variants(size="tiny")
def test_effect(
    variant: Variant,
    session: Session,
    beside: Session,
    probes: Arrays,
    record_property: Callable[[str, object], None],
) -> None:
    """A fault changes outputs somewhere, what is harmless in float32 nowhere."""
    found = [
        effect(beside.run(inputs), session.run(inputs), inputs["attention_mask"]) for inputs in stress(session.shape, probes)
    ]
    record_property("probes_db", found[0])
    record_property("effect_db", min(found))
    if variant.recipe.startswith(PREFIX):
        assert min(found) < float("inf"), f"{variant.id} changes nothing"
    elif variant.recipe.startswith(HARMLESS) and variant.precision == "f32":
        assert min(found) >= SAME_DB, f"{variant.id}: {min(found):.1f} dB"
