"""Tests what a padded token computes that sees no other: a range over a whole tensor includes it."""

from __future__ import annotations

import numpy as np

from fixtures.core.encoder import Exact
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.encoder import read

STAGE = "layer 1 attention"


class Blind(Exact):
    blind = True


def test_pytorch_gives_zeros_to_a_token_that_sees_none(harness: Harness) -> None:
    """In a local layer of ModernBERT, whose window is narrower than the padding."""
    variant = Variant("modernbert-base", "tiny", "pytorch", "f32", "")
    encoder = read(harness.checkpoint(variant.model, variant.size).artifact.path)
    ids = np.full((1, 96), encoder.family.shape.pad_id)
    ids[0, :8] = range(10, 18)
    batch = {"input_ids": ids, "attention_mask": (np.arange(96)[None] < 8).astype(np.int64)}
    session = harness.open(variant)
    try:
        states = session.layers(batch)
    finally:
        harness.pool.release(session)
    far = slice(8 + encoder.family.number("local_attention", 128), None)
    found = {how: encoder.step(STAGE, states, batch, how())[0, far] for how in (Blind, Exact)}
    assert found[Blind].shape[0] > 0
    assert sqnr(found[Blind], states[STAGE][0, far]) > 100
    assert sqnr(found[Exact], states[STAGE][0, far]) < 60
