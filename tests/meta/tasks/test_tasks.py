"""Tests every task on small trained models and on data as users have them, each with one command over all backends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.harness.harness import Harness
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.task_metrics import METRICS
from tests.support.nested import run
from tests.support.task_files import WRITERS

#: The least of the first metric that PyTorch f32 reaches, far above what a model that has learnt nothing does.
LEARNT = {
    "classification": 0.8, "regression": 0.6, "token-classification": 0.6, "question-answering": 0.1, "retrieval": 0.7,
    "similarity": 0.5, "masked-words": 0.3,
}  # fmt: skip
OPTIONS = {"regression": ["--columns=text=review,label=stars"], "similarity": ["--task=similarity"]}
COLUMNS = {"regression": {"text": "review", "label": "stars"}}


def test_every_task_names_what_exists() -> None:
    for name, task in REGISTRY.tasks.items():
        assert task.name == name
        assert task.title
        assert task.summary
        assert set(task.metrics) <= set(METRICS), name


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(WRITERS))
def test_one_command_judges_a_users_model_on_their_rows(task: str, harness: Harness, tmp_path: Path) -> None:
    """The task follows from the head, where it can; every variant agrees, is scored, and loses no more than it may."""
    data, model = tmp_path / "data", tmp_path / "model"
    data.mkdir()
    worker = WorkerProcess(task, tmp_path / "log", threads=harness.settings.threads)
    arguments = {"out": str(model), "folder": str(data), "task": task, "columns": COLUMNS.get(task)}
    worker.ask("call", timeout=600, target="tests.support.task_files:trained", arguments=arguments)
    worker.close()
    result = run(
        "bench/test_quality.py", f"--checkpoint=small={model}", f"--data={data}", *OPTIONS.get(task, []),
        "--precisions=f32,int8_dynamic", f"--artifacts={harness.store.root}", f"--benchmark-json={tmp_path / 'run.json'}",
        timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    content = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["encoder_parity"]
    assert content["data"]["task"] == REGISTRY.tasks[task].title
    rows = {name: row for name, row in content["rows"].items() if "library_default" not in name}
    assert set(rows) >= {f"small-{cell}" for cell in ("pytorch-f32", "onnxruntime_fused-int8_dynamic", "tflite-f32")}
    for name, row in rows.items():
        if "known" not in row:
            assert set(row["metrics"]) == set(REGISTRY.tasks[task].metrics), name
            assert row["baseline_score"] > LEARNT[task], name
            assert row["score"] > 0.8 * row["baseline_score"], name
            assert row["flips"] == 0 or not name.endswith("f32"), name
