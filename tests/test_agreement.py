"""Every variant against the float64 reference of the same checkpoint, on real sentences of several lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.agreement import Agreement
from fixtures.isolation import Session
from fixtures.spec import Precision, Variant
from fixtures.workshop import Checkpoint


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
) -> None:
    """Logits and last hidden state, batch 1 unpadded and batch 16 padded, within the precision's tolerance."""
    violations = agreement[mode].violations(precision.tolerance, checkpoint.trained)
    assert not violations, (
        f"{variant.id}, {mode}: {'; '.join(violations)}; {diagnosis()}; origin of the bounds: {precision.tolerance.origin}"
    )
