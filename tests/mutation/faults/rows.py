"""Faults of a runtime for some rows, tokens, ids or channels only, which a figure over all of them would hide."""

from __future__ import annotations

from typing import Any

import numpy as np

from fixtures.metrics.arrays import Arrays, Ints
from tests.mutation.faults.runtimes import HIDDEN, Memory, Outputs, SessionFault

#: The limits of these faults: a batch of 16 rows, and ids of 14 bits.
ROWS, BITS = 16, 14
#: The last ids of a vocabulary, which no text has, and BERT's id of [UNK].
RARE, UNKNOWN = 64, 100


def _lengths(inputs: Arrays) -> Ints:
    """The number of real tokens of each row."""
    found: Ints = (inputs["attention_mask"] != 0).sum(1)
    return found


def _ends(inputs: Arrays) -> tuple[Ints, Ints]:
    """The rows with at least two real tokens, and the position of the last token of each."""
    lengths = _lengths(inputs)
    rows = np.flatnonzero(lengths > 1)
    return rows, lengths[rows] - 1


def _with(inputs: Arrays, name: str, change: Any) -> Arrays:
    """``inputs`` with ``change`` applied to a copy of one array; unchanged if the model does not have this input."""
    if name not in inputs:
        return inputs
    copy = inputs[name].copy()
    change(copy)
    return {**inputs, name: copy}


def _last_token_masked(inputs: Arrays, memory: Memory) -> Arrays:
    return _with(inputs, "attention_mask", lambda mask: mask.__setitem__(_ends(inputs), 0))


def _padding_attended(inputs: Arrays, memory: Memory) -> Arrays:
    lengths = _lengths(inputs)
    rows = np.flatnonzero(lengths < inputs["attention_mask"].shape[1])
    return _with(inputs, "attention_mask", lambda mask: mask.__setitem__((rows, lengths[rows]), 1))


def _full_rows_inverted(inputs: Arrays, memory: Memory) -> Arrays:
    return _with(inputs, "attention_mask", lambda mask: mask.__setitem__(mask.all(1), 0))


def _types_late(inputs: Arrays, memory: Memory) -> Arrays:
    return _with(inputs, "token_type_ids", lambda types: types.__setitem__((slice(None), slice(1, None)), types[:, :-1].copy()))


def _last_type_ignored(inputs: Arrays, memory: Memory) -> Arrays:
    return _with(inputs, "token_type_ids", lambda types: types.__setitem__(_ends(inputs), 0))


def _short_ids(inputs: Arrays, memory: Memory) -> Arrays:
    return {**inputs, "input_ids": inputs["input_ids"] & (2**BITS - 1)}


def _rare_unknown(inputs: Arrays, memory: Memory) -> Arrays:
    ids, first = inputs["input_ids"], memory["shape"].vocabulary - RARE
    return {**inputs, "input_ids": np.where(ids >= first, UNKNOWN, ids)}


def _large_batch_unmasked(inputs: Arrays, memory: Memory) -> Arrays:
    if len(inputs["attention_mask"]) <= ROWS:
        return inputs
    return {**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])}


def _each(outputs: Outputs, change: Any) -> Outputs:
    """``outputs`` with ``change`` applied to a copy of each array."""
    made = {name: np.array(array) for name, array in outputs.items()}
    for array in made.values():
        change(array)
    return made


def _from_17_zero(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return _each(outputs, lambda array: array.__setitem__(slice(ROWS, None), 0))


def _from_33_first(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return _each(outputs, lambda array: array.__setitem__(slice(2 * ROWS, None), array[:1]))


def _row_nan(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return _each(outputs, lambda array: array.__setitem__(slice(3, 4), np.nan))


def _longest_halved(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    """Has an effect only in batches of several rows, since a single row is the longest of its batch."""
    row = int(np.argmax(_lengths(inputs)))
    return _each(outputs, lambda array: array.__setitem__(row, array[row] * (0.5 if len(array) > 1 else 1)))


def _hidden(outputs: Outputs, place: Any, value: Any) -> Outputs:
    made = np.array(outputs[HIDDEN])
    made[place] = value
    return {**outputs, HIDDEN: made}


def _last_channel_zero(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return _hidden(outputs, (..., -1), 0)


def _last_state_zero(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return _hidden(outputs, _ends(inputs), 0)


def _last_state_repeated(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    rows, last = _ends(inputs)
    return _hidden(outputs, (rows, last), outputs[HIDDEN][rows, last - 1])


def _logits_scaled(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return {**outputs, "logits": outputs["logits"] * np.float32(0.9)}


def _logits_clipped(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return {**outputs, "logits": outputs["logits"].clip(-0.5, 0.5)}


def _logits_rounded(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    return {**outputs, "logits": outputs["logits"].round(1)}


def _two_rows_exchanged(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    logits = np.array(outputs["logits"])
    logits[:2] = logits[:2][::-1]
    return {**outputs, "logits": logits}


FAULTS = (
    SessionFault(name="last_token_masked", says="the last token of every row is masked", inputs=_last_token_masked),
    SessionFault(name="padding_attended", says="one padded position of every row is attended to", inputs=_padding_attended),
    SessionFault(name="full_rows_inverted", says="the mask of rows without padding is inverted", inputs=_full_rows_inverted),
    SessionFault(name="types_late", says="the second segment begins one token late", inputs=_types_late, families=("bert",)),
    SessionFault(
        name="last_type_ignored",
        says="the last token has the first segment's type",
        inputs=_last_type_ignored,
        families=("bert",),
    ),
    SessionFault(name="short_ids", says="ids are cut to 14 bits", inputs=_short_ids),
    SessionFault(name="rare_unknown", says="the last 64 ids of the vocabulary are taken for [UNK]", inputs=_rare_unknown),
    SessionFault(name="large_batch_unmasked", says="the mask is ignored in batches beyond 16", inputs=_large_batch_unmasked),
    SessionFault(name="from_17_zero", says="outputs of rows 17 and later are zero", outputs=_from_17_zero),
    SessionFault(name="from_33_first", says="rows 33 and later have the outputs of the first", outputs=_from_33_first),
    SessionFault(name="row_nan", says="outputs of the fourth row are not a number", outputs=_row_nan),
    SessionFault(name="longest_halved", says="outputs of the longest row of a batch are halved", outputs=_longest_halved),
    SessionFault(name="last_channel_zero", says="the last channel of the hidden state is zero", outputs=_last_channel_zero),
    SessionFault(name="last_state_zero", says="the last token's hidden state is zero", outputs=_last_state_zero),
    SessionFault(
        name="last_state_repeated", says="the last token's hidden state is that of the one before", outputs=_last_state_repeated
    ),
    SessionFault(name="logits_scaled", says="logits are times 0.9", outputs=_logits_scaled),
    SessionFault(name="logits_clipped", says="logits are clipped at 0.5", outputs=_logits_clipped),
    SessionFault(name="logits_rounded", says="logits are rounded to tenths", outputs=_logits_rounded),
    SessionFault(name="two_rows_exchanged", says="logits of the first two rows are exchanged", outputs=_two_rows_exchanged),
)
