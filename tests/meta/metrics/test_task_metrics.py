"""Tests the metrics of tasks: weights stand for repeated rows, and verdicts on simulated rows are seldom wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.metrics import accuracy, resampling
from fixtures.metrics.accuracy import FALSE_ALARM, FALSE_COMFORT, HOLDS, LOSES
from fixtures.metrics.row_figures import normalized
from fixtures.metrics.task_metrics import METRICS, cost, loss
from tests.meta.timing.test_operating_characteristics import most

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ANSWERS = ["", "the Senate", "Senate", "in Chicago", "Chicago, Illinois", "$2.50 million"]
#: Kinds of tasks, for each the metrics.
KINDS = {
    "binary": ["accuracy", "f1", "macro_f1", "mcc", "top1"],
    "classes": ["accuracy", "macro_f1", "mcc", "top1"],
    "regression": ["pearson", "spearman"],
    "tags": ["entity_f1", "token_accuracy"],
    "answers": ["exact_match", "qa_f1"],
    "rankings": ["ndcg@10", "recall@1", "recall@10", "mrr@10"],
    "likelihoods": ["pseudo_perplexity"],
}
#: Number of simulated data sets and of rows in each.
NUMBER, ROWS = 200, 400
#: From shares of rows that change to labels, own predictions and base's.
Population = Callable[..., tuple[Any, Any, Any]]


def some(kind: str, rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """Random labels and predictions."""
    if kind in ("binary", "classes"):
        drawn = rng.integers(2 if kind == "binary" else 4, size=(2, rows))
        return drawn[0], drawn[1]
    if kind == "regression":  # with ties
        return rng.integers(6, size=rows) / 2.0, np.round(rng.normal(size=rows), 1)
    if kind == "tags":
        lengths = rng.integers(1, 7, size=rows)
        labels, predictions = ([[TAGS[tag] for tag in rng.integers(5, size=length)] for length in lengths] for _ in range(2))
        return labels, predictions
    if kind == "answers":
        accepted = [[ANSWERS[one] for one in rng.integers(1, 6, size=number)] for number in rng.integers(3, size=rows)]
        return accepted, [ANSWERS[one] for one in rng.integers(6, size=rows)]
    if kind == "rankings":
        relevant = [{int(one): float(rng.integers(1, 4)) for one in rng.integers(15, size=3)} for _ in range(rows)]
        return relevant, np.stack([rng.permutation(15)[:12] for _ in range(rows)])
    return None, np.stack([rng.gamma(2.0, 3.0, rows), rng.integers(1, 9, rows)], 1)


def picked(values: Any, rows: Any) -> Any:
    return values if values is None else values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 12))
@pytest.mark.filterwarnings("ignore:An input array is nearly constant", "ignore:A single label was found")
def test_weights_are_repeated_rows(kind: str, name: str, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predictions = some(kind, rng, rows)
    weights = rng.integers(0, 3, size=(3, rows)).astype(np.float64)
    weights[:, rng.integers(rows)] += 2  # scipy wants two rows
    found = METRICS[name].resampled(labels, predictions, weights)
    for draw, times in zip(found, weights, strict=True):
        again = np.repeat(np.arange(rows), times.astype(int))
        expected = METRICS[name].measure(picked(labels, again), picked(predictions, again))
        assert draw == pytest.approx(expected, abs=1e-9), (name, times)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names])
def test_perfect_predictions(kind: str, name: str) -> None:
    """They give 1, with limits of a loss that contain 0 and have a width."""
    metric, (labels, predictions) = METRICS[name], some(kind, np.random.default_rng(1), 300)
    if kind == "answers":
        predictions = [texts[0].upper() + " ." if texts else "" for texts in labels]
    elif kind == "rankings":
        labels = [{row % 12: 2.0} for row in range(300)]
        predictions = np.array([[row % 12, *(set(range(12)) - {row % 12})] for row in range(300)])
    elif kind == "likelihoods":
        predictions = np.array([[0.0, 5.0]] * 299 + [[0.1, 5.0]])
    else:
        predictions = labels
    assert metric.measure(labels, predictions) == pytest.approx(1, abs=1e-3)
    found = loss(metric, labels, predictions, predictions)
    assert found.estimate == 0
    # The added row has base's error, and base has none; or it changes as much as another did, and none has changed.
    if name in ("pearson", "spearman", "pseudo_perplexity"):
        assert found.low <= 0 <= found.high
    else:
        assert found.low < 0 < found.high


def test_constant_predictions_do_not_correlate() -> None:
    labels, constant = np.arange(5.0), np.full(5, 0.1)
    for name in ("pearson", "spearman"):
        assert METRICS[name].measure(labels, constant) == 0.0
        assert METRICS[name].resampled(labels, constant, np.full((1, 5), 0.3))[0] == 0.0


def test_answers_as_squad_has_them() -> None:
    """Worked by hand from the definition in evaluate-v2.0.py."""
    assert normalized(" The  Denver-Broncos, a team!") == "denverbroncos team"
    for accepted, given_, exact, f1 in (
        (["Denver Broncos", "The Broncos"], "the broncos", 1, 1),
        (["Denver Broncos"], "Broncos of Denver Colorado", 0, 2 / 3),
        ([], "", 1, 1),
        ([], "Denver", 0, 0),
        (["Denver"], "", 0, 0),
    ):
        assert METRICS["exact_match"].measure([accepted], [given_]) == exact
        assert METRICS["qa_f1"].measure([accepted], [given_]) == pytest.approx(f1)


def test_accuracy_keeps_the_exact_test() -> None:
    rng = np.random.default_rng(3)
    labels, base = rng.integers(2, size=(2, 408))
    own = np.where(rng.random(408) < 0.03, 1 - base, base)
    worse, better = int(((base == labels) & (own != labels)).sum()), int(((base != labels) & (own == labels)).sum())
    assert cost(METRICS["accuracy"], labels, own, base, 0.008) == accuracy.cost(worse, better, 408, 0.008)
    assert loss(METRICS["accuracy"], labels, own, base) == accuracy.cost(worse, better, 408, 0.008).loss


def test_verdicts() -> None:
    rng = np.random.default_rng(4)
    labels = rng.uniform(0, 5, 1000)
    base = labels + rng.normal(0, 0.5, 1000)
    said = [cost(METRICS["spearman"], labels, own, base, 0.01).word for own in (base, base + rng.normal(0, 2, 1000))]
    assert said == [HOLDS, LOSES]
    assert cost(METRICS["spearman"], labels[:30], base[:30], base[:30], 0.01).word == INCONCLUSIVE
    worse = np.stack([np.full(500, 12.0), np.full(500, 10.0)], 1)
    assert cost(METRICS["pseudo_perplexity"], None, worse, worse - [2.0, 0.0], 0.1).word == LOSES


@pytest.mark.parametrize("change", ["every word", "heavy tails", "one word in 150"])
def test_limits_of_pseudo_perplexity(change: str) -> None:
    """Of 100 sets of 500 words whose true loss is the limit, no more err than one draw in 2,000 of such sets would have."""
    rng = np.random.default_rng(8)

    def drawn(words: int) -> tuple[Any, Any]:
        base, noise = rng.gamma(0.7, 3.0, words), rng.normal(0.02, 0.1, words)
        rare = rng.normal(0, 0.02, words) + 5.0 * (rng.random(words) < 1 / 150)
        return base, base + {"every word": noise, "heavy tails": 0.05 * rng.standard_t(2.5, words), "one word in 150": rare}[
            change
        ]

    base, own = drawn(400_000)
    true, alarms, comforts = np.exp(own.mean()) - np.exp(base.mean()), 0, 0
    for _ in range(100):
        before, after = (np.stack([values, np.ones(500)], 1) for values in drawn(500))
        found = loss(METRICS["pseudo_perplexity"], None, after, before, draws=400)
        alarms, comforts = alarms + (found.low > true), comforts + (found.high < true)
    assert alarms <= 5, f"{alarms} lower limits of 100 are above the true loss, where 1 % may be"
    assert comforts <= 13, f"{comforts} upper limits of 100 are below the true loss, where 5 % may be"


def test_no_rows() -> None:
    with pytest.raises(ValueError, match="f1 of 0 and 0 rows"):
        loss(METRICS["f1"], np.array([], int), np.array([], int), np.array([], int))


def test_draws_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    labels, own, base = rng.normal(size=(3, 50))
    whole = loss(METRICS["pearson"], labels, own, base, draws=400)
    monkeypatch.setattr(resampling, "CELLS", 999)
    assert loss(METRICS["pearson"], labels, own, base, draws=400) == whole


def changed_classes(worse: float, better: float) -> tuple[Any, Any, Any]:
    """A population of MRPC's shares of labels in which ``worse`` of the rows become wrong and ``better`` become right."""
    kinds = {
        (1, 1, 1): 0.6 - worse, (1, 1, 0): worse, (1, 0, 1): better, (1, 0, 0): 0.07 - better,
        (0, 0, 0): 0.25 - worse / 2, (0, 0, 1): worse / 2, (0, 1, 0): better / 2, (0, 1, 1): 0.08 - better / 2,
    }  # fmt: skip
    numbers = [round(10_000 * share) for share in kinds.values()]
    labels, base, own = np.repeat(np.array(list(kinds)), numbers, 0).T
    return labels, own, base


def changed_numbers(noise: float) -> tuple[Any, Any, Any]:
    """A population of labels as in STS-B, with predictions of a correlation of 0.87 and others that differ by ``noise``."""
    rng = np.random.default_rng(6)
    labels = np.round(rng.uniform(0, 5, 10_000), 1)
    base = labels + rng.normal(0, 0.8, 10_000)
    return labels, base + rng.normal(0, noise, 10_000), base


def changed_rankings(down: float, up: float) -> tuple[Any, Any, Any]:
    """A population of queries with one relevant document, whose rank falls for ``down`` of them and rises for ``up``."""
    rng = np.random.default_rng(7)
    before = np.minimum(rng.geometric(0.45, 10_000) - 1 + 12 * (rng.random(10_000) < 0.1), 15)
    after = before + (rng.random(10_000) < down) * rng.integers(1, 4, 10_000)
    after = np.maximum(after - (rng.random(10_000) < up), 0)
    own, base = (np.where(np.arange(10) == ranks[:, None], 0, 1) for ranks in (after, before))
    return [{0: 1.0}] * 10_000, own, base


@pytest.mark.parametrize(
    ("name", "number", "population", "changes"),
    [
        *[(name, NUMBER, changed_classes, shares) for name in ("f1", "mcc") for shares in ((0.0185, 0.0125), (0.006, 0.0))],
        ("spearman", NUMBER // 3, changed_numbers, (0.25,)),
        ("ndcg@10", NUMBER // 3, changed_rankings, (0.03, 0.005)),
    ],
)
def test_errors_are_as_rare_as_promised(name: str, number: int, population: Population, changes: tuple[float, ...]) -> None:
    """At the least favourable margin, the true loss itself, neither verdict comes too often.

    Bounds are those that a count of the allowed rate exceeds once in 1,000 times (binomial).
    """
    metric, rng = METRICS[name], np.random.default_rng(8)
    labels, own, base = population(*changes)
    margin = metric.measure(labels, base) - metric.measure(labels, own)
    found = []
    for seed in range(number):
        rows = rng.integers(len(own), size=ROWS)
        found.append(loss(metric, picked(labels, rows), own[rows], base[rows], draws=400, seed=seed))
    assert sum(one.low > margin for one in found) <= most(FALSE_ALARM, number)
    assert sum(one.high <= margin for one in found) <= most(FALSE_COMFORT, number)


def test_a_clear_loss_is_seen() -> None:
    for name, (labels, own, base) in (
        ("f1", changed_classes(0.1, 0.01)),
        ("spearman", changed_numbers(0.7)),
        ("ndcg@10", changed_rankings(0.4, 0.0)),
    ):
        rows = np.random.default_rng(9).integers(len(own), size=ROWS)
        assert loss(METRICS[name], picked(labels, rows), own[rows], base[rows]).low > 0.01, name
