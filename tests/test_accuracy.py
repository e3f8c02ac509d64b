"""What each variant costs on MRPC, against PyTorch f32 of the same fine-tuned checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.glue import Evaluation
from fixtures.spec import Precision, Variant


@pytest.mark.stage("accuracy")
@pytest.mark.variants(size="full")
def test_accuracy_holds(
    variant: Variant, precision: Precision, evaluation: Evaluation, record_property: Callable[[str, object], None]
) -> None:
    """Accuracy, F1 and flipped labels within the precision's bound."""
    for name, figure in evaluation.fields().items():
        record_property(name, figure)
    violations = evaluation.violations(precision.bound)
    assert not violations, (
        f"{variant.id}: {'; '.join(violations)} (SQNR of the logits {evaluation.sqnr_db:.1f} dB, exact McNemar "
        f"p = {evaluation.mcnemar_p:.3f}); origin of the bound: {precision.bound.origin}"
    )
