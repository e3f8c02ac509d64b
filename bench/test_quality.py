"""Tests agreement with the float64 reference and accuracy on MRPC, which the table shows beside the latency."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.core.spec import Variant
from fixtures.harness.assessment import PADDED, SINGLE, Assessment
from fixtures.metrics.evaluation import Evaluation


@pytest.mark.phase("agreement")
def test_agreement(variant: Variant, assessment: Assessment, row: Callable[..., None]) -> None:
    """Every stage, and the outputs of single rows and of a padded batch, agree with the declared arithmetic."""
    violations = [text for mode in (None, SINGLE, PADDED) for text in assessment.violations(mode)]
    row(**assessment.fields(), agreement_violations=violations)
    assert not violations, f"{variant.id}: {'; '.join(violations)}"


@pytest.mark.phase("accuracy")
def test_accuracy(variant: Variant, evaluation: Evaluation) -> None:
    """The variant does not surely lose more accuracy than the margin; skipped for a model that has not learnt the task."""
    assert not evaluation.violations, f"{variant.id}: {'; '.join(evaluation.violations)}"
