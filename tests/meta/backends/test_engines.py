"""PyTorch's quantized engine is chosen by trying it: the notes' NoQEngine, and what cures it, wherever the suite runs."""

from __future__ import annotations

import pytest

from fixtures.harness.harness import Harness

pytestmark = [pytest.mark.intel, pytest.mark.arm]


@pytest.mark.backend("pytorch")
def test_no_engine_is_the_notes_failure_and_one_that_works_is_found(harness: Harness) -> None:
    """ "Didn't find engine for operation quantized::linear_prepack NoQEngine", then 8-bit products."""
    found = harness.pool.call("engines", "tests.support.engines:product")["value"]
    assert "NoQEngine" in found["before"], found
    assert found["engine"] in {"intel": ("x86", "fbgemm", "onednn"), "arm": ("qnnpack", "onednn")}[harness.target.marker]
    assert found["after"] < 0.05, found
