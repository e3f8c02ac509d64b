"""Compares every variant in the stack that ``--compare`` names with the same in this stack; on request (``-m stacks``).

A difference is a finding, not a failure. A variant that is installed and fails must be a known failure.
"""

from __future__ import annotations

import pytest

from fixtures.comparisons import stacks
from fixtures.comparisons.comparison import Baseline
from fixtures.core.errors import SuiteError
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.options.settings import Settings
from fixtures.report.tables.stacks import EVENT, upgrades
from fixtures.timing import stopping


@pytest.mark.against
@pytest.mark.stacks
def test_stack(harness: Harness, variant: Variant, other: Baseline, settings: Settings) -> None:
    """Records the differences in outputs, labels, size and latency; fails for a failure that is not known."""
    before = other.harness
    if not other.elsewhere:
        raise SuiteError(f"--compare {other.text}: to compare stacks, name another environment's Python")
    found = stacks.change(before, harness, variant)
    figures = found.fields()
    if found.state == stacks.BOTH:
        result = other.measure(variant, stopping.of(settings.comparing), settings.comparing.budget)
        ratio = result.ratio
        figures.update(ratio=ratio.estimate, ratio_low=ratio.low, ratio_high=ratio.high, unstable=result.unstable)
    versions = upgrades(before.toolchain.installed, harness.toolchain.installed)
    harness.store.record(EVENT, variant=variant.id, versions=versions, **figures)
    wrong = [f"{where}: {why}" for where, why in zip((other.text, "this stack"), found.unexplained, strict=True) if why]
    assert not wrong, f"{variant.id} in {'; '.join(wrong)}"
