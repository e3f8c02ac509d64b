"""Tests what is read of NNCF's changes to a model, and that OpenVINO is imported without its telemetry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.backends._openvino_nncf import CODES, coded, inverse, ulps
from fixtures.harness.harness import Harness


@given(st.integers(0, 2**16))
def test_the_factors_of_weights_follow_from_the_codes(seed: int) -> None:
    """With the factors found, the weights of the checkpoint have exactly the codes of the file."""
    random = np.random.default_rng(seed)
    factors = np.exp(random.normal(size=48)).astype(np.float32)
    weights = random.normal(size=(96, 48)).astype(np.float32)
    codes, largest = coded(weights * factors)
    in_the_file = (np.float32(1) / factors).astype(np.float32)
    found = inverse(in_the_file, ulps(in_the_file, weights, codes, largest / np.float32(CODES)))
    assert np.array_equal(coded(weights * found)[0], codes)


def test_factors_that_the_file_loses_are_found() -> None:
    """Where 1 / (1 / s) is not s, a weight that lies between two codes tells which of the neighbours s is."""
    factors = np.linspace(0.5, 2, 2000, dtype=np.float32)
    in_the_file = (np.float32(1) / factors).astype(np.float32)
    lost = np.flatnonzero(inverse(in_the_file, {}) != factors)
    assert len(lost) > 100
    # One code apart from the range's end, and one value each whose code one unit in the last place decides.
    weights = np.ones((1, len(factors)), np.float32) / factors
    for channel in lost:
        for near in np.nextafter(np.float32(0.503937) / factors[channel], np.array([0, 1], np.float32)):
            weights[0, channel] = near
            codes, largest = coded(weights * factors)
            found = ulps(in_the_file, weights, codes, largest / np.float32(CODES))
            assert np.array_equal(coded(weights * inverse(in_the_file, found))[0], codes)


@pytest.mark.backend("openvino")
def test_no_telemetry_is_imported(harness: Harness) -> None:
    found = harness.pool.call("openvino", "tests.support.newer_quantizers:telemetry")["value"]
    assert found == {"openvino_telemetry": False, "stub": True}
