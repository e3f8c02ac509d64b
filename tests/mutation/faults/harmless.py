"""Harmless changes: the same function, computed in another way. A test that fails for one of them raises a false alarm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fixtures.core.registry import Lowering
from fixtures.metrics.arrays import Arrays
from tests.mutation.faults.checkpoints import fault, heads, named
from tests.mutation.faults.parameters import DOWN, KEY, QUERY, UP, VALUE
from tests.mutation.faults.patches import Patches, during, eager, in_force, masks
from tests.mutation.faults.runtimes import Memory, SessionFault
from tests.mutation.faults.spec import BuildFault, Config, Weights

OUT = r"\.(attention\.output\.dense|out_lin)\."
#: A constant that is added to every score of a row before the softmax, which does not change the softmax.
SHIFT = 3.0


def _key_bias(config: Config, weights: Weights) -> None:
    """Removes the bias of the keys, which adds the same number to all scores of a query."""
    for name in named(weights, KEY + "bias$"):
        weights[name][:] = 0


def _permute(weights: Weights, rows: str, columns: str, order: npt.NDArray[np.int64]) -> None:
    """Permute the outputs of some products, and the inputs of the next product in the same way."""
    for name in named(weights, rows + "(weight|bias)$"):
        weights[name] = weights[name][order]
    for name in named(weights, columns + "weight$"):
        weights[name] = weights[name][:, order]


def _heads_permuted(config: Config, weights: Weights) -> None:
    hidden = len(weights[next(named(weights, QUERY + "bias$"))])
    order = np.arange(hidden).reshape(heads(config), -1)[::-1].ravel()
    _permute(weights, f"({QUERY}|{KEY}|{VALUE})", OUT, order)


def _units_permuted(config: Config, weights: Weights) -> None:
    units = len(weights[next(named(weights, UP + "bias$"))])
    _permute(weights, UP, DOWN, np.random.default_rng(0).permutation(units))


def _narrow_ids(inputs: Arrays, memory: Memory) -> Arrays:
    ids = inputs["input_ids"]
    return {**inputs, "input_ids": ids.astype(np.int16).astype(ids.dtype)} if memory["shape"].vocabulary <= 2**15 else inputs


def _shifted(low: object) -> Patches:
    yield from masks(lambda mask: mask + SHIFT)


def _unordered(low: Lowering) -> bool:
    """True if the order of channels does not change what is computed.

    It does where neighbours share a scale (MatMulNBits, OpenVINO's dynamic products) or each has a factor (SmoothQuant).
    """
    ordered = low.backend == "openvino" and low.precision in ("int8_dynamic", "int8_static")
    return not ordered and low.backend != "onnxruntime_blocks"


FAULTS = (
    fault(_key_bias, "the bias of every key is missing, which no softmax sees", harmless=True),
    fault(_heads_permuted, "attention heads are in another order throughout a layer", harmless=True, on=_unordered),
    fault(_units_permuted, "units of every feed-forward block are in another order", harmless=True, on=_unordered),
    SessionFault(name="narrow_ids", says="ids were in int16, where the vocabulary fits", inputs=_narrow_ids, harmless=True),
    BuildFault(
        name="scores_shifted",
        says="3 is added to all scores before the softmax",
        during=during(_shifted),
        on=lambda low: low.backend in ("torchscript", "onnxruntime"),  # the optimizer knows no such mask, and Keras adds none
        harmless=True,
    ),
    SessionFault(
        name="scores_shifted",
        says="3 is added to all scores before the softmax",
        opened=lambda backend: in_force(_shifted(backend)),
        on=eager,
        harmless=True,
    ),
)
