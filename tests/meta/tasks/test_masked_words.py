"""Tests which words are masked, the metrics of guesses, and that the stage of the head is judged."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.arithmetic import FLOATS
from fixtures.core.encoder import Encoder, Exact
from fixtures.core.families import load_families
from fixtures.core.heads import VOCABULARY
from fixtures.core.hidden_states import LOGITS
from fixtures.core.registry import REGISTRY, Backend
from fixtures.core.spec import Shape
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics import inputs
from fixtures.metrics.encoder import read
from fixtures.metrics.evaluation import scores
from fixtures.metrics.glue import FEW, predict
from fixtures.metrics.stage_bounds import Yardstick
from fixtures.options.mrpc import MRPC
from fixtures.options.task import read_task
from fixtures.tasks.masked_words import MOST
from fixtures.worker.server import Host
from tests.support.families import INPUTS

TASK = REGISTRY.tasks["masked-words"]
PAD, MASK, BEGIN, END, UNKNOWN = range(5)


class Words:
    """A tokenizer whose tokens are words: numbers, between BEGIN and END; other words are unknown."""

    mask_token_id: int | None = MASK
    all_special_ids = (PAD, MASK, BEGIN, END, UNKNOWN)

    def __call__(self, texts: list[str], *, max_length: int, **how: Any) -> dict[str, Any]:
        rows = [[int(word) if word.isdigit() else UNKNOWN for word in text.split()][: max_length - 2] for text in texts]
        longest = max(map(len, rows)) + 2
        ids = np.full((len(rows), longest), PAD)
        for made, row in zip(ids, rows, strict=True):
            made[: len(row) + 2] = [BEGIN, *row, END]
        return {"input_ids": ids, "attention_mask": (ids != PAD).astype(np.int64)}


def texts(lengths: list[int]) -> list[dict[str, str]]:
    return [{"text": " ".join(str(10 + word) for word in range(length))} for length in lengths]


def encoded(rows: list[Any], longest: int = 128) -> dict[str, Any]:
    return TASK.encode(Words(), rows, longest)


@pytest.mark.parametrize("number", [16, 40, 499, 500, 501, 3000])
def test_words_are_spread_evenly_and_none_is_masked_twice(number: int) -> None:
    given = texts([40 + i % 7 for i in range(number)])
    rows = TASK.listed(given)
    made = encoded(rows)
    assert len(rows) == len(made["input_ids"]) == MOST
    of_text = Counter(id(row["text"]) for row in rows)  # texts of one length are equal
    assert max(of_text.values()) - min(of_text.values()) <= 1
    assert len(of_text) == min(number, MOST)
    masked = Counter((id(row["text"]), place) for row, place in zip(rows, made["beside.place"], strict=True))
    assert max(masked.values()) == 1
    shares = np.array([row["share"] for row in rows])
    assert (np.abs(np.histogram(shares, 10, (0, 1))[0] - MOST / 10) <= MOST / 50).all(), "some places are preferred"
    assert TASK.listed(given) == rows


def test_short_texts_have_no_more_masked_words_than_words() -> None:
    rows = TASK.listed(texts([1, 2, 3] * 6))
    assert len(rows) == 6 * (1 + 2 + 3)
    made = encoded(rows)
    assert len({(row["text"], place) for row, place in zip(rows, made["beside.place"], strict=True)}) == 6
    assert sorted(set(made["beside.word"])) == [10, 11, 12]


def test_one_token_of_a_row_is_masked_and_never_a_special_one() -> None:
    rows: list[dict[str, Any]] = [
        {"text": text, "share": share} for text in ("10 11 what 12", "20", "21 who") for share in (0.0, 0.4, 0.99)
    ]
    made, plain = encoded(rows), Words()([row["text"] for row in rows], max_length=128)["input_ids"]
    every, place = np.arange(len(rows)), made["beside.place"]
    assert (made["input_ids"][every, place] == MASK).all()
    assert ((made["input_ids"] != plain).sum(1) == 1).all()
    assert (made["beside.word"] == plain[every, place]).all()
    assert made["beside.word"].tolist() == [10, 11, 12, 20, 20, 20, 21, 21, 21]
    for i, row in enumerate(rows):  # the rows are counted one by one
        alone, length = encoded([row]), made["attention_mask"][i].sum()
        assert (alone["input_ids"][0] == made["input_ids"][i, :length]).all()


def test_a_text_without_a_known_word_has_no_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": text, "share": 0.5} for text in ("10 11", "what", "20")]
    assert encoded(rows)["beside.word"].tolist() == [11, 20]
    monkeypatch.setattr(Words, "mask_token_id", None)
    with pytest.raises(ValueError, match="the tokenizer has no mask token"):
        encoded(rows)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    made = WorkerProcess("masked-words", tmp_path_factory.mktemp("masked-words") / "log", threads=1)
    yield made
    made.close()


@pytest.mark.backend("pytorch")
def test_perplexity_is_that_of_pytorchs_cross_entropy(worker: WorkerProcess) -> None:
    rng = np.random.default_rng(5)
    logits, words = rng.normal(0, 30, (40, 300)).astype(np.float32), rng.integers(0, 300, 40)
    logits[:12, :][np.arange(12), words[:12]] = 200.0
    guesses = TASK.decide(logits, {"word": words}, [], [])
    arguments = {"logits": logits, "words": words}
    entropy = worker.ask("call", timeout=120, target="tests.support.cross_entropy:of", arguments=arguments)["value"]
    right = float((logits.argmax(1) == words).mean())
    truth = TASK.truth([], [], {"word": words})
    assert scores(TASK, truth, guesses) == pytest.approx({"top1": right, "pseudo_perplexity": np.exp(entropy)}, rel=1e-12)
    other = logits.copy()
    other[20, 7] = 300.0
    changed = TASK.changed(TASK.decide(other, {"word": words}, [], []), guesses)
    assert np.flatnonzero(changed).tolist() == [20]


class Echo(Backend):
    """Its logits say which token of which row they are of."""

    def prepare(self, inputs: Mapping[str, Any]) -> Any:
        return inputs

    def invoke(self, prepared: Any) -> Any:
        return prepared["input_ids"]

    def outputs(self, result: Any) -> dict[str, Any]:
        return {"logits": np.stack([result, -result], -1).astype(np.float32), "last_hidden_state": result[..., None]}


def test_only_the_logits_of_the_masked_places_leave_the_worker() -> None:
    host = Host(print)
    host.backend, host.opened = Echo(), {"meta": {}}
    host.shape = Shape(1, 1, 1, 1, 100, 64, 0, ("input_ids", "attention_mask"))
    rng, lengths = np.random.default_rng(6), np.array([*range(3, 20)])
    assert len(lengths) > 2 * FEW
    mask = (np.arange(19) < lengths[:, None]).astype(np.int64)
    rows = {"input_ids": rng.integers(5, 100, mask.shape) * mask, "attention_mask": mask}
    places = rng.integers(0, lengths)
    answers: list[dict[str, Any]] = []

    def run(batch: Mapping[str, Any], at: Any = None) -> dict[str, Any]:
        answers.append(host.run(dict(batch), at))
        return answers[-1]

    made, _ = predict(run, rows, places)
    wanted = rows["input_ids"][np.arange(len(lengths)), places]
    assert made.tolist() == np.stack([wanted, -wanted], 1).tolist()
    assert all(set(answer) == {LOGITS} and answer[LOGITS].shape[1:] == (2,) for answer in answers)
    assert set(host.run(rows)) == {LOGITS, "last_hidden_state"}


def test_probes_of_a_large_vocabulary_are_short() -> None:
    mask = (np.arange(200) < np.linspace(10, 200, 16).astype(int)[:, None]).astype(np.int64)
    probes = {"input_ids": mask * 7, "attention_mask": mask}
    for words, longest in ((1024, 200), (30522, 34), (250_002, 8)):
        made = inputs.fitting(probes, Shape(1, 1, 1, 1, words, 512, 0, tuple(probes)))
        assert made["input_ids"].shape == (16, longest)
        assert made["attention_mask"].sum(1).min() >= 2


@pytest.fixture
def judged(worker: WorkerProcess, tmp_path: Path) -> Callable[[str], tuple[Encoder, Yardstick, dict[str, Any]]]:
    """The definition of a small seeded model of a family, its yardstick in f32, and the states that it computes."""

    def make(family: str) -> tuple[Encoder, Yardstick, dict[str, Any]]:
        mask = (np.arange(12) < np.array([12, 9, 5, 12])[:, None]).astype(np.int64)
        ids = np.random.default_rng(7).integers(10, 300, mask.shape)
        given: dict[str, Any] = {
            "input_ids": np.where(mask == 1, ids, 1),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        np.savez(tmp_path / INPUTS, **given)
        fields = {**load_families()[family].tiny, "vocab_size": 300}
        arguments = {"out": str(tmp_path), "family": family, "fields": fields, "seed": 2021, "kind": VOCABULARY}
        worker.ask("call", timeout=120, target="tests.support.families:make", arguments=arguments)
        encoder = read(tmp_path)
        states = {stage: array.astype(np.float32) for stage, array in encoder.run(given, Exact()).items()}
        return encoder, Yardstick(encoder, FLOATS["f32"], given), states

    return make


@pytest.mark.backend("pytorch")
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_the_stage_of_the_head_is_judged(
    judged: Callable[[str], tuple[Encoder, Yardstick, dict[str, Any]]], family: str
) -> None:
    """A right head passes; one without its norm's shift, or with its words in another order, does not."""
    encoder, yardstick, states = judged(family)
    assert [finding.violation for finding in yardstick.stages(states)] == [None] * len(encoder.stages)
    shiftless = copy.copy(encoder)
    shiftless.without = "norm"
    wrong = {**states, LOGITS: shiftless.step(LOGITS, states, yardstick.inputs, Exact()).astype(np.float32)}
    (finding,) = yardstick.stages(wrong, [LOGITS])
    assert finding.violation
    assert "LayerNorm's shift were missing" in str(yardstick.alternatives(wrong, [LOGITS])[0])
    untied = copy.copy(encoder)
    name = f"{encoder.family.head[-1].name}.weight"
    untied.weights = {**encoder.weights, name: encoder.weights[name][::-1]}
    wrong = {**states, LOGITS: untied.step(LOGITS, states, yardstick.inputs, Exact()).astype(np.float32)}
    assert yardstick.stages(wrong, [LOGITS])[0].violation


def test_the_task_follows_from_the_head_unless_a_new_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertForMaskedLM"]}), encoding="utf-8")
    assert read_task(None, None, [f"my={tmp_path}"]) == TASK.name
    assert read_task(None, None, [f"my={tmp_path}"], new_head=True) == MRPC
