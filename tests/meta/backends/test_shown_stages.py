"""Tests that a runtime that shows some stages only is judged by those whose inputs it shows too: CTranslate2 by its head."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fixtures.backends.ctranslate2 import HEAD
from fixtures.core.families import family_of
from fixtures.core.hidden_states import LOGITS, stages
from fixtures.core.registry import REGISTRY, load
from fixtures.core.spec import Variant
from fixtures.harness.assessment import PADDED, Assessment, Yardsticks, assess
from fixtures.harness.harness import Harness

load()
CELLS = [
    pytest.param(Variant(model, "tiny", "ctranslate2", precision), id=f"{model}-{precision}")
    for model in ("bert-base-cased", "distilbert-base-cased", "roberta-base")
    for precision in ("f32", "int8_dynamic")
]


@pytest.mark.parametrize("family", ["bert", "mobilebert", "deberta-v2"])
def test_what_can_be_computed_from_what_is_shown_is_judged(family: str) -> None:
    """All stages of an encoder that shows all, the head of one that shows what it reads, and no stage without its input."""
    model = next(model for model in REGISTRY.models.values() if model.family == family)
    encoder = family_of({"model_type": family, **model.config, **model.tiny}).defined({})
    every = encoder.stages
    assert encoder.recomputed(every) == every
    assert encoder.recomputed(every[-2:]) == [LOGITS]
    assert encoder.recomputed([LOGITS]) == encoder.recomputed([]) == []


def test_backends_show_all_stages_or_none_or_say_which() -> None:
    shown = {name: backend.shows(2) for name, backend in REGISTRY.backends.items()}
    assert shown["pytorch"] == stages(2)
    assert shown["onnxruntime_keras2onnx"] == []
    assert [name for name, found in shown.items() if found not in ([], stages(2))] == ["ctranslate2"]


def _assessed(harness: Harness, variant: Variant, artifact: Path) -> Assessment:
    probes, yardsticks = harness.probes(variant.model, variant.size), Yardsticks(harness)
    reference = harness.reference(variant.model, variant.size)
    shape, meta = harness.checkpoint(variant.model, variant.size).shape, harness.artifact(variant).meta
    session = harness.pool.session(variant, artifact, meta, shape, 1)
    try:
        return assess(yardsticks.of(variant, probes, None), yardsticks.of(variant, probes, None, reference), session, reference)
    finally:
        harness.pool.release(session)


@pytest.mark.slow
@pytest.mark.backend("ctranslate2")
@pytest.mark.parametrize("cell", CELLS)
def test_a_head_without_its_bias_is_found_by_its_stage(harness: Harness, cell: Variant, tmp_path: Path) -> None:
    """The head is right in a right build, and named in one whose encoder is right and whose head lacks a bias."""
    from safetensors.numpy import load_file, save_file

    right = harness.artifact(cell).path
    found = _assessed(harness, cell, right)
    assert [finding.stage for finding in found.stages] == [LOGITS]
    assert not found.violations() + found.violations(PADDED)
    wrong = tmp_path / "artifact"
    shutil.copytree(right, wrong)
    weights = load_file(str(right / HEAD))
    (bias,) = (name for name in weights if name.startswith("classifier.") and name.endswith("bias") and "dense" not in name)
    save_file({**weights, bias: np.zeros_like(weights[bias])}, str(wrong / HEAD))
    (violation, *remarks) = _assessed(harness, cell, wrong).violations()
    assert violation.startswith("logits: ")
    assert any("the classifier's bias were missing" in remark for remark in remarks), remarks
