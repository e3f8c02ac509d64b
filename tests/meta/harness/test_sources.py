"""Tests the sources of weights and data with real files: a hub's cache, a user's folder, an installed package, none."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from fixtures.core.errors import RemoteError, SuiteError
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Package
from fixtures.harness import weight_sources
from fixtures.harness.worker_process import WorkerProcess
from tests.support.nested import run

ONE_VARIANT = ("bench/test_quality.py", "--backends=pytorch", "--precisions=f32", "--size=full", "--no-fine-tune")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small DistilBERT as save_pretrained() writes it, with its tokenizer."""
    out = tmp_path_factory.mktemp("saved") / "distilbert"
    model = REGISTRY.models["distilbert-base-cased"]
    arguments = {"family": "distilbert", "config": model.configuration("tiny"), "lowercase": False, "seed": 1}
    worker = WorkerProcess("seeded", out.parent / "log", threads=1)
    try:
        worker.ask(
            "call", timeout=120, target="fixtures.worker.jobs.checkpoint:seeded", arguments={"out": str(out), **arguments}
        )
    finally:
        worker.close()
    return out


def cached(home: Path, kind: str, repository: str) -> Path:
    """The folder of a snapshot in the cache of huggingface_hub."""
    root = home / "hub" / f"{kind}s--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(snapshot.name)
    return snapshot


@pytest.mark.slow
def test_the_hubs_cache_serves_weights_and_mrpc_offline(folder: Path, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    shutil.copytree(folder, cached(tmp_path / "hf", "model", "distilbert/distilbert-base-cased"), dirs_exist_ok=True)
    glue = cached(tmp_path / "hf", "dataset", "nyu-mll/glue") / "mrpc"
    glue.mkdir()
    for split, rows in (("train", 300), ("validation", 40)):
        columns = {
            "sentence1": [f"The company sold {i} shares on Monday ." for i in range(rows)],
            "sentence2": [f"On Monday {i} shares were sold ." for i in range(rows)],
            "label": [i % 2 for i in range(rows)],
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), glue / f"{split}-00000-of-00001.parquet")
    arguments = ("--models=distilbert-base-cased", f"--artifacts={tmp_path / 'store'}")
    found = run(*ONE_VARIANT, "-k", "agreement", *arguments, HF_HOME=str(tmp_path / "hf"))
    assert found.returncode == 0, found.stdout[-3000:]
    assert "data: MRPC (300 train and 40 dev rows, majority class 0.500)" in found.stdout
    assert "1 passed" in found.stdout
    assert "weights: distilbert-base-cased: hub distilbert/distilbert-base-cased" in found.stdout


@pytest.mark.slow
def test_without_hub_and_mrpc_seeded_weights_and_the_stand_in_serve_and_say_so(tmp_path: Path) -> None:
    arguments = ("--models=distilbert-base-cased", f"--artifacts={tmp_path}", f"--checkpoint=distilbert-base-cased={tmp_path}")
    refused = run(*ONE_VARIANT, *arguments)
    assert refused.returncode == 4
    assert "has no config.json" in refused.stderr
    tiny = ("bench", "--backends=onnxruntime", "--precisions=f32", "--size=tiny", "--models=distilbert-base-cased")
    found = run(*tiny, f"--artifacts={tmp_path}", HF_HOME=str(tmp_path / "empty"))
    assert found.returncode == 0, found.stdout[-3000:]
    assert "data: stand-in, generated, NOT MRPC" in found.stdout
    assert "weights: distilbert-base-cased-tiny: seeded (2021)" in found.stdout
    assert "ok, no accuracy (seeded weights)" in found.stdout
    assert "data: MRPC" not in found.stdout


@pytest.mark.slow
def test_a_users_folder_goes_through_the_suite_whether_or_not_it_knows_the_task(folder: Path, tmp_path: Path) -> None:
    """A user's folder is tested in full; if its head has not learnt the task, accuracy is skipped with this reason."""
    found = run(*ONE_VARIANT, f"--checkpoint=my-bert={folder}", f"--artifacts={tmp_path}", HF_HOME=str(tmp_path / "empty"))
    assert found.returncode == 0, found.stdout[-3000:]
    assert "1 passed, 1 skipped" in found.stdout
    why = r"accuracy 0\.\d+ where the majority class has 0\.667: fine-tune it on this task first"
    assert re.search(rf"accuracy needs a head that has learnt this task: my-bert has {why}", found.stdout)
    assert re.search(rf"ok, no accuracy \({why}\)", found.stdout)


def test_a_folder_of_another_architecture_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    config = (broken / "config.json").read_text().replace('"n_layers": 2', '"n_layers": 3')
    (broken / "config.json").write_text(config)
    worker = WorkerProcess("copy", tmp_path / "log", threads=1)
    arguments = {"out": str(tmp_path / "out"), "source": str(broken), "family": "distilbert", "labels": 2, "seed": 1}
    try:
        with pytest.raises(RemoteError, match=r"^ValueError: .* lacks \d+ encoder weights, such as distilbert\.transformer"):
            worker.ask("call", timeout=120, target="fixtures.worker.jobs.checkpoint:copy", arguments=arguments)
    finally:
        worker.close()


def test_a_package_whose_weights_were_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_weights" / "model").mkdir(parents=True)
    (tmp_path / "some_weights" / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "some_weights" / "model" / "model.safetensors").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    package = Package("some-weights", "some_weights", "model", "0" * 64)
    with pytest.raises(SuiteError, match=r"is not what some-weights published .*: reinstall it with pip install"):
        weight_sources._installed(package)
    assert "some_weights" not in sys.modules
    assert weight_sources._installed(Package("x", "no_such_module", "model", "")) is None
