"""Tests the verdicts on a loss of accuracy: exact limits, three verdicts, missing rows, F1's interval, evaluated rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fixtures.core.registry import load
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.harness.labelled_rows import Evaluated, difference, evaluated
from fixtures.metrics import binomial
from fixtures.metrics.accuracy import (
    FALSE_ALARM,
    FALSE_COMFORT,
    HOLDS,
    LOSES,
    MOST_ROWS,
    cost,
    f1_loss,
    more_rows,
    word,
)
from fixtures.metrics.arrays import Ints
from fixtures.metrics.evaluation import Evaluation, evaluate

#: One per cent of the default model's accuracy of 0.83.
ALLOWED = 0.0083


def region(rows: int, loss: float, level: float, most: int) -> Ints:
    """For 0, 1, ... ``most`` rows that became right: the fewest rows that became wrong for which the loss is surely more."""
    least, found = 0, []
    for better in range(most + 1):
        while least <= rows - better and not binomial.surely_more(least, better, rows, loss, level):
            least += 1
        found.append(least)
    return np.array(found)


def chance(least: Ints, rows: int, worse: float, better: float) -> float:
    """The probability of an outcome in the region, if rows become wrong and right with these probabilities (summed exactly)."""
    import scipy.stats  # takes half a second, which collection does not need

    gained = np.arange(len(least))
    lost = scipy.stats.binom.sf(least - 1, rows - gained, worse / (1 - better))
    return float((scipy.stats.binom.pmf(gained, rows, better) * lost).sum())


@pytest.mark.parametrize(
    ("rows", "allowed", "level"),
    [(240, ALLOWED, FALSE_ALARM), (408, ALLOWED, FALSE_ALARM), (408, 0.0, FALSE_ALARM), (408, -ALLOWED, FALSE_COMFORT)],
)
def test_no_more_are_wrong_than_the_level_says(rows: int, allowed: float, level: float) -> None:
    """At exactly the allowed loss, the error is at most the level and close to it, for all shares of flips up to 8 %."""
    least = region(rows, allowed, level, round(0.04 * rows) + 30)
    gains = max(0.0, -allowed) + np.array([0.0, *np.geomspace(1e-4, 0.04, 60)])
    errors = [chance(least, rows, gain + allowed, gain) for gain in gains]
    assert max(errors) <= level
    assert max(errors) > 0.8 * level, "a limit that is never wrong sees less than it could"


def test_losses_within_the_margin_are_rarer_still() -> None:
    """The error decreases for smaller losses, so the margin is the worst case."""
    least = region(408, ALLOWED, FALSE_ALARM, 60)
    errors = [chance(least, 408, 0.015 + loss, 0.015) for loss in (-0.01, 0.0, 0.004, ALLOWED)]
    assert errors == sorted(errors)


@pytest.mark.parametrize(("worse", "better", "rows"), [(0, 0, 408), (5, 5, 408), (14, 0, 408), (0, 6, 240), (30, 25, 2133)])
def test_the_word_is_what_the_limits_say(worse: int, better: int, rows: int) -> None:
    found = cost(worse, better, rows, ALLOWED)
    assert found.loss.low <= found.loss.estimate <= found.loss.high
    assert (found.word == LOSES) == (found.loss.low > ALLOWED)
    assert (found.word == HOLDS) == (found.loss.high < ALLOWED)
    assert binomial.lost(better, worse, rows, FALSE_COMFORT, FALSE_ALARM).high == pytest.approx(-found.loss.low)
    assert binomial.surely_more(worse, better, rows, found.loss.low - 1e-4, FALSE_ALARM)
    assert not binomial.surely_more(worse, better, rows, found.loss.low + 1e-4, FALSE_ALARM)


@pytest.mark.parametrize(("worse", "better"), [(408, 0), (0, 408), (204, 204), (0, 1), (407, 0)])
def test_limits_at_the_ends(worse: int, better: int) -> None:
    found = binomial.lost(worse, better, 408)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    assert found.high - found.low > 0.005


def test_more_flips_or_fewer_rows_tell_less() -> None:
    widths = [(found := binomial.lost(n, n, 408)).high - found.low for n in (0, 2, 5, 20, 60)]
    assert widths == sorted(widths)
    widths = [(found := binomial.lost(n // 40, n // 40, n)).high - found.low for n in (4000, 1720, 400, 240)]
    assert widths == sorted(widths)


def test_the_rows_that_are_missing_would_decide() -> None:
    """The reported number of additional rows suffices for a verdict at the same share of flips; fewer rows do not."""
    more = more_rows(6, 5, 408, ALLOWED)
    assert more is not None
    for rows, decided in ((408 + more, True), (408 + more * 4 // 5, False)):
        assert (word(round(6 * rows / 408), round(5 * rows / 408), rows, ALLOWED) != INCONCLUSIVE) is decided
    assert cost(0, 0, 408, ALLOWED).more is None, "there are enough"
    assert more_rows(408 * 2, 408, 49_164, 408 / 49_164) is None, f"the loss is the margin: {MOST_ROWS} rows would not tell"


def answers(labels: Ints, wrong: Ints) -> npt.NDArray[np.float64]:
    """Logits that are right except in the rows ``wrong``."""
    said = labels.copy()
    said[wrong] = 1 - said[wrong]
    return np.stack([1.0 - said, 1.0 * said], 1)


def judged(labels: Ints, logits: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64], **options: Any) -> Evaluation:
    """MRPC's evaluation of ``logits`` against those of the baseline."""
    own, base = logits.argmax(-1), baseline.argmax(-1)
    return evaluate(load().tasks["mrpc"], labels, own, base, logits, baseline, seconds=1.0, **options)


def test_flips_that_help_as_often_as_they_hurt_cost_nothing_that_is_sure() -> None:
    labels = np.array([0, 1] * 50)
    made = judged(labels, answers(labels, np.arange(50, 60)), answers(labels, np.arange(10)))
    assert (made.metrics["accuracy"], made.baseline_metrics["accuracy"], made.flips.estimate) == (0.9, 0.9, 0.2)
    assert made.flips.low == pytest.approx(0.127, abs=1e-3), "Clopper and Pearson, 20 of 100"
    assert (made.cost.loss.estimate, made.cost.word) == (0.0, INCONCLUSIVE)
    assert made.cost.margin == pytest.approx(0.009)
    assert made.cost.more is not None
    assert not made.violations


def test_a_sure_loss_fails_on_the_tasks_own_rows_only() -> None:
    labels = np.array([0, 1] * 204)
    wrong, base = answers(labels, np.arange(80, 110)), answers(labels, np.arange(0))
    made = judged(labels, wrong, base)
    (text,) = made.violations
    assert text.startswith("loses 7.35 [4.")
    assert text.endswith("] points, margin 1.00")
    assert not judged(labels, wrong, base, judged=False).violations
    assert not judged(labels, wrong, base, margin=0.2).violations
    fields = made.fields()
    assert fields["accuracy_word"] == LOSES
    assert fields["accuracy_loss_low"] > fields["accuracy_margin"] == 0.01
    assert json.loads(json.dumps(fields)) == fields, "only builtins, and no NaN"
    assert fields["flips"] == pytest.approx(30 / 408)


def test_f1_has_an_interval_that_holds_the_truth() -> None:
    """Of 400 samples of 408 rows with 4 % flips, 95 % of the intervals, minus three standard errors, contain the true loss."""
    shares = np.array([0.22, 0.01, 0.01, 0.08, 0.08, 0.004, 0.016, 0.58])
    label, before, after = (np.arange(8) >> shift & 1 for shift in (2, 1, 0))

    def f1(predicted: Ints) -> float:
        hit = shares[(label == 1) & (predicted == 1)].sum()
        return float(2 * hit / (shares[label == 1].sum() + shares[predicted == 1].sum()))

    truth, held, generator = f1(before) - f1(after), 0, np.random.default_rng(1)
    for _ in range(400):
        kinds = generator.choice(8, 408, p=shares)
        found = f1_loss(label[kinds], after[kinds], before[kinds])
        held += found.low <= truth <= found.high
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def test_f1_that_never_changed_may_yet() -> None:
    labels = np.array([0, 1] * 204)
    found = f1_loss(labels, labels, labels)
    assert found.estimate == 0
    assert found.low < -0.001 < 0.001 < found.high


def rows(number: int = 6) -> Evaluated:
    """Rows of ``number`` labels, with token ids of different lengths, padded."""
    lengths = 3 + np.arange(number) % 4
    mask = (np.arange(8) < lengths[:, None]).astype(np.int64)
    ids = {"input_ids": (100 + np.arange(number))[:, None] * mask, "attention_mask": mask}
    labelled = [{"text": "one", "pair": "two", "label": i % 2} for i in range(number)]
    return Evaluated(load().tasks["mrpc"], labelled, ["0", "1"], ids, {})


def test_rows_are_counted_and_hashed_without_their_padding() -> None:
    found = rows()
    expected = evaluated(found)

    def said(change: Callable[[Ints], Ints]) -> str:
        return difference(
            evaluated(replace(found, inputs={name: change(array) for name, array in found.inputs.items()})), expected
        )

    assert not said(lambda array: np.pad(array, ((0, 0), (0, 5))))
    assert difference(evaluated(replace(rows(4))), expected) == "accuracy is measured on 4 rows, the data have 6"
    exchanged = [{**row, "label": 1 - row["label"]} for row in found.rows]
    for other in (exchanged, [*found.rows[1:], found.rows[0]]):
        assert "are not those of the data" in difference(evaluated(replace(found, rows=other)), expected)
    assert "are not those of the data" in said(lambda array: array[[1, 0, *range(2, 6)]])
