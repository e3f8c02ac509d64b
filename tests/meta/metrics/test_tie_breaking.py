"""Tests that a value on a tie may be rounded to either side, and that any other value may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.arithmetic import onnx_dynamic, torch_dynamic
from fixtures.core.encoder import Products
from fixtures.core.families import family_of
from fixtures.harness.harness import Harness
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import Float64s
from fixtures.metrics.encoder import read
from fixtures.metrics.simulation import quantized_activations, single
from fixtures.metrics.stage_bounds import Yardstick, violations
from fixtures.metrics.tie_breaking import _Simulation, broken

BERT = family_of({"model_type": "bert"})
HOW = {"onnx": onnx_dynamic(False, BERT), "torch": torch_dynamic(False, BERT)}
STAGE = "layer 0 attention"
#: The value of a token in each row that is put on a tie, and one of every token that is on none.
TIE, OTHER = (..., 2, 5), (..., 6)


@pytest.fixture(scope="module")
def checkpoint(harness: Harness) -> Path:
    return harness.checkpoint("bert-base-cased", "tiny").artifact.path


def _moved(yardstick: Yardstick, states: dict[str, Float64s], values: Any) -> Float64s:
    """STAGE with the activations at ``values`` in the code on the other side."""
    how = _Simulation(yardstick.arithmetic)
    chosen = np.zeros(states["embeddings"].shape, bool)
    chosen[values] = True
    how.flips = {0: chosen}
    how.start()
    return yardstick.encoder.step(STAGE, states, yardstick.inputs, how)


@pytest.mark.parametrize("name", HOW)
def test_a_tie_is_no_error_and_another_value_is(harness: Harness, checkpoint: Path, name: str) -> None:
    """A tie moves the key and the value of its token, and with them the tokens that attend to it."""
    yardstick = Yardstick(read(checkpoint), HOW[name], harness.short_probes("bert-base-cased", "tiny"))
    states = yardstick.encoder.run(yardstick.inputs, yardstick.right)
    activations = HOW[name].activations
    assert activations is not None
    made, step = quantized_activations(states["embeddings"], activations)
    for values, away in ((TIE, 0.5), (OTHER, 0.3)):
        states["embeddings"][values] = single(made[values] + away * step.reshape(-1)[0])
    states[STAGE] = _moved(yardstick, states, TIE)
    (found,) = yardstick.stages(states, [STAGE])
    assert found.violation is None
    assert found.moved > 0, "what ties moved is still counted"
    inputs, encoder, mask = yardstick.inputs, yardstick.encoder, yardstick.mask
    found_out = broken(lambda how: encoder.step(STAGE, states, inputs, how), HOW[name], None, states[STAGE], mask == 1)
    assert sqnr(found_out[mask == 1], states[STAGE][mask == 1]) > 200
    states[STAGE] = _moved(yardstick, states, OTHER)
    assert violations(yardstick.stages(states, [STAGE]))


def test_ties_of_an_array_that_rows_share_are_left_alone() -> None:
    """Relative positions are an array [1, positions, hidden] beside the rows' own [rows, tokens, hidden]."""
    rng = np.random.default_rng(5)
    rows, shared, weight = rng.normal(size=(3, 4, 8)), rng.normal(size=(1, 9, 8)), rng.normal(size=(8, 8))
    bias = np.zeros(8)

    def step(how: Products) -> Float64s:
        offsets = how.dense("position", shared, weight, bias).mean(1, keepdims=True)
        made: Float64s = how.dense("query", rows, weight, bias) + offsets
        return made

    how = _Simulation(HOW["onnx"])
    how.flips = {}
    how.start()
    exact = step(how)
    found = broken(step, HOW["onnx"], None, exact + 1e-3, np.ones((3, 4), bool))
    assert found.shape == exact.shape
    assert sqnr(exact, found) > 30
