"""Tests the number of operations in a forward pass, and the fit of latency over the sequence length."""

from __future__ import annotations

import pytest

from fixtures.core.spec import Shape
from fixtures.report.tables.grid import fit
from fixtures.timing.roofline import flops


def test_the_arithmetic_of_bert_base() -> None:
    """BERT base has 22.4 GFLOP at 128 tokens: 2 x 85.0 M encoder weights x 128, and 4 x 12 x 128^2 x 768 for attention."""
    bert = Shape(12, 12, 768, 3072, 30522, 512, 0, ("input_ids",))
    assert flops(bert, 1, 128) == pytest.approx(2 * 84.93e6 * 128 + 4 * 12 * 128**2 * 768 + 2 * 768**2, rel=1e-3)
    assert flops(bert, 8, 128) == pytest.approx(8 * flops(bert, 1, 128))


def test_growth_with_the_sequence_is_taken_apart() -> None:
    lengths = (8, 32, 128, 512)
    assert fit(lengths, [2 + 0.1 * n + 1e-4 * n * n for n in lengths]) == pytest.approx((2, 0.1, 1e-4), rel=1e-6)
