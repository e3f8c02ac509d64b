"""Makes checkpoints for ``tests.mutation.calibration``, in a worker process that calls :func:`make`.

Their weights are seeded or published, and fine-tuned by the suite's job with other hyper-parameters.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.core.machine import this_machine
from fixtures.harness import weight_sources
from fixtures.models.bert import minilm_l6
from fixtures.worker.jobs import fine_tune
from fixtures.worker.jobs import mrpc as data
from tests.support.folders import ordinary

Say = Callable[[str], None]


def pairs(say: Say, out: str, mrpc: str | None) -> None:
    """Write ``train.json`` and ``dev.json`` into the new folder ``out``: MRPC from the folder ``mrpc``, or the stand-in."""
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
    """Make the checkpoint ``name`` in the folder ``out``; returns its ``accuracy`` on the dev pairs of ``learnt_from``.

    It starts from ``base``, fields of ``tests.support.folders.ordinary``, or from the default model's published weights. It is
    fine-tuned on the first ``train`` pairs of the folder ``learnt_from``; with None it is not trained.
    """
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
    chosen.write_text(json.dumps(data.read_rows(Path(learnt_from) / "train.json")[:train]), encoding="utf-8")
    fine_tune.run(
        say, out, str(start), str(chosen), name, **data.TRAINING, epochs=epochs, learning_rate=learning_rate,
        batch=minilm_l6().fine_tune.batch, seed=seed, bfloat16=this_machine().native_bfloat16,
    )  # fmt: skip
    return {"accuracy": _accuracy(say, out, Path(learnt_from) / "dev.json", scratch)}


def _published() -> Path:
    package = minilm_l6().package
    assert package is not None
    folder = weight_sources._installed(package)
    if folder is None:
        raise RuntimeError(f"the default model takes the weights of {package.distribution}")
    return folder


def _accuracy(say: Say, folder: str, dev: Path, scratch: str) -> float:
    task = {name: data.TRAINING[name] for name in ("task", "longest")}
    fine_tune.outputs(say, scratch, folder, str(dev), **task)
    with np.load(Path(scratch) / "outputs.npz") as arrays:
        right = arrays["outputs"].argmax(1) == [row["label"] for row in data.read_rows(dev)]
    return float(right.mean())
