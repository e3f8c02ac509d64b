"""Tests that the hidden states of a variant come from the timed computation: the same file, kernels and threads."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import pytest

from fixtures.backends import _tflite
from fixtures.core.hidden_states import LOGITS, norms
from fixtures.core.registry import REGISTRY, load
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.metrics.inputs import token_ids

load()
#: Backends that return hidden states from the timed graph or file itself, so that outputs must be identical.
SUBJECTS = [
    pytest.param(variant, marks=pytest.mark.backend(variant.backend), id=variant.id)
    for variant in [
        *REGISTRY.variants("bert-base-cased", "tiny"),
        Variant("ibert-roberta-base", "tiny", "torchscript", "f32"),  # its layer norms are decomposed
    ]
    if variant.backend in ("torchscript", "tflite", "openvino", "inductor", "ctranslate2") and variant.recipe == ""
]


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_bit_differs_where_states_are_handed_out(harness: Harness, subject: Variant) -> None:
    """With hidden states as additional outputs, all outputs are identical, including padding.

    Run with two shapes, and with the first shape again after the second.
    """
    session = harness.open(subject)
    try:
        names = REGISTRY.backends[subject.backend].shows(session.shape.layers)
        probes = harness.probes(subject.model, subject.size)
        for inputs in (probes, token_ids(session.shape, 2, 9), probes):
            layers, outputs = session.layers(inputs), session.run(inputs)
            assert list(layers) == names, f"{subject.id}: {list(layers)}"
            found = {"last_hidden_state": layers[norms(session.shape.layers)[-1]], "logits": layers[LOGITS]}
            different = [name for name, array in found.items() if not np.array_equal(array, outputs[name])]
            assert not different, f"{subject.id}: {different} are others where a run hands its states out"
            assert _distinct(layers), f"{subject.id}: a stage is shown twice"
    finally:
        harness.pool.release(session)


def _distinct(layers: Mapping[str, np.ndarray]) -> bool:
    arrays = [array for name, array in layers.items() if name != LOGITS]
    return all(not np.array_equal(one, other) for i, one in enumerate(arrays) for other in arrays[:i])


def test_outputs_are_added_to_a_file_by_its_own_offsets() -> None:
    """Outputs are added to a minimal FlatBuffer: a model of one table, whose subgraph has two outputs."""
    subgraph = struct.pack("<HHHHHxxiI", 10, 8, 0, 0, 4, 12, 4) + struct.pack("<Iii", 2, 7, 3)
    model = struct.pack("<IHHHHHxxiIII", 16, 10, 8, 0, 0, 4, 12, 4, 1, 4 + 12) + subgraph
    changed = _tflite.with_outputs(model, [5, 3, 5, 9])
    assert (_outputs(model), _outputs(changed)) == ([7, 3], [7, 3, 5, 9])
    different = {place for place, (one, other) in enumerate(zip(model, changed, strict=False)) if one != other}
    assert different <= set(range(48, 52)), "the offset of the outputs, and nothing else, is another"


def _outputs(content: bytes) -> list[int]:
    slot = _tflite._slot(content, _tflite._slot(content, 0, _tflite.SUBGRAPHS, element=0), _tflite.OUTPUTS)
    place = slot + _tflite._u32(content, slot)
    return list(struct.unpack_from(f"<{_tflite._u32(content, place)}i", content, place + 4))
