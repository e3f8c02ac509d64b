"""Compares one artifact on two CPUs: ``--save-outputs DIR`` on one machine, ``--expect-outputs DIR`` on another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.comparisons.cross_cpu import DIFFERENT, Difference
from fixtures.core.spec import Precision, Variant


@pytest.mark.phase("cpus")
@pytest.mark.option("save_outputs")
def test_outputs_are_saved(variant: Variant, record: Callable[[], None]) -> None:
    """Saves the artifact, inputs, outputs and hidden states, so that other machines can compare theirs."""
    record()


@pytest.mark.phase("cpus")
@pytest.mark.option("expect_outputs")
@pytest.mark.variants(recorded=True)
def test_outputs_are_those_of_another_cpu(variant: Variant, precision: Precision, elsewhere: Difference) -> None:
    """On this machine, the recorded artifact returns the recorded outputs within rounding."""
    assert elsewhere.kind != DIFFERENT, (
        f"{variant.id}: {elsewhere} (hidden state {elsewhere.hidden_db:.1f} dB); bound {precision.tolerance.cpus_db} dB"
    )
