"""Defines a fault: a subtly wrong build or session, made from a correct one by the backend's own code."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fixtures.core.families import family_of
from fixtures.core.registry import REGISTRY, Cell, Job, Lowering
from fixtures.store.manifest import MANIFEST
from fixtures.worker.jobs.checkpoint_files import WEIGHTS

PREFIX = "fault_"
#: Prefix of the recipes of harmless changes: no test may fail for them.
HARMLESS = "harmless_"
#: The cell PyTorch f32, whose artifact is a folder that ``save_pretrained`` writes.
TRAINED: Cell = ("pytorch", "f32", "")
Weights = dict[str, npt.NDArray[Any]]
Config = dict[str, Any]
FOLDER = Path(__file__).parent


def everywhere(low: Lowering) -> bool:
    """True for every cell of the matrix."""
    return True


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of a variant.

    ``says`` describes the fault in one line. ``on`` selects the cells where it makes sense. ``inherited``: a cell that starts
    from another cell's artifact starts from that cell's faulty build. ``families``: the families of models that can have the
    fault (empty: all). ``harmless``: the change affects how something is computed but is not an error.
    """

    name: str
    says: str
    on: Callable[[Lowering], bool] = everywhere
    inherited: bool = True
    families: tuple[str, ...] = ()
    harmless: bool = False

    @property
    def recipe(self) -> str:
        return (HARMLESS if self.harmless else PREFIX) + self.name

    def needs(self, low: Lowering) -> Cell | None:
        """The cell from whose artifact the fault's cell starts, in addition to that of ``low``."""
        return (*low.needs[:2], self.recipe) if low.needs is not None and self.inherited else low.needs

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        """Build the faulty artifact in ``job.out``; returns its metadata."""
        raise NotImplementedError


@contextmanager
def without_weights(job: Job) -> Iterator[Path]:
    """A copy of the job's checkpoint that lacks its weights."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        shutil.copytree(job.checkpoint, folder, ignore=shutil.ignore_patterns(MANIFEST, WEIGHTS), dirs_exist_ok=True)
        yield folder


@dataclass(frozen=True, kw_only=True)
class CheckpointFault(Fault):
    """A fault of the checkpoint: ``change(config, weights)`` alters a copy of it in place; the lowering is correct."""

    change: Callable[[Config, Weights], None]

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        from safetensors.numpy import load_file, save_file

        config: Config = json.loads((job.checkpoint / "config.json").read_text(encoding="utf-8"))
        weights: Weights = load_file(str(job.checkpoint / WEIGHTS))
        self.change(config, weights)
        with without_weights(job) as folder:
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
            whole = {name: np.ascontiguousarray(array) for name, array in weights.items()}
            save_file(whole, str(folder / WEIGHTS), metadata={"format": "pt"})
            return low.build(replace(job, checkpoint=folder, shape=family_of(config).shape))


@dataclass(frozen=True, kw_only=True)
class TrainingFault(Fault):
    """A fault of training: ``train(job)`` writes other weights of the same model into ``job.out``.

    They are the artifact of one cell, from which the other cells start.
    """

    train: Callable[[Job], None]

    def needs(self, low: Lowering) -> Cell | None:
        return (*TRAINED[:2], self.recipe) if low.needs is None and low.cell != TRAINED else super().needs(low)

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        if low.cell == TRAINED:
            self.train(job)
            return {"dtype": "float32"}
        if low.needs is not None:
            return low.build(job)
        with without_weights(job) as folder:
            (folder / WEIGHTS).hardlink_to(job.needed(WEIGHTS))
            return low.build(replace(job, checkpoint=folder, source=None))


@dataclass(frozen=True, kw_only=True)
class BuildFault(Fault):
    """A fault of the build: ``before(job)`` changes its input, ``during(lowering)`` patches it, ``after(folder)`` its files."""

    during: Callable[[Lowering], AbstractContextManager[Any]] = nullcontext
    before: Callable[[Job], Job] = lambda job: job
    after: Callable[[Path], None] = lambda folder: None

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        with self.during(low):
            meta = low.build(self.before(job))
        self.after(job.out)
        return meta


def linked(job: Job) -> dict[str, Any]:
    """Link the files of the artifact that ``job`` needs into ``job.out``; returns its metadata."""
    for path in sorted(job.needed("").rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            copy = job.out / path.relative_to(job.needed(""))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(path)
    meta: dict[str, Any] = json.loads(job.needed(MANIFEST).read_text(encoding="utf-8"))["meta"]
    return meta


def register(fault: Fault, low: Lowering) -> None:
    """Register the cell of ``fault`` for the cell ``low``, after the cells from which it starts."""
    cell, needs = (low.backend, low.precision, fault.recipe), fault.needs(low)
    if cell in REGISTRY.lowerings:
        return
    if needs is not None and needs not in REGISTRY.lowerings:
        register(fault, REGISTRY.lowerings[(*needs[:2], "")])

    def build(job: Job) -> dict[str, Any]:
        return fault.build(replace(job, recipe=low.recipe), low)

    REGISTRY.lowerings[cell] = replace(
        low,
        recipe=fault.recipe,
        build=build,
        needs=needs,
        families=fault.families or low.families,
        minor=False,
        summary=fault.says,
        sources=(Path(str(low.build.__code__.co_filename)), *sorted(FOLDER.glob("*.py"))),
    )
