"""Compares each variant's accuracy on MRPC with that of PyTorch f32 on the same fine-tuned checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.core.spec import Variant
from fixtures.metrics.evaluation import Evaluation


@pytest.mark.phase("accuracy")
@pytest.mark.variants(size="full")
def test_accuracy_holds(variant: Variant, evaluation: Evaluation, record_property: Callable[[str, object], None]) -> None:
    """The loss of accuracy does not certainly exceed the margin. On the generated stand-in data it is only reported."""
    for name, figure in evaluation.fields().items():
        record_property(name, figure)
    assert not evaluation.violations, f"{variant.id}: {'; '.join(evaluation.violations)}"
