"""What failed for people on the way to a runtime: in this stack it works, or the table of known failures says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.harness.harness import Harness


@pytest.mark.phase("trial")
@pytest.mark.parametrize("trial", sorted(REGISTRY.trials))
def test_trial(trial: str, harness: Harness, tmp_path: Path) -> None:
    harness.attempt(REGISTRY.trials[trial], tmp_path)
