"""Every variant against the float64 reference of the same checkpoint, on real sentences of several lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest

from fixtures.agreement import Agreement, sqnr
from fixtures.errors import RemoteError
from fixtures.isolation import Session
from fixtures.registry import REGISTRY, Backend
from fixtures.spec import Precision, Variant
from fixtures.stages import LOGITS, norms, stages
from fixtures.workshop import Arrays, Checkpoint


@pytest.mark.stage("agreement")
@pytest.mark.parametrize("mode", ["single", "padded"])
def test_agrees_with_the_reference(
    mode: str,
    variant: Variant,
    precision: Precision,
    session: Session,
    agreement: dict[str, Agreement],
    checkpoint: Checkpoint,
    diagnosis: Callable[[], str],
    record_property: Callable[[str, object], None],
) -> None:
    """Logits and last hidden state, batch 1 unpadded and batch 16 padded, within the precision's tolerance."""
    for name, figure in asdict(agreement[mode]).items():
        record_property(name, figure)
    violations = agreement[mode].violations(precision.tolerance, checkpoint.trained)
    assert not violations, (
        f"{variant.id}, {mode}: {'; '.join(violations)}; {diagnosis()}; origin of the bounds: {precision.tolerance.origin}"
    )


@pytest.mark.stage("invariance")
def test_layers_lead_to_the_outputs(variant: Variant, precision: Precision, session: Session, probes: Arrays) -> None:
    """What diagnosis compares is what the variant computes: its last layer and its logits are those of a run."""
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
