"""Compares every variant with the float64 reference of the same checkpoint, on real sentences of several lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.core.errors import RemoteError
from fixtures.core.hidden_states import LOGITS, norms
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Precision, Variant
from fixtures.harness.assessment import PADDED, SINGLE, Assessment
from fixtures.harness.session import Session
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import ArrayDict


@pytest.mark.phase("agreement")
def test_every_stage_is_right(variant: Variant, assessment: Assessment, record_property: Callable[[str, object], None]) -> None:
    """Embeddings, each attention and feed-forward block and the head are correct, given the variant's previous stage."""
    for name, figure in assessment.fields().items():
        record_property(name, figure)
    violations = assessment.violations()
    assert not violations, f"{variant.id}: {'; '.join(violations)}"


@pytest.mark.phase("agreement")
@pytest.mark.parametrize("mode", [SINGLE, PADDED])
def test_agrees_with_the_reference(mode: str, variant: Variant, assessment: Assessment) -> None:
    """Logits and last hidden state agree with float64 as closely as the declared arithmetic does.

    Run with batch 1 unpadded and with batch 16 padded.
    """
    violations = assessment.violations(mode)
    assert not violations, f"{variant.id}, {mode}: {'; '.join(violations)}"


@pytest.mark.phase("invariance")
@pytest.mark.variants(stands_for_all=True)
def test_layers_lead_to_the_outputs(variant: Variant, precision: Precision, session: Session, probes: ArrayDict) -> None:
    """The last hidden state and the logits that ``layers`` returns are those of an ordinary run, behind all that it shows."""
    shown = REGISTRY.backends[variant.backend].shows(session.shape.layers)
    if not shown:
        with pytest.raises(RemoteError, match=f"{variant.backend} does not show what its layers compute"):
            session.layers(probes)
        return
    layers, outputs = session.layers(probes), session.run(probes)
    assert list(layers) == shown, f"{variant.id}: {list(layers)}"
    real = probes["attention_mask"].astype(bool)
    last = layers[norms(session.shape.layers)[-1]]
    hidden = sqnr(outputs["last_hidden_state"][real], last[real])
    logits = sqnr(outputs["logits"], layers[LOGITS])
    bound = precision.tolerance.invariance_db
    assert min(hidden, logits) >= bound, f"{variant.id}: hidden {hidden:.1f} dB, logits {logits:.1f} dB, bound {bound} dB"
