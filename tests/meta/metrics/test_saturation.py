"""Tests that a file's quantizers may not clip a channel at most tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fixtures.core.arithmetic import OPENVINO_STATIC
from fixtures.core.encoder import Products
from fixtures.metrics.arrays import Float64s
from fixtures.metrics.saturation import clipped_channels

CHANNELS, TOKENS = 8, 40


class OneLayer:
    """The part of an encoder that the check uses: one stage of one dense layer."""

    stages = ("layer",)

    def step(self, stage: str, states: Any, inputs: Any, how: Products) -> Float64s:
        return how.dense("layer 0 output", states["before"], np.ones((3, CHANNELS)), np.zeros(3))


def said(x: Float64s, factors: list[float], smooth: bool = True) -> list[str]:
    """What is said of values ``x`` [tokens, channels] for a range of -1 to 1 after they were multiplied by ``factors``."""
    quantizer: dict[str, Any] = {"scale": 2 / 255, "zero_point": 128, "bits": 8, "signed": False}
    if smooth:
        quantizer["smooth"] = {"input": factors, "weights": [1 / factor for factor in factors]}
    scales = {"layer 0 output": {"kind": "static", "input": quantizer, "weights": {"scale": 1.0}}}
    return clipped_channels(OneLayer(), OPENVINO_STATIC, scales, {"before": x}, {})  # type: ignore[arg-type]


@pytest.fixture
def x() -> Float64s:
    return np.random.default_rng(0).uniform(-1, 1, (TOKENS, CHANNELS))


def test_factors_of_the_values_themselves_clip_nothing(x: Float64s) -> None:
    assert not said(x, [1.0] * CHANNELS)
    x[:, 3] *= 1000
    assert not said(x, [1.0] * 3 + [1e-3] + [1.0] * 4), "a large channel with its own factor"
    assert not said(x, [1.0] * CHANNELS, smooth=False), "a range for the whole tensor is not judged by channel"


def test_a_channel_whose_factor_is_that_of_zeros_is_named(x: Float64s) -> None:
    (found,) = said(x, [1.0] * 6 + [1e6] * 2)
    assert found == "layer 0 output: 2 channels of its input lie outside the range of their quantizer at most tokens"


def test_few_values_beyond_the_calibrated_range_are_no_error(x: Float64s) -> None:
    x[: TOKENS // 4] *= 10
    assert not said(x, [1.0] * CHANNELS)
