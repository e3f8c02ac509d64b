"""Tests ordinary users' checkpoints with other numbers of layers, heads, positions and labels, and other widths.

Each is a folder of ``save_pretrained()`` with seeded weights, passed with ``--checkpoint``; every conformance test must pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.settings import Settings
from tests.support.nested import run

CONFORMANCE = (
    "tests/conformance/test_agreement.py",
    "tests/conformance/test_invariance.py",
    "tests/conformance/test_structure.py",
    "tests/conformance/test_accuracy.py",
)
#: The selected tests: one build of each precision, and the invariances whose inputs depend on positions and token types.
BRIEF = "not opset11 and not reduce_range and not (permuting or alone or masked or twice or thread)"
#: One geometry with all the changes that are tested one at a time below, except more layers and positions.
UNUSUAL: dict[str, Any] = {
    "num_hidden_layers": 1, "hidden_size": 130, "num_attention_heads": 13, "intermediate_size": 130,
    "max_position_embeddings": 40, "type_vocab_size": 1, "labels": 150,
}  # fmt: skip
GEOMETRIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one layer": {"num_hidden_layers": 1},
    "three layers and heads": {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 3, "seed": 7},
    "24 heads": {"hidden_size": 96, "num_attention_heads": 24, "intermediate_size": 500},
    "hidden 64": {"hidden_size": 64, "intermediate_size": 130, "initializer_range": 0.02},
    "hidden 130": {"hidden_size": 130, "num_attention_heads": 13, "intermediate_size": 130},
    "a feed-forward that narrows": {"intermediate_size": 64, "seed": 5},
    "150 labels": {"labels": 150},
    "40 positions": {"max_position_embeddings": 40},
    "1024 positions": {"max_position_embeddings": 1024, "seed": 11},
    "one token type": {"type_vocab_size": 1},
    "weights as drawn": {"initializer_range": 0.02, "lowercase": False},
    "distilbert": {"family": "distilbert"},
    "ibert": {"family": "ibert", "lowercase": False},
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    made = WorkerProcess("geometries", tmp_path_factory.mktemp("geometries") / "log", threads=1)
    yield made
    made.close()


def conform(
    worker: WorkerProcess, settings: Settings, tmp_path: Path, fields: dict[str, Any], *options: str, timeout: float
) -> str:
    """The output of the conformance tests on a checkpoint with these ``fields``; asserts that they pass."""
    folder = tmp_path / "folder"
    worker.ask("call", timeout=120, target="tests.support.folders:ordinary", arguments={"out": str(folder), **fields})
    arguments = (f"--checkpoint=plain={folder}", f"--artifacts={settings.artifacts.root}", *options)
    found = run(*CONFORMANCE, *arguments, timeout=timeout)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    return found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fields", [UNUSUAL, GEOMETRIES["a feed-forward that narrows"]], ids=["unusual", "narrowing"])
def test_a_users_model_conforms(worker: WorkerProcess, settings: Settings, tmp_path: Path, fields: dict[str, Any]) -> None:
    """The tests that depend on the geometry pass on one runtime in float32 and int8; the nightly run has the others."""
    said = conform(
        worker, settings, tmp_path, fields, "--backends=onnxruntime", "--precisions=f32,int8_static", "-k", BRIEF, timeout=300
    )
    why = "MRPC has 2 labels; this checkpoint has 150" if "labels" in fields else "accuracy needs a head that has learnt this"
    assert why in said


@pytest.mark.nightly
@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry_conforms_everywhere(worker: WorkerProcess, settings: Settings, tmp_path: Path, name: str) -> None:
    conform(worker, settings, tmp_path, GEOMETRIES[name], timeout=3600)


@pytest.mark.backend("onnxruntime")
@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("intermediate", [4, 8, 12])
def test_down_projections_are_found_whatever_their_widths(
    worker: WorkerProcess, tmp_path: Path, intermediate: int, segments: bool
) -> None:
    """Down-projections are found if the intermediate width is smaller than, equal to or larger than the hidden width."""
    arguments = {"out": str(tmp_path), "hidden": 8, "intermediate": intermediate, "segments": segments}
    found = worker.ask("call", timeout=120, target="tests.support.feed_forward:found", arguments=arguments)
    assert found["value"] == [["0.down", "1.down"], ["head"]]
