"""Tests the probes that an emulated CPU runs in seconds."""

from __future__ import annotations

import numpy as np

from fixtures.metrics.inputs import LONGEST, ROWS, digest, shortened

PAD, END = 9, 102


def probes() -> dict[str, np.ndarray]:
    """Sixteen rows of 20 to 95 tokens, each followed by END."""
    lengths = np.arange(20, 100, 5)
    mask = (np.arange(100) < lengths[:, None]).astype(np.int64)
    ids = np.where(mask, np.arange(100) + 1000, PAD)
    ids[np.arange(16), lengths - 1] = END
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": mask * (np.arange(100) > 12)}


def test_rows_are_cut_but_keep_their_beginning_and_their_end() -> None:
    short = shortened(probes(), PAD)
    ids, mask = short["input_ids"], short["attention_mask"]
    assert {array.shape for array in short.values()} == {(ROWS, LONGEST)}
    lengths = mask.sum(1)
    assert (lengths.min(), lengths.max()) == (LONGEST // 4, LONGEST)
    for row, length in zip(range(ROWS), lengths, strict=True):
        assert ids[row, : length - 1].tolist() == list(range(1000, 1000 + length - 1))
        assert ids[row, length - 1] == END
        assert (ids[row, length:] == PAD).all()
        assert mask[row].tolist() == [1] * length + [0] * (LONGEST - length)
    assert short["token_type_ids"][-1, 13:LONGEST].all()


def test_rows_that_are_short_already_stay() -> None:
    short = {name: array[:, :10] for name, array in probes().items()}
    short["attention_mask"] = np.ones_like(short["input_ids"])
    assert shortened(short, PAD)["attention_mask"].sum(1).tolist() == [8, *[10] * (ROWS - 1)]


def test_a_digest_tells_values_and_shapes_apart() -> None:
    first, other = probes(), probes()
    assert digest(first) == digest(other)
    other["input_ids"][0, 0] += 1
    assert digest(first) != digest(other)
    assert digest({"a": np.zeros((2, 3), np.int64)}) != digest({"a": np.zeros((3, 2), np.int64)})
