"""Tests each family's definition in float64 against PyTorch in float64, on small models with seeded weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.encoder import Exact, Float64s
from fixtures.core.errors import SuiteError
from fixtures.core.families import family_of, load_families
from fixtures.core.heads import SEQUENCE, VOCABULARY
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import real as where_real
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.encoder import read
from tests.support.families import INPUTS, OUTPUTS

#: Configurations that take other ways through a definition than the small one.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert with one token type": ("bert", {"type_vocab_size": 1}),
    "roberta with another padding id": ("roberta", {"pad_token_id": 4}),
    "electra without a projection": ("electra", {"embedding_size": 128}),
    "albert with groups": ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2}),
    "albert with inner layers": ("albert", {"num_hidden_layers": 2, "inner_group_num": 2}),
    "deberta with keys of its own": ("deberta-v2", {"share_att_key": False}),
    "deberta without buckets": ("deberta-v2", {"position_buckets": -1, "norm_rel_ebd": "none"}),
    "deberta with one kind of product": ("deberta-v2", {"pos_att_type": ["c2p"]}),
    "deberta with positions and types": ("deberta-v2", {"position_biased_input": True, "type_vocab_size": 2}),
    "deberta with narrow embeddings": ("deberta-v2", {"embedding_size": 64}),
    "modernbert with biases": ("modernbert", {"norm_bias": True, "attention_bias": True, "mlp_bias": True}),
    "modernbert with a mean": ("modernbert", {"classifier_pooling": "mean"}),
    "mobilebert with layer norms": ("mobilebert", {"normalization_type": "layer_norm"}),
    "mobilebert with one bottleneck": ("mobilebert", {"use_bottleneck_attention": True}),
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in load_families()} | OTHERS


def _kinds(family: str) -> tuple[str, ...]:
    return load_families()[family].kinds


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    made = WorkerProcess("definitions", tmp_path_factory.mktemp("definitions") / "log", threads=1)
    yield made
    made.close()


#: By case, the weights that transformers' float model does not read either: scales of quantizers, an idle bottleneck.
UNREAD = {
    "ibert": r"(shift|weight_integer|bias_integer|scaling_factor|x_min|x_max)$",
    "mobilebert with one bottleneck": r"bottleneck\.attention",
}


class Recording(dict[str, Any]):
    """Weights that record which of them were read."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        super().__init__(weights)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


class Counting(Exact):
    """Exact arithmetic that counts dense layers, and the weights by which each token and each row is multiplied.

    The head of ``kind`` multiplies rows, or of masked words, tokens.
    """

    def __init__(self, kind: str) -> None:
        self.calls, self.applied, self.head, self.rows = 0, 0, 0, ("pooler", "classifier") if kind == SEQUENCE else ()
        self.stored: dict[bytes, int] = {}

    def dense(self, place: str, x: Float64s, weight: Float64s, bias: Float64s) -> Float64s:
        self.calls += 1
        if place in self.rows:
            self.head += weight.size * (place == "pooler")
        elif " position " not in place:
            self.applied += weight.size
            self.stored[weight.tobytes()] = weight.size
        return super().dense(place, x, weight, bias)


def rows(pad_id: int) -> dict[str, Any]:
    """Three rows of up to 40 random tokens, padded, with a second segment from their middle on."""
    place, lengths = np.arange(40)[None], np.array([[40], [33], [5]])
    mask = (place < lengths).astype(np.int64)
    ids = np.random.default_rng(1).integers(10, 8000, mask.shape)
    return {
        "input_ids": np.where(mask == 1, ids, pad_id),
        "attention_mask": mask,
        "token_type_ids": mask * (place >= lengths // 2),
    }


@pytest.mark.backend("pytorch")
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, (family, _) in CASES.items() for kind in (SEQUENCE, VOCABULARY) if kind in _kinds(family)],
)
def test_the_definition_is_transformers_function(worker: WorkerProcess, tmp_path: Path, name: str, kind: str) -> None:
    """The definition and PyTorch agree to the rounding of float64; they are independent implementations."""
    family, changes = CASES[name]
    fields = {**load_families()[family].tiny, **changes}
    given = rows(family_of({"model_type": family, **fields}).pad_id)
    np.savez(tmp_path / INPUTS, **given)
    arguments = {"out": str(tmp_path), "family": family, "fields": fields, "seed": 2021, "kind": kind}
    taken = worker.ask("call", timeout=120, target="tests.support.families:make", arguments=arguments)["value"]
    encoder, expected, real = read(tmp_path), np.load(tmp_path / OUTPUTS), given["attention_mask"] == 1
    assert set(encoder.shape.inputs) <= set(taken)
    encoder.weights = weights = Recording(encoder.weights)
    made = encoder.run(given, counting := Counting(kind))
    same = {encoder.family.tied.get(weight) for weight in weights.read}
    unread = {weight for weight in set(weights) - weights.read - same if not re.search(UNREAD.get(name, "nothing"), weight)}
    assert not unread, "the definition does not read these weights"
    assert counting.calls == encoder.family.dense_layers
    work = encoder.shape.counted
    assert (counting.applied, sum(counting.stored.values()), counting.head) == (work.applied, work.stored, work.head)
    least = encoder.family.reference_db
    assert sqnr(where_real(expected["logits"], real), where_real(made["logits"], real)) > least
    assert sqnr(expected["last_hidden_state"][real], made[encoder.stages[-2]][real]) > least


def test_what_has_no_definition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="nothing is known yet of the family 'mine'"):
        _ = family_of({"model_type": "mine"}).shape
    with pytest.raises(SuiteError, match="no definition of the activation unheard"):
        family_of({"model_type": "bert", **load_families()["bert"].tiny, "hidden_act": "unheard", "vocab_size": 9,
                   "max_position_embeddings": 9}).defined({})  # fmt: skip
    with pytest.raises(SuiteError, match="conv_kernel_size"):
        family_of({"model_type": "deberta-v2", "conv_kernel_size": 3}).defined({})
    with pytest.raises(SuiteError, match="key_query_shared_bottleneck"):
        family_of({"model_type": "mobilebert", "key_query_shared_bottleneck": False}).defined({})
