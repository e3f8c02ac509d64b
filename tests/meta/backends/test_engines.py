"""Tests that PyTorch's quantized engine is chosen by trying it, and reproduces the NoQEngine failure of 2021 on any CPU."""

from __future__ import annotations

import pytest

from fixtures.harness.harness import Harness

pytestmark = [pytest.mark.intel, pytest.mark.arm]


@pytest.mark.backend("pytorch")
def test_no_engine_is_the_notes_failure_and_one_that_works_is_found(harness: Harness) -> None:
    """Without an engine: "Didn't find engine for operation quantized::linear_prepack NoQEngine"; with one: 8-bit products."""
    found = harness.pool.call("engines", "tests.support.engines:product")["value"]
    assert "NoQEngine" in found["before"], found
    assert found["engine"] in {"intel": ("x86", "fbgemm", "onednn"), "arm": ("qnnpack", "onednn")}[harness.target.marker]
    assert found["after"] < 0.05, found
