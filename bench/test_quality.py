"""What belongs beside a latency: agreement with the float64 reference and MRPC accuracy, each with its verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.accuracy import Evaluation
from fixtures.agreement import Agreement
from fixtures.spec import Precision, Variant
from fixtures.workshop import Checkpoint


@pytest.mark.stage("agreement")
def test_agreement(
    variant: Variant,
    precision: Precision,
    checkpoint: Checkpoint,
    agreement: dict[str, Agreement],
    row: Callable[..., None],
    diagnosis: Callable[[], str],
) -> None:
    """The worse of single rows and a padded batch goes into the table and must be within tolerance."""
    worst = min(agreement.values(), key=lambda found: found.logits_db)
    violations = [text for found in agreement.values() for text in found.violations(precision.tolerance, checkpoint.trained)]
    row(
        logits_db=worst.logits_db,
        hidden_db=worst.hidden_db,
        max_abs=worst.max_abs,
        cosine=worst.cosine,
        agreement_violations=violations,
    )
    assert not violations, f"{variant.id}: {'; '.join(violations)}; {diagnosis()}"


@pytest.mark.stage("accuracy")
def test_accuracy(variant: Variant, evaluation: Evaluation) -> None:
    """The variant does not surely lose more than the margin; a model of seeded weights has no accuracy."""
    assert not evaluation.violations, f"{variant.id}: {'; '.join(evaluation.violations)}"
