"""Tests that a value on a tie may be rounded to either side, and that any other value may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.core.arithmetic import onnx_dynamic, torch_dynamic
from fixtures.core.family import family_of
from fixtures.harness.harness import Harness
from fixtures.metrics.arrays import Float64s
from fixtures.metrics.encoder import read
from fixtures.metrics.stage_bounds import Yardstick, violations
from fixtures.metrics.stagewise import figures
from fixtures.metrics.tie_breaking import _Simulation

BERT = family_of({"model_type": "bert"})
HOW = {"onnx": onnx_dynamic(False, BERT), "torch": torch_dynamic(False, BERT)}
STAGE = "layer 0 attention"


@pytest.fixture(scope="module")
def checkpoint(harness: Harness) -> Path:
    return harness.checkpoint("bert-base-cased", "tiny").artifact.path


def _moved(yardstick: Yardstick, states: dict[str, Float64s], ties: bool) -> Float64s:
    """STAGE with one activation of each row, a tie or not, in the code on the other side."""
    how = _Simulation(yardstick.arithmetic)
    how.flips = {}
    how.start()
    yardstick.encoder.step(STAGE, states, yardstick.inputs, how)
    chosen = np.zeros(how.near[0].shape, bool)
    for row, near in enumerate(how.near[0]):
        candidates = np.argwhere((near == ties) & (yardstick.mask[row] == 1)[:, None])
        chosen[row][tuple(candidates[len(candidates) // 2])] = True
    how.flips = {0: chosen}
    how.start()
    return yardstick.encoder.step(STAGE, states, yardstick.inputs, how)


@pytest.mark.parametrize("name", HOW)
def test_a_tie_in_each_row_is_no_error_and_another_value_is(harness: Harness, checkpoint: Path, name: str) -> None:
    """Either moves the key and the value of its token, and with them all tokens that attend to it."""
    yardstick = Yardstick(read(checkpoint), HOW[name], harness.short_probes("bert-base-cased", "tiny"))
    states = yardstick.encoder.run(yardstick.inputs, yardstick.right)
    bound, right = yardstick.bound(STAGE), states[STAGE]
    for ties in (True, False):
        states[STAGE] = _moved(yardstick, states, ties)
        assert figures(right, states[STAGE], yardstick.mask).typical < bound.typical, "every token has moved"
        (found,) = yardstick.stages(states, [STAGE])
        assert bool(violations([found])) != ties
        assert found.moved > 0.5 * found.of, "what a tie moved is still counted"
