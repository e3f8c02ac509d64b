"""Tests the computation of figures: SQNR, cosine, GLUE's scores, the order of rows, the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.core.families import family_of
from fixtures.core.registry import load
from fixtures.core.spec import Shape
from fixtures.metrics.agreement import Outputs, sqnr
from fixtures.metrics.arrays import Ints
from fixtures.metrics.evaluation import scores, untaught
from fixtures.metrics.glue import batches, predict
from fixtures.metrics.stagewise import figures
from fixtures.report.sections import table, verdict

RNG = np.random.default_rng(0)

MRPC = load().tasks["mrpc"]


def test_sqnr_of_a_tenth_is_20_db() -> None:
    signal = RNG.normal(size=1000)
    assert sqnr(signal, signal * 1.1) == pytest.approx(20)
    assert sqnr(signal, signal) == math.inf
    assert sqnr(signal, signal * np.nan) == -math.inf


def test_sqnr_of_a_quantizer_is_six_db_a_bit() -> None:
    """A quantizer has 6.02 n + 1.76 dB for a full-scale sine (Bennett 1948), and 6.02 n for a uniform signal."""
    signal = RNG.uniform(-1, 1, 100_000)
    steps = 2 ** (8 - 1)
    assert sqnr(signal, np.round(signal * steps) / steps) == pytest.approx(6.02 * 8, abs=0.1)


def test_padding_positions_do_not_count() -> None:
    hidden = RNG.normal(size=(2, 4, 8))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    found = figures(hidden, np.where(mask[..., None] == 1, hidden, 99.0), mask)
    assert (found.typical, found.position, found.channel) == (math.inf, math.inf, math.inf)


@pytest.mark.parametrize(("place", "shown"), [((1, 2), "position"), ((..., 3), "channel")])
def test_one_bad_position_or_channel_does_not_drown(place: Any, shown: str) -> None:
    """One bad position or channel has 0 dB in its own figure, while the other figures stay above 20 dB."""
    hidden = RNG.normal(size=(16, 32, 128))
    got = hidden.copy()
    got[place] = 0
    found = figures(hidden, got, np.ones((16, 32), np.int64))
    assert getattr(found, shown) == pytest.approx(0, abs=1)
    assert found.typical > 20


def test_a_head_that_never_learnt_the_task_has_no_accuracy() -> None:
    truth = np.arange(1000) < 684

    def said(right: int) -> str | None:
        """What is said of predictions that are right in this many rows, from the end."""
        return untaught(MRPC, truth.astype(np.int64), np.where(np.arange(1000) >= 1000 - right, truth, ~truth))

    assert said(740) is None
    assert said(700) == "accuracy 0.700 where the majority class has 0.684: fine-tune it on this task first"
    assert "exchanged" not in (said(316) or "")
    assert "and 0.824 if its labels are exchanged: they look it (id2label: 0 is not_equivalent, 1 is eq" in (said(176) or "")


def test_score_is_glues() -> None:
    made = scores(MRPC, np.array([1, 1, 1, 0]), np.array([1, 1, 0, 1]))  # tp 2, fp 1, fn 1
    assert made == pytest.approx({"accuracy": 0.5, "f1": 2 / 3})


@given(st.lists(st.integers(1, 12), min_size=1, max_size=70))
def test_predictions_keep_the_order_of_rows(lengths: list[int]) -> None:
    width = max(lengths)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    rows = {"input_ids": np.arange(len(lengths))[:, None] * mask, "attention_mask": mask}
    seen = []

    def run(inputs: Mapping[str, Ints]) -> Outputs:
        seen.append(inputs["input_ids"].shape)
        return {"logits": inputs["input_ids"].max(1, keepdims=True).repeat(2, 1).astype(float)}

    logits, _ = predict(run, rows)
    assert logits[:, 0].tolist() == list(range(len(lengths)))
    assert all(shape[0] <= 32 and shape[1] <= width for shape in seen)
    assert sum(len(chosen) for chosen, _ in batches(rows)) == len(lengths)


def test_logits_of_too_few_rows_are_no_predictions() -> None:
    rows = {name: np.ones((4, 3), np.int64) for name in ("input_ids", "attention_mask")}
    with pytest.raises(ValueError, match="4 rows gave 1 rows of logits"):
        predict(lambda inputs: {"logits": np.zeros((1, 2))}, rows)


def test_a_part_of_the_rows_is_no_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {name: np.ones((70, 3), np.int64) for name in ("input_ids", "attention_mask")}
    monkeypatch.setattr("fixtures.metrics.glue.batches", lambda rows: [*batches(rows)][:-1])
    with pytest.raises(ValueError, match="64 of 70 rows were evaluated"):
        predict(lambda inputs: {"logits": np.zeros((len(inputs["input_ids"]), 2))}, rows)


def test_shapes_are_read_from_every_familys_configuration() -> None:
    bert = {
        "model_type": "bert",
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_size": 8,
        "intermediate_size": 32,
        "vocab_size": 9,
        "max_position_embeddings": 512,
    }
    distil = {
        "model_type": "distilbert",
        # Fields of BERT's configuration, which transformers does not read for a DistilBERT.
        "num_hidden_layers": 5,
        "hidden_act": "relu",
        "layer_norm_eps": 1e-3,
        "type_vocab_size": 2,
        "n_layers": 2,
        "n_heads": 4,
        "dim": 8,
        "hidden_dim": 32,
        "vocab_size": 9,
        "max_position_embeddings": 512,
    }
    ibert = {**bert, "model_type": "ibert", "pad_token_id": 1, "max_position_embeddings": 514}
    assert family_of(bert).shape.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert family_of({**bert, "type_vocab_size": 1}).shape.inputs == ("input_ids", "attention_mask")
    assert family_of({**bert, "type_vocab_size": 4}).shape.inputs == family_of(bert).shape.inputs
    assert family_of(distil).shape == Shape(2, 4, 8, 32, 9, 512, 0, ("input_ids", "attention_mask"))
    assert (family_of(ibert).shape.max_length, family_of(ibert).shape.pad_id) == (512, 1)
    assert (family_of(distil).activation, family_of(distil).epsilon) == ("gelu", 1e-12)
    with pytest.raises(KeyError, match="num_hidden_layers"):
        _ = family_of({"model_type": "bert"}).shape


def test_the_table_shows_ratios_gaps_and_verdicts() -> None:
    beyond = {"median_ms": 20.0, "accuracy_violations": ["flips 9 %"]}
    text = str(
        table(
            {
                "m-pytorch-f32": {"baseline": "m-pytorch-f32", "median_ms": 30.0, "acc": 0.81},
                "m-onnxruntime-f32": {"baseline": "m-pytorch-f32", **beyond, "verdict": verdict(beyond)},
            }
        )
    )
    assert "1.50" in text
    assert "FAILED: flips 9 %" in text
    assert verdict({"untrained": "seeded (2021)"}) == "ok, no accuracy (seeded weights)"
    assert verdict({"untrained": "accuracy 0.316"}) == "ok, no accuracy (accuracy 0.316)"
    assert verdict({"known": "broken upstream", "accuracy_violations": ["x"]}) == "known failure"
    assert verdict({"failed": "8.1 dB < 10 dB", "acc": 0.8}) == "FAILED: 8.1 dB < 10 dB"
