"""Tests how often each verdict on accuracy occurs, on simulated rows.

bench/accuracy_characteristics.py prints the whole table. The bounds are those that a count of the allowed rate exceeds once in
1,000 times (binomial); seeds are fixed.
"""

from __future__ import annotations

import pytest

from bench.accuracy_characteristics import ACCURACY, words
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.metrics.accuracy import FALSE_ALARM, FALSE_COMFORT, HOLDS, LOSES
from fixtures.options.comparison import MARGIN
from tests.meta.timing.test_operating_characteristics import least, most

NUMBER = 400


@pytest.mark.slow
@pytest.mark.parametrize("rows", [240, 408, 1725])
@pytest.mark.parametrize("changed", [0.005, 0.0125, 0.03])
def test_a_loss_within_the_margin_is_no_failure(rows: int, changed: float) -> None:
    """A loss equal to the margin, where false failures are most frequent, with fewer and more flips than int8's 2 to 3 %."""
    assert words(MARGIN * ACCURACY, rows, NUMBER, changed).count(LOSES) <= most(FALSE_ALARM, NUMBER)


@pytest.mark.parametrize("rows", [408, 1725])
def test_no_loss_is_hardly_ever_a_failure(rows: int) -> None:
    assert words(0.0, rows, NUMBER).count(LOSES) <= most(0.001, NUMBER)


@pytest.mark.parametrize("loss", [MARGIN * ACCURACY, 0.02])
def test_a_loss_beyond_the_margin_seldom_holds(loss: float) -> None:
    assert words(loss, 1725, NUMBER).count(HOLDS) <= most(FALSE_COMFORT, NUMBER)


def test_enough_rows_tell() -> None:
    """10,000 rows decide what 408 cannot: no loss is ``holds``, and three points are ``loses``.

    1,725 rows detect a loss of three points in 90 % of cases.
    """
    assert words(0.0, 408, NUMBER).count(INCONCLUSIVE) >= least(0.5, NUMBER)
    assert words(0.0, 10_000, 100).count(HOLDS) >= least(0.99, 100)
    assert words(0.03, 10_000, 100).count(LOSES) == 100
    assert words(0.03, 1725, NUMBER).count(LOSES) >= least(0.9, NUMBER)
