"""Where two runtimes part, static shapes, and a converter that loses weights: the logic behind the TensorFlow side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import padding, stages
from fixtures.diagnosis import describe, first_beyond, trace
from fixtures.errors import RemoteError
from fixtures.isolation import Child
from fixtures.precisions import PRECISIONS
from fixtures.spec import Shape

SHAPE = Shape(
    layers=2, heads=2, hidden=4, intermediate=8, vocabulary=99, max_length=100, pad_id=7, inputs=("input_ids", "attention_mask")
)
F32 = PRECISIONS["f32"].tolerance


def test_the_first_stage_beyond_tolerance_is_named() -> None:
    mask = np.array([[1, 1, 0]])
    reference = {name: np.ones((1, 3, 4)) for name in stages.norms(2)}
    reference[stages.LOGITS] = np.ones((1, 2))
    got = {name: array.copy() for name, array in reference.items()}
    got["embeddings"][0, 2] = np.nan  # padding does not count
    for stage in stages.stages(2)[2:]:
        got[stage] *= 1.001  # 60 dB
    found = trace(reference, got, mask)
    assert list(found) == stages.stages(2)
    assert first_beyond(found, F32) == "layer 0 feed-forward"
    text = describe(found, F32)
    assert text.startswith(
        "first beyond tolerance: layer 0 feed-forward with 60.0 dB; layer 0 attention still has inf dB (dB: "
    )
    assert first_beyond(found, PRECISIONS["int8_dynamic"].tolerance) is None
    assert describe(found, PRECISIONS["f16"].tolerance).startswith("no single layer is beyond tolerance")


def test_layer_norms_taken_apart_are_found_by_their_scope() -> None:
    """As PyTorch's exporter and Keras name their nodes; what follows the norm is not of it."""
    nodes = [
        ("/bert/embeddings/LayerNorm/Sub", "a"), ("/bert/embeddings/LayerNorm/Add_1", "b"), ("/bert/encoder/MatMul", "c"),
        ("/bert/encoder/layer.0/attention/output/LayerNorm/Add_1", "d"), ("functional/sa_layer_norm_1/add_2", "e"),
        ("functional/dense/add", "f"),
    ]  # fmt: skip
    assert stages.last_of_each_norm(nodes) == ["b", "d", "e"]
    assert list(stages.name(["b", "d", "e"], 1)) == ["embeddings", "layer 0 attention", "layer 0 feed-forward"]
    with pytest.raises(RuntimeError, match="the graph shows 3 layer norms, where 2 layers have 5"):
        stages.name(["b", "d", "e"], 2)
    unpacked = [("/layer.1/LayerNorm/weight", "w1"), ("/layer.0/LayerNorm/weight", "w0"), *nodes]
    unpacked += [("/layer.0/LayerNorm/Add", "g"), ("/layer.1/LayerNorm/Add", "h")]
    assert stages.last_of_each_norm(unpacked)[-2:] == ["g", "h"], "weights that a file unpacks first do not set the order"


@given(st.integers(1, 40), st.integers(1, 100))
def test_padding_to_static_shapes_is_undone(rows: int, columns: int) -> None:
    """Few shapes, never longer than the model can, real rows and columns untouched, outputs cut back."""
    ids = 8 + np.arange(rows * columns).reshape(rows, columns) % 90
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    grown = padding.grow(inputs, {"batch": 1, "sequence": 32}, SHAPE)
    height, width = grown["input_ids"].shape
    assert height >= rows
    assert height & (height - 1) == 0
    assert width in (32, 64, SHAPE.max_length)
    assert np.array_equal(grown["input_ids"][:rows, :columns], ids)
    assert (grown["input_ids"][:, columns:] == SHAPE.pad_id).all()
    assert grown["attention_mask"].sum() == height * columns
    outputs = padding.cut({"logits": np.zeros((height, 2)), "last_hidden_state": np.zeros((height, width, 4))}, inputs)
    assert (outputs["logits"].shape, outputs["last_hidden_state"].shape) == ((rows, 2), (rows, columns, 4))
    assert padding.grow(inputs, None, SHAPE)["input_ids"] is ids


def test_a_converted_file_without_its_weights_is_an_error_of_the_build(tmp_path: Path) -> None:
    """TensorFlow's own converter on a function whose variables it cannot see: a small file, and no artifact."""
    child = Child("lost", tmp_path / "log", threads=1)
    try:
        with pytest.raises(RemoteError, match=r"^RuntimeError: 1 of 1 weights are not in the converted file"):
            child.ask("call", timeout=300, target="tests.mishaps:loses_its_weights", arguments={"out": str(tmp_path)})
    finally:
        child.close()
    assert not (tmp_path / "model.tflite").exists()
