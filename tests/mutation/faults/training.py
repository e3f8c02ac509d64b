"""A fault of the default model's fine-tuning: the weights of an early epoch replace those of the last."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from fixtures.core.machine import this_machine
from fixtures.core.registry import Job
from fixtures.harness import weight_sources
from fixtures.models.bert import minilm_l6
from fixtures.worker.jobs import fine_tune, mrpc
from tests.mutation.faults.spec import TrainingFault

MRPC = "ENCODER_PARITY_MRPC"


def _one_epoch(job: Job) -> None:
    """Trains with the suite's recipe and stops after the first epoch; takes a minute or two."""
    model = minilm_l6()
    assert model.package is not None
    folder = weight_sources._installed(model.package)
    if folder is None or MRPC not in os.environ:
        raise RuntimeError(f"the first epoch takes MRPC, in {MRPC}, and the weights of {model.package.distribution}")
    with tempfile.TemporaryDirectory() as pairs:
        mrpc.from_folder(print, pairs, os.environ[MRPC])
        fine_tune.run(
            print, str(job.out), str(folder), str(Path(pairs) / "train.json"), model.name, **mrpc.TRAINING, epochs=1,
            learning_rate=model.fine_tune.learning_rate, batch=model.fine_tune.batch, seed=model.fine_tune.seed,
            bfloat16=this_machine().native_bfloat16,
        )  # fmt: skip


FAULTS = (TrainingFault(name="first_epoch", says="the weights of the first epoch, not of the last", train=_one_epoch),)
