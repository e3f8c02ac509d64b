"""Ordinary checkpoints that nobody made for this suite: any number of layers, heads, positions, labels and any widths.

Each is a folder of ``save_pretrained()``, seeded, given as a user gives one, and every conformance test holds for it.
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
#: One build of a precision, and of the invariances those whose inputs follow the model's positions and types.
BRIEF = "not opset11 and not reduce_range and not (permuting or alone or masked or twice or thread)"
#: All at once what is one at a time below, but for more layers and positions.
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
    """What the conformance tests print of a checkpoint with these ``fields``, when they pass."""
    folder = tmp_path / "folder"
    worker.ask("call", timeout=120, target="tests.support.folders:ordinary", arguments={"out": str(folder), **fields})
    arguments = (f"--checkpoint=plain={folder}", f"--artifacts={settings.artifacts}", *options)
    found = run(*CONFORMANCE, *arguments, timeout=timeout)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    return found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fields", [UNUSUAL, GEOMETRIES["a feed-forward that narrows"]], ids=["unusual", "narrowing"])
def test_a_users_model_conforms(worker: WorkerProcess, settings: Settings, tmp_path: Path, fields: dict[str, Any]) -> None:
    """On one runtime, in float32 and int8, what depends on a geometry: the rest is for the night."""
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
    """Narrower than the hidden state, as wide, and wider."""
    arguments = {"out": str(tmp_path), "hidden": 8, "intermediate": intermediate, "segments": segments}
    found = worker.ask("call", timeout=120, target="tests.support.feed_forward:found", arguments=arguments)
    assert found["value"] == [["0.down", "1.down"], ["head"]]
