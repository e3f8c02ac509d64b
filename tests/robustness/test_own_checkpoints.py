"""Tests folders that people have, each with one trait: read as the model that they hold, or refused with what to do.

A trait must never end in another model than the user's in silence: where a folder is taken, the weights and settings in the
store are those of the folder without the trait.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.errors import RemoteError, SuiteError
from fixtures.core.registry import REGISTRY
from fixtures.harness.checkpoints import Checkpoint
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.checkpoints import read_checkpoints
from fixtures.worker.jobs import mrpc
from fixtures.worker.jobs.checkpoint_config import NEW, OWN, exchanged
from fixtures.worker.jobs.checkpoint_weights import WEIGHTS
from tests.support import traits
from tests.support.folders import artifact, update
from tests.support.trait_tables import EARLY, HEADS, REFUSED, TAKEN, Change
from tests.support.traits import configured, every, worded

FAMILIES = ("bert", "distilbert", "ibert")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    made = WorkerProcess("own", tmp_path_factory.mktemp("own") / "log", threads=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plain checkpoint of every family."""
    root = tmp_path_factory.mktemp("plain")
    for family in FAMILIES:
        arguments = {"out": str(root / family), "family": family, "lowercase": family != "ibert"}
        worker.ask("call", timeout=120, target="tests.support.folders:ordinary", arguments=arguments)
    return root


@pytest.fixture
def folder(plain: Path, tmp_path: Path) -> Callable[[str, Change], Path]:
    """``folder(family, change)`` returns a changed copy of a plain folder."""

    def make(family: str, change: Change) -> Path:
        made = tmp_path / "folder"
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(plain / family, made)
        change(made)
        return made

    return make


def brought(worker: WorkerProcess, source: Path, out: Path, family: str = "bert", head: str = OWN) -> dict[str, Any]:
    """What the suite says about a folder; its checkpoint is in ``out``."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    arguments = {"out": str(out), "source": str(source), "family": family, "labels": 2, "seed": 1, "head": head}
    made = worker.ask("call", timeout=120, target="fixtures.worker.jobs.checkpoint:copy", arguments=arguments)
    return dict(made["value"])


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_other_ways_to_keep_a_model_give_the_same_model(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], plain: Path, tmp_path: Path
) -> None:
    """Every file in the store is, byte by byte, that of the folder without the trait; what was changed is said."""
    same = {}
    for family in FAMILIES:
        assert brought(worker, plain / family, tmp_path / family, family)["notes"] == []
        same[family] = contents(tmp_path / family)
        assert set(same[family]) == {"config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS}
    for trait, (family, change, said) in TAKEN.items():
        made = brought(worker, folder(family, change), tmp_path / "out", family)
        assert made["trained_head"], trait
        assert len(made["notes"]) == bool(said), f"{trait}: {made['notes']}"
        assert said in "".join(made["notes"]), f"{trait}: {made['notes']}"
        found = contents(tmp_path / "out")
        assert [name for name in same[family] if found.get(name) != same[family][name]] == [], trait
        assert len(found) == len(same[family]), trait


def test_another_model_than_the_one_that_was_trained_is_refused(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    for trait, (family, change, head, said) in REFUSED.items():
        source = folder(family, change)
        with pytest.raises(RemoteError) as refused:
            pytest.fail(f"{trait} was taken: {brought(worker, source, tmp_path / 'out', family, head)}")
        sentence = refused.value.sentence
        assert said in sentence, f"{trait}: {sentence}"
        assert sentence.startswith(f"{source} "), trait
        assert "Traceback" not in sentence, trait


def test_what_files_alone_show_is_refused_before_the_run(
    folder: Callable[[str, Change], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(REGISTRY, "models", dict(REGISTRY.models))
    for trait, (change, said) in EARLY.items():
        source = folder("bert", change)
        with pytest.raises(SuiteError) as refused:
            pytest.fail(f"{trait} was taken: {read_checkpoints([f'own={source}'])}")
        assert said in str(refused.value), f"{trait}: {refused.value}"


def test_a_new_head_is_drawn_only_when_asked_for(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], plain: Path, tmp_path: Path
) -> None:
    """With --new-head the encoder stays as it is, and the head has two labels whatever the file has."""
    heads = (
        lambda f: None,
        HEADS["score"],
        configured(architectures=["BertForTokenClassification"], problem_type="regression"),
        traits.labels(7),
    )
    found = []
    for change in heads:
        source = folder("bert", change)
        made = brought(worker, source, tmp_path / "out", head=NEW)
        assert (made["trained_head"], made["labels"]) == (False, 2)
        assert "problem_type" not in json.loads((tmp_path / "out" / "config.json").read_text())
        found.append((tmp_path / "out" / WEIGHTS).read_bytes())
    assert len(set(found)) == 1, "the new head depends on the seed alone"
    assert found[0] != contents(plain / "bert")[WEIGHTS]
    made = brought(worker, folder("bert", HEADS["score"]), tmp_path / "out", head=NEW)
    assert made["notes"] == ["weights that are not used: score.* (2)"]


def test_the_number_of_labels_is_the_heads(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    for number in (1, 3, 150):
        made = brought(worker, folder("bert", traits.labels(number)), tmp_path / "out")
        assert (made["trained_head"], made["labels"]) == (True, number)
    named = every(traits.labels(3), configured(id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}))
    made = brought(worker, folder("bert", named), tmp_path / "out")
    assert made["labels"] == 3
    assert made["notes"] == ["config.json has 2 labels, the head has 3"]


def test_labels_in_another_order_are_known_by_their_names(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    swapped = {"0": "equivalent", "1": "not_equivalent"}
    assert brought(worker, folder("bert", configured(id2label=swapped)), tmp_path / "out")["exchanged"] is True
    assert not brought(worker, folder("bert", configured(id2label=swapped)), tmp_path / "out", head=NEW)["exchanged"]
    for names, word in (
        (("not_equivalent", "equivalent"), False), (("LABEL_0", "LABEL_1"), False), (("Paraphrase", "Not paraphrase"), True),
        (("duplicate", "non-duplicate"), True), (("", "not_"), False),
    ):  # fmt: skip
        assert exchanged({"id2label": dict(enumerate(names))}) is word, names
        assert exchanged({"id2label": {str(i): name for i, name in enumerate(names)}}) is word, names
    assert not exchanged({"id2label": ["equivalent", "not_equivalent"]})


def test_a_vocabulary_is_read_whatever_its_line_ends(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    """The tokenizer of a vocab.txt with CRLF or a byte order mark is the one of the plain file."""
    mark = "\N{ZERO WIDTH NO-BREAK SPACE}"
    forms = {"\n": worded(), "CRLF": worded("\r\n"), "mark": worded(start=mark), "both": worded("\r\n", mark)}
    found = {}
    for form, change in forms.items():
        made = brought(worker, folder("bert", change), tmp_path / "out")
        assert len(made["notes"]) == {"\n": 0, "CRLF": 1, "mark": 1, "both": 2}[form], made["notes"]
        found[form] = (tmp_path / "out" / "tokenizer.json").read_bytes()
    assert len(set(found.values())) == 1


def test_a_padding_id_unlike_the_configurations_is_said(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    made = brought(worker, folder("bert", configured(pad_token_id=7)), tmp_path / "out")
    assert made["notes"] == ["the tokenizer pads with 0, config.json says 7: padding is masked"]


def test_unknown_fields_of_a_folder_stay_out_of_the_store(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    brought(worker, folder("bert", lambda f: update(f / "config.json", lr=3e-5, pooler_type="first")), tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert "lr" not in kept
    assert "pooler_type" not in kept


def test_a_model_of_few_positions_can_be_fine_tuned(
    worker: WorkerProcess, folder: Callable[[str, Change], Path], tmp_path: Path
) -> None:
    """Rows are cut to the model's positions in training too, not only where they are evaluated."""
    name = "bert.embeddings.position_embeddings.weight"
    short = every(configured(max_position_embeddings=16), lambda f: traits.weights(f, lambda t: {**t, name: t[name][:16]}))
    brought(worker, folder("bert", short), tmp_path / "base", head=NEW)
    pairs = [{"text": "The company said " * 20, "pair": "It said that on Tuesday .", "label": i % 2} for i in range(8)]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    arguments = {"checkpoint": str(tmp_path / "base"), "name": "short"}
    recipe = {"epochs": 1, "learning_rate": 1e-5, "batch": 4, "seed": 0, "bfloat16": False, **mrpc.TRAINING}
    (tmp_path / "tuned").mkdir()
    train: dict[str, Any] = {
        "out": str(tmp_path / "tuned"), "train": str(tmp_path / "pairs.json"), **arguments, **recipe,
    }  # fmt: skip
    worker.ask("call", timeout=120, target="fixtures.worker.jobs.fine_tune:run", arguments=train)
    (tmp_path / "outputs").mkdir()
    dev = {"checkpoint": str(tmp_path / "tuned"), "dev": train["train"], "task": "mrpc", "longest": mrpc.TRAINING["longest"]}
    asked = {"out": str(tmp_path / "outputs"), **dev}
    worker.ask("call", timeout=120, target="fixtures.worker.jobs.fine_tune:outputs", arguments=asked)
    with np.load(tmp_path / "outputs" / "outputs.npz") as arrays:
        assert arrays["outputs"].shape == (8, 2)


def test_logits_of_exchanged_labels_are_put_in_order(tmp_path: Path) -> None:
    logits = np.array([[1.0, 2.0], [4.0, 3.0]], np.float32)
    given = Checkpoint(artifact(tmp_path / "weights", "weights"), "checkpoint", trained=True, notes=("a note",))
    assert given.in_order(logits).tolist() == logits.tolist()
    assert replace(given, order=(1, 0)).in_order(logits).tolist() == [[2.0, 1.0], [3.0, 4.0]]
    assert given.said() == "checkpoint (a note)"
    assert replace(given, notes=(), warning="WARNING: x").said() == "checkpoint (WARNING: x)"


def seeded(worker: WorkerProcess, out: Path, family: str, config: dict[str, Any]) -> Path:
    arguments = {"out": str(out), "family": family, "config": config, "lowercase": True, "seed": 1}
    worker.ask("call", timeout=120, target="fixtures.worker.jobs.checkpoint:seeded", arguments=arguments)
    return out


def test_fields_that_only_the_models_code_reads_have_an_effect(worker: WorkerProcess, tmp_path: Path) -> None:
    """DeBERTa's configuration class does not declare ``position_buckets``; its model reads it, and a table has its size."""
    config = {
        "num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 2000,
        "relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
        "share_att_key": True, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0,
    }  # fmt: skip
    seeded(worker, tmp_path / "deberta", "deberta-v2", config)
    made = brought(worker, tmp_path / "deberta", tmp_path / "out", "deberta-v2")
    assert not [note for note in made["notes"] if "without effect" in note]
    assert contents(tmp_path / "out")[WEIGHTS] == contents(tmp_path / "deberta")[WEIGHTS]
    kept = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert {name: kept[name] for name in config} == config


def test_older_names_of_fields_have_an_effect(worker: WorkerProcess, tmp_path: Path) -> None:
    """ModernBERT's published configuration has fields that its class translates and does not keep."""
    config = {"num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 2000}
    tokens = dict(
        zip(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), (0, 2, 3, 2, 3), strict=True)
    )
    folder = seeded(worker, tmp_path / "modernbert", "modernbert", {**config, **tokens})
    older = {"global_attn_every_n_layers": 2, "global_rope_theta": 5000.0, "local_rope_theta": 100.0}
    update(folder / "config.json", layer_types=None, rope_parameters=None, **older)
    made = brought(worker, folder, tmp_path / "out", "modernbert")
    assert not [note for note in made["notes"] if "without effect" in note]
    kept = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert kept["layer_types"] == ["full_attention", "sliding_attention"] * 2
    assert {kind: rope["rope_theta"] for kind, rope in kept["rope_parameters"].items()} == {
        "full_attention": 5000.0, "sliding_attention": 100.0,
    }  # fmt: skip
