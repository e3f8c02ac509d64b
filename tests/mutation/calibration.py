"""Measures how often the suite fails correct builds, on other checkpoints: ``python -m tests.mutation.calibration``.

Checkpoints are seeded or fine-tuned with other seeds, epochs, learning rates, data and geometries than those of the suite. The
conformance tests then run on every recommended variant of each, in a separate pytest process; every failure is a false alarm.
``--keep DIR`` keeps checkpoints and JUnit files, and a later call makes only those that are missing.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures.core.machine import this_machine
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.emulation import CPUS
from fixtures.options.paths import place
from tests.mutation.detection import CONFORMANCE, collect

#: With other weights, a known failure may not occur.
RECOMMENDED = "not test_the_longest and not library_default and not full_integer"
MRPC, STANDIN = "MRPC", "stand-in"
EMULATED = ("Haswell", "neoverse-n1")
#: The backends whose packages an emulated Python has.
ELSEWHERE = "pytorch,torchscript,onnxruntime,onnxruntime_fused,tflite"


@dataclass(frozen=True)
class Subject:
    """A checkpoint to be made and tested.

    ``base``: fields of ``tests.support.folders.ordinary``, or None for the default model's published weights. ``data``: the
    training data; without it, the weights stay random. ``train``: the number of training pairs, None for all.
    """

    name: str
    base: dict[str, Any] | None = field(default_factory=dict)
    data: str = ""
    epochs: int = 0
    learning_rate: float = 0.0
    seed: int = 0
    train: int | None = None

    @property
    def made(self) -> str:
        """A description of how the checkpoint was made, for the table."""
        what = "minilm-l6" if self.base is None else ", ".join(f"{k} {v}" for k, v in self.base.items()) or "2 x 128"
        if not self.data:
            return f"{what}; as drawn"
        rows = f"{self.train} pairs of {self.data}" if self.train else self.data
        return f"{what}; {rows}, {self.epochs} x {self.learning_rate:g}, seed {self.seed}"


_THREE = {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 3}
#: About 50 minutes of two cores: training a minute and a half for the default model's one epoch of MRPC, seconds for others.
SUBJECTS = (
    Subject("small-1", {"seed": 1}, STANDIN, 1, 1e-4, 1),
    Subject("small-2", {"seed": 2}, STANDIN, 3, 5e-4, 2),
    Subject("small-3", {"seed": 3}, STANDIN, 5, 1e-3, 3),
    Subject("small-4", {"seed": 4}, MRPC, 1, 1e-4, 4),
    Subject("small-5", {"seed": 5}, MRPC, 2, 3e-4, 5),
    Subject("small-6", {"seed": 6, "initializer_range": 0.02}, MRPC, 4, 5e-4, 6, 1200),
    Subject("three-layers", {"seed": 7, **_THREE}, STANDIN, 5, 5e-4, 7),
    Subject("distilbert", {"family": "distilbert", "seed": 8}, STANDIN, 3, 5e-4, 8),
    Subject("ibert", {"family": "ibert", "lowercase": False, "seed": 9}, STANDIN, 2, 5e-4, 9),
    Subject("minilm-1", None, MRPC, 1, 1.2e-4, 1),
    Subject("minilm-2", None, MRPC, 3, 5e-5, 2, 1200),
    Subject("minilm-3", None, STANDIN, 2, 1.2e-4, 3),
    Subject("24-heads", {"hidden_size": 96, "num_attention_heads": 24, "intermediate_size": 500}),
    Subject("one-layer", {"num_hidden_layers": 1, "seed": 11}),
    Subject("narrowing", {"intermediate_size": 64, "seed": 12}),
    Subject("40-positions", {"max_position_embeddings": 40, "seed": 13}),
    Subject("150-labels", {"labels": 150, "seed": 14}),
)


def checkpoint(subject: Subject, keep: Path, mrpc: Path | None) -> Path:
    """The folder of ``subject`` under ``keep``, made if it does not exist; ``NAME.json`` beside it has its accuracy."""
    folder, said = keep / subject.name, keep / f"{subject.name}.json"
    if said.is_file():
        return folder
    with tempfile.TemporaryDirectory(dir=keep) as scratch:
        worker = WorkerProcess(subject.name, Path(scratch) / "log", threads=this_machine().cores, say=_say)
        try:
            learnt = _pairs(worker, subject.data, keep, mrpc) if subject.data else None
            arguments = {
                "out": f"{scratch}/made", "scratch": scratch, "name": subject.name, "base": subject.base,
                "learnt_from": str(learnt) if learnt else None, "train": subject.train, "epochs": subject.epochs,
                "learning_rate": subject.learning_rate, "seed": subject.seed,
            }  # fmt: skip
            made = worker.ask("call", timeout=3600, target="tests.mutation.calibrated:make", arguments=arguments)["value"]
        finally:
            worker.close()
        shutil.rmtree(folder, ignore_errors=True)
        (Path(scratch) / "made").rename(folder)
    said.write_text(json.dumps(made), encoding="utf-8")
    return folder


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _pairs(worker: WorkerProcess, data: str, keep: Path, mrpc: Path | None) -> Path:
    folder = keep / f"{data.lower()}-pairs"
    if not folder.is_dir():
        arguments = {"out": str(folder), "mrpc": str(mrpc) if data == MRPC else None}
        worker.ask("call", timeout=600, target="tests.mutation.calibrated:pairs", arguments=arguments)
    return folder


def chosen(pattern: str, emulated: bool, mrpc: Path | None) -> Iterator[Subject]:
    """The subjects whose names match: only small ones for an emulated CPU, and without MRPC none that needs it."""
    for subject in SUBJECTS:
        if not any(fnmatch.fnmatchcase(subject.name, part) for part in pattern.split(",")):
            continue
        if subject.data == MRPC and mrpc is None:
            _say(f"{subject.name}: left out, it takes MRPC in ENCODER_PARITY_MRPC")
        elif not (emulated and subject.base is None):
            yield subject


def conform(subject: Subject, folder: Path, junit: Path, mrpc: Path | None, workers: int, emulated: str, backends: str) -> None:
    """Run the conformance tests on every recommended variant of ``subject``, with accuracy on its own training task."""
    options = [f"--checkpoint={subject.name}={folder}", "-k", RECOMMENDED]
    if subject.data == MRPC:
        options.append(f"--mrpc={mrpc}")
    if emulated:
        options.append(f"--run-python={emulated}")
    if backends:
        options.append(f"--backends={backends}")
    kept = {name: os.environ[name] for name in ("ENCODER_PARITY_ARTIFACTS",) if name in os.environ}
    collect(junit, *CONFORMANCE, *options, workers=workers, **kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, test, write the page; returns 1 if a correct build failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.calibration", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("calibration"),
        metavar="FOLDER",
        help="checkpoints and JUnit files (default: calibration)",
    )
    parser.add_argument("--only", default="*", metavar="PATTERNS", help="checkpoints by name, such as small-*,minilm-1")
    parser.add_argument(
        "--emulated", choices=EMULATED, default="", help="run on that CPU, small ones only (scripts/emulate.py)"
    )
    parser.add_argument("--backends", metavar="NAMES", help="of these backends only, as pytest's --backends")
    parser.add_argument("-n", dest="workers", type=int, default=2, help="xdist workers (default: 2)")
    parser.add_argument("-o", dest="page", type=Path, default=Path("docs/calibration.md"), metavar="FILE")
    asked = parser.parse_args(arguments)
    if not asked.page.is_file():
        parser.error(f"-o {asked.page}: there is no such page; give a copy of docs/calibration.md, whose tables are renewed")
    if asked.emulated and not (CPUS[asked.emulated].folder / "bin" / asked.emulated).exists():
        parser.error(f"--emulated {asked.emulated}: make it first with `python -m scripts.emulate {asked.emulated}`")
    mrpc = place("ENCODER_PARITY_MRPC", text) if (text := os.environ.get("ENCODER_PARITY_MRPC")) else None
    keep = asked.keep.absolute()
    keep.mkdir(parents=True, exist_ok=True)
    subjects = list(chosen(asked.only, bool(asked.emulated), mrpc))
    if not subjects:
        parser.error(f"--only {asked.only}: none of {', '.join(subject.name for subject in SUBJECTS)}")
    backends = asked.backends or (ELSEWHERE if asked.emulated else "")
    for subject in subjects:
        folder, junit = checkpoint(subject, keep, mrpc), _junit(keep, subject, asked.emulated)
        conform(subject, folder, junit, mrpc, asked.workers, asked.emulated, backends)
    from tests.mutation.calibration_page import results, write  # that module imports from this one

    found = results((s, keep / f"{s.name}.json", _junit(keep, s, asked.emulated)) for s in subjects)
    write(asked.page, found, asked.emulated)
    alarms = sum(result.alarms for result in found)
    print(f"{len(found)} checkpoints, {sum(result.variants for result in found)} variants, {alarms} false alarms")
    return int(alarms > 0)


def _junit(keep: Path, subject: Subject, emulated: str) -> Path:
    return keep / f"{subject.name}{f'-on-{emulated}' if emulated else ''}.xml"


if __name__ == "__main__":
    sys.exit(main())
