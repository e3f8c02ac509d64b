"""Runs the steps that failed for users in 2021: each works with this stack or is in the table of known failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.harness.harness import Harness


@pytest.mark.phase("trial")
@pytest.mark.parametrize("trial", sorted(REGISTRY.trials))
def test_trial(trial: str, harness: Harness, tmp_path: Path) -> None:
    harness.attempt(REGISTRY.trials[trial], tmp_path)
