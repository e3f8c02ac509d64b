"""The same artifact on another CPU: ``--save-outputs DIR`` on one machine, ``--expect-outputs DIR`` on another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.comparisons.cross_cpu import DIFFERENT, Difference
from fixtures.core.spec import Precision, Variant


@pytest.mark.phase("cpus")
@pytest.mark.option("save_outputs")
def test_outputs_are_saved(variant: Variant, record: Callable[[], None]) -> None:
    """Artifact, inputs, outputs and layers, for other machines to compare with."""
    record()


@pytest.mark.phase("cpus")
@pytest.mark.option("expect_outputs")
@pytest.mark.variants(recorded=True)
def test_outputs_are_those_of_another_cpu(variant: Variant, precision: Precision, elsewhere: Difference) -> None:
    """The recorded artifact gives the recorded outputs here, but for rounding."""
    assert elsewhere.kind != DIFFERENT, (
        f"{variant.id}: {elsewhere} (hidden state {elsewhere.hidden_db:.1f} dB); bound {precision.tolerance.cpus_db} dB"
    )
