"""Every variant against the float64 reference of the same checkpoint, on real sentences of several lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.core.errors import RemoteError
from fixtures.core.hidden_states import LOGITS, norms, stages
from fixtures.core.registry import REGISTRY, Backend
from fixtures.core.spec import Precision, Variant
from fixtures.harness.assessment import PADDED, SINGLE, Assessment
from fixtures.harness.session import Session
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import ArrayDict


@pytest.mark.phase("agreement")
def test_every_stage_is_right(variant: Variant, assessment: Assessment, record_property: Callable[[str, object], None]) -> None:
    """Embeddings, every attention and feed-forward block and the head, each from the variant's own stage before it."""
    for name, figure in assessment.fields().items():
        record_property(name, figure)
    violations = assessment.violations()
    assert not violations, f"{variant.id}: {'; '.join(violations)}"


@pytest.mark.phase("agreement")
@pytest.mark.parametrize("mode", [SINGLE, PADDED])
def test_agrees_with_the_reference(mode: str, variant: Variant, assessment: Assessment) -> None:
    """Logits and last hidden state, batch 1 unpadded and batch 16 padded, are as near to float64 as the declared arithmetic."""
    violations = assessment.violations(mode)
    assert not violations, f"{variant.id}, {mode}: {'; '.join(violations)}"


@pytest.mark.phase("invariance")
def test_layers_lead_to_the_outputs(variant: Variant, precision: Precision, session: Session, probes: ArrayDict) -> None:
    """What is judged stage by stage is what the variant computes: its last layer and its logits are those of a run."""
    cls = REGISTRY.backends[variant.backend]
    if cls.layers is Backend.layers:
        with pytest.raises(RemoteError, match=f"{variant.backend} does not show what its layers compute"):
            session.layers(probes)
        return
    layers, outputs = session.layers(probes), session.run(probes)
    assert list(layers) == stages(session.shape.layers), f"{variant.id}: {list(layers)}"
    real = probes["attention_mask"].astype(bool)
    last = layers[norms(session.shape.layers)[-1]]
    hidden = sqnr(outputs["last_hidden_state"][real], last[real])
    logits = sqnr(outputs["logits"], layers[LOGITS])
    bound = precision.tolerance.invariance_db
    assert min(hidden, logits) >= bound, f"{variant.id}: hidden {hidden:.1f} dB, logits {logits:.1f} dB, bound {bound} dB"
