"""Checkpoints for ``tests.mutation.calibration``, made in a worker process that calls :func:`make`: seeded or published
weights, fine-tuned by the suite's own job with other hyper-parameters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.core.machine import this_machine
from fixtures.harness import weight_sources
from fixtures.models.bert import minilm_l6
from fixtures.worker.jobs import fine_tune
from fixtures.worker.jobs import mrpc as data
from tests.support.folders import ordinary

Say = Callable[[str], None]


def pairs(say: Say, out: str, mrpc: str | None) -> None:
    """``train.json`` and ``dev.json`` in the new folder ``out``: MRPC's from the folder ``mrpc``, or the stand-in's."""
    partial = Path(f"{out}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    if mrpc is None:
        data.from_standin(say, str(partial))
    else:
        data.from_folder(say, str(partial), mrpc)
    partial.rename(out)


def make(
    say: Say,
    out: str,
    scratch: str,
    name: str,
    base: dict[str, Any] | None,
    learnt_from: str | None,
    train: int | None,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> dict[str, Any]:
    """The checkpoint ``name`` in the folder ``out``, and its ``accuracy`` on the dev pairs of ``learnt_from``.

    It begins as ``base``, fields of ``tests.support.folders.ordinary``, or as the default model's published weights. It is
    fine-tuned on the first ``train`` pairs of the folder ``learnt_from``, or left as it is (None).
    """
    folder = Path(out)
    if base is not None and learnt_from is None:
        ordinary(say, out, **base)
        return {"accuracy": None}
    assert learnt_from is not None, "the default model is fine-tuned"
    start = Path(scratch) / "base"
    if base is not None:
        ordinary(say, str(start), **base)
    else:
        start = _published()
    chosen = Path(scratch) / "train.json"
    chosen.write_text(json.dumps(data.read(Path(learnt_from), "train")[:train]), encoding="utf-8")
    fine_tune.run(
        say, out, str(start), str(chosen), name, epochs=epochs, learning_rate=learning_rate,
        batch=minilm_l6().fine_tune.batch, seed=seed, bfloat16=this_machine().native_bfloat16,
    )  # fmt: skip
    return {"accuracy": _accuracy(folder, data.read(Path(learnt_from), "dev"))}


def _published() -> Path:
    package = minilm_l6().package
    assert package is not None
    folder = weight_sources._installed(package)
    if folder is None:
        raise RuntimeError(f"the default model takes the weights of {package.distribution}")
    return folder


def _accuracy(folder: Path, rows: list[data.Pair]) -> float:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    return fine_tune._accuracy(model, AutoTokenizer.from_pretrained(folder, local_files_only=True), rows)
