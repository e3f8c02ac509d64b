"""Tests families that have no file: their layers are found, and their traced graph is the function of PyTorch in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fixtures.core.encoder import Exact
from fixtures.core.errors import RemoteError
from fixtures.core.families import read_family
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.encoder import read
from tests.support.folders import update
from tests.support.nested import run
from tests.support.unknown_families import GEOMETRY, OUTPUTS

#: By family: norms in front of blocks; rotary positions; another storage of the weights; positions counted from a padding id;
#: convolutions in the attention; landmarks; relative positions.
STRUCTURES = ("megatron-bert", "roformer", "nomic_bert", "data2vec-text", "convbert", "nystromformer", "deberta")
#: Families whose class the suite cannot look into, and what is said of them.
CLOSED = {
    "fnet": "its class takes no input_ids and attention_mask",
    "squeezebert": "its class shows no list of layers",
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    started = WorkerProcess("generic", tmp_path_factory.mktemp("generic") / "log", threads=1)
    yield started
    started.close()


def made(worker: WorkerProcess, folder: Path, family: str) -> None:
    """Write a checkpoint of ``family`` into ``folder``."""
    arguments = {"out": str(folder), "family": family}
    worker.ask("call", timeout=120, target="tests.support.unknown_families:make", arguments=arguments)


def brought(worker: WorkerProcess, root: Path, family: str) -> Path:
    """The folder in which the suite keeps a checkpoint of ``family``."""
    source, out = root / "source", root / "out"
    out.mkdir()
    worker.ask(
        "call", timeout=120, target="tests.support.unknown_families:make", arguments={"out": str(source), "family": family}
    )
    arguments = {"out": str(out), "source": str(source), "family": family, "labels": 2, "seed": 1}
    worker.ask("call", timeout=120, target="fixtures.worker.jobs.checkpoint:copy", arguments=arguments)
    return out


@pytest.mark.slow
@pytest.mark.backend("pytorch")
@pytest.mark.parametrize("family", STRUCTURES)
def test_a_traced_graph_is_the_model(worker: WorkerProcess, tmp_path: Path, family: str) -> None:
    """The graph agrees with PyTorch in float64 on a batch of another size and length than that of its trace, with padding."""
    folder = brought(worker, tmp_path, family)
    found, encoder = read_family(folder), read(folder)
    assert (found.shape.layers, found.shape.hidden) == (GEOMETRY["num_hidden_layers"], GEOMETRY["hidden_size"])
    assert GEOMETRY["max_position_embeddings"] - 2 <= found.max_length <= GEOMETRY["max_position_embeddings"]
    mask = (np.arange(30) < np.array([[30], [21], [4]])).astype(np.int64)
    ids = np.where(mask == 1, np.random.default_rng(1).integers(5, 900, mask.shape), found.shape.pad_id)
    given = {name: {"input_ids": ids, "attention_mask": mask}.get(name, 0 * mask) for name in found.inputs}
    arguments = {"folder": str(folder), "inputs": {name: rows.tolist() for name, rows in given.items()}}
    worker.ask("call", timeout=120, target="tests.support.unknown_families:outputs", arguments=arguments)
    expected, states = np.load(folder / OUTPUTS), encoder.run(given, Exact())
    assert sqnr(expected["logits"], states["logits"]) > found.reference_db
    assert sqnr(expected["last_hidden_state"][mask == 1], states[encoder.stages[-2]][mask == 1]) > found.reference_db


@pytest.mark.slow
@pytest.mark.backend("pytorch")
@pytest.mark.parametrize("family", CLOSED)
def test_a_class_that_shows_no_layers_is_refused_in_a_sentence(worker: WorkerProcess, tmp_path: Path, family: str) -> None:
    with pytest.raises(RemoteError) as refused:
        brought(worker, tmp_path, family)
    assert CLOSED[family] in refused.value.sentence
    assert "Traceback" not in refused.value.sentence


@pytest.mark.slow
@pytest.mark.backend("pytorch")
def test_a_family_without_a_class_is_refused_in_a_sentence(worker: WorkerProcess, tmp_path: Path) -> None:
    made(worker, tmp_path, "bert")
    update(tmp_path / "config.json", model_type="mine")
    arguments = {"out": str(tmp_path / "out"), "source": str(tmp_path), "family": "mine", "labels": 2, "seed": 1}
    with pytest.raises(RemoteError) as refused:
        worker.ask("call", timeout=120, target="fixtures.worker.jobs.checkpoint:copy", arguments=arguments)
    assert "whose model_type is 'mine': transformers 5" in refused.value.sentence
    assert "no class of it that classifies sequences" in refused.value.sentence


@pytest.mark.slow
@pytest.mark.backend("pytorch")
@pytest.mark.backend("onnxruntime")
def test_an_unknown_family_goes_through_the_suite(worker: WorkerProcess, tmp_path: Path) -> None:
    """Its variants in float and int8 agree stage by stage, and their files are what was asked for."""
    made(worker, tmp_path / "mine", "megatron-bert")
    tests = (f"tests/conformance/test_{name}.py" for name in ("agreement", "structure"))
    found = run(
        *tests, f"--checkpoint=mine={tmp_path / 'mine'}", "--no-fine-tune", "--backends=pytorch,onnxruntime",
        "--precisions=f32,int8_dynamic", f"--artifacts={tmp_path / 'store'}", "-q",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    assert " passed" in found.stdout
