"""Tests intervals of a ratio: how often they contain the true ratio, and the combined error of a ratio of ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fixtures.metrics.intervals import Ratio, paired_t_interval, welch_interval


def test_the_interval_over_processes_holds_the_truth_as_often_as_it_says() -> None:
    """Of 600 intervals over six pairs with outliers, at most 5 % plus three deviations miss the true ratio."""
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 0.01, (600, 6)) * generator.choice([1, 4], (600, 6), p=[0.95, 0.05])
    missed = sum(not (found := paired_t_interval(list(sample))).low <= 1.0 <= found.high for sample in noise)
    assert missed <= 46
    assert paired_t_interval([0.0]).high == math.inf


def test_the_interval_over_visits_does_too() -> None:
    """Of 6,000 intervals over visits, at most 5.6 % plus three deviations miss the true ratio.

    Each has three visits of one variant and three of another that varies four times as much. Of 200,000, Welch's interval
    misses 5.6 %; one with pooled variances misses 8.3 %.
    """
    generator = np.random.default_rng(3)
    first, second = generator.normal(0, 0.01, (6000, 3)), generator.normal(0, 0.04, (6000, 3))
    pairs = zip(first, second, strict=True)
    missed = sum(not (found := welch_interval(list(one), list(two))).low <= 1.0 <= found.high for one, two in pairs)
    assert missed <= 6000 * 0.056 + 3 * math.sqrt(6000 * 0.056)
    assert welch_interval([0.0], [0.0, 0.0]).high == math.inf
    assert welch_interval([0.0] * 3, [0.0] * 3) == Ratio(1.0, 1.0, 1.0)


def test_a_ratio_of_ratios_has_both_errors() -> None:
    once = Ratio(1.1, 1.1 / 1.03, 1.1 * 1.03)
    twice = once / Ratio(1.1, 1.1 / 1.04, 1.1 * 1.04)
    assert twice.estimate == pytest.approx(1.0)
    assert math.log(twice.high) == pytest.approx(math.hypot(math.log(1.03), math.log(1.04)))
    assert (once / Ratio(1.1, 0.0, math.inf)).high == math.inf
