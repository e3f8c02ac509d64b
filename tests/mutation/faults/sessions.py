"""Faults of a runtime with a correct artifact: in its inputs, in its outputs, in how the artifact is opened."""

from __future__ import annotations

from typing import Any

import numpy as np

from fixtures.metrics.arrays import Arrays
from tests.mutation.faults.runtimes import Memory, SessionFault

TRUNCATED = 64


def _mask_ignored(inputs: Arrays, memory: Memory) -> Arrays:
    return {**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])}


def _token_types_dropped(inputs: Arrays, memory: Memory) -> Arrays:
    return {name: np.zeros_like(array) if name == "token_type_ids" else array for name, array in inputs.items()}


def _truncated(inputs: Arrays, memory: Memory) -> Arrays:
    return {name: np.ascontiguousarray(array[:, :TRUNCATED]) for name, array in inputs.items()}


def _grown(outputs: dict[str, Any], inputs: Arrays, memory: Memory) -> dict[str, Any]:
    """Pads the hidden state to the length of the input, as a caller does that scatters it into a buffer."""
    hidden = outputs["last_hidden_state"]
    lost = inputs["input_ids"].shape[1] - hidden.shape[1]
    return {**outputs, "last_hidden_state": np.pad(hidden, ((0, 0), (0, max(0, lost)), (0, 0)))}


def _to_the_left(inputs: Arrays, memory: Memory) -> Arrays:
    return _rolled(inputs, inputs, 1)


def _back_to_the_right(outputs: dict[str, Any], inputs: Arrays, memory: Memory) -> dict[str, Any]:
    """Moves the outputs of left-padded rows back to the positions of the caller's right-padded tokens."""
    return {**outputs, **_rolled({"last_hidden_state": outputs["last_hidden_state"]}, inputs, -1)}


def _rolled(arrays: Arrays, inputs: Arrays, direction: int) -> dict[str, Any]:
    """Each row of ``arrays`` moved along the sequence by the number of padding tokens of that row of ``inputs``."""
    padding = (inputs["attention_mask"] == 0).sum(1)
    return {
        name: np.stack([np.roll(row, direction * int(n), axis=0) for row, n in zip(array, padding, strict=True)])
        for name, array in arrays.items()
    }


def _other_row(outputs: dict[str, Any], inputs: Arrays, memory: Memory) -> dict[str, Any]:
    return {**outputs, "logits": np.roll(outputs["logits"], 1, axis=0)}


def _half_outputs(outputs: dict[str, Any], inputs: Arrays, memory: Memory) -> dict[str, Any]:
    return {name: array.astype(np.float16).astype(np.float32) for name, array in outputs.items()}


def _noise(outputs: dict[str, Any], inputs: Arrays, memory: Memory) -> dict[str, Any]:
    random = memory.setdefault("random", np.random.default_rng(0))
    return {
        name: array * (1 + 1e-3 * random.standard_normal(array.shape).astype(array.dtype)) for name, array in outputs.items()
    }


def _previous(outputs: dict[str, Any], inputs: Arrays, memory: Memory) -> dict[str, Any]:
    """A call of the same shape as the previous one returns the previous outputs, as if it did not wait for a buffer."""
    before = memory.get("outputs", outputs)
    memory["outputs"] = outputs
    return before if before["last_hidden_state"].shape == outputs["last_hidden_state"].shape else outputs


FAULTS = (
    SessionFault(name="mask_ignored", says="the attention mask is ignored", inputs=_mask_ignored),
    SessionFault(name="token_types_dropped", says="token types are dropped", inputs=_token_types_dropped, families=("bert",)),
    SessionFault(name="truncated_at_64", says="input is silently truncated at 64 tokens", inputs=_truncated, outputs=_grown),
    SessionFault(name="padded_left", says="rows are padded on the left", inputs=_to_the_left, outputs=_back_to_the_right),
    SessionFault(name="other_row", says="logits belong to the next row of the batch", outputs=_other_row),
    SessionFault(name="half_outputs", says="outputs went through float16", outputs=_half_outputs),
    SessionFault(name="noise", says="outputs vary by 1e-3 from call to call", outputs=_noise, shown=False),
    SessionFault(
        name="previous_outputs", says="outputs of the previous call of the same shape", outputs=_previous, shown=False
    ),
)
