"""What a fault is: a build or a session that is subtly wrong, made of a right one by the backend's own code."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fixtures.integrity import MANIFEST
from fixtures.jobs.folder import WEIGHTS
from fixtures.registry import REGISTRY, Backend, Cell, Job, Lowering
from fixtures.spec import Shape

PREFIX = "fault_"
#: PyTorch f32, whose artifact is a folder that ``save_pretrained`` writes.
TRAINED: Cell = ("pytorch", "f32", "")
Arrays = Mapping[str, npt.NDArray[Any]]
Weights = dict[str, npt.NDArray[Any]]
Config = dict[str, Any]
FOLDER = Path(__file__).parent


def everywhere(low: Lowering) -> bool:
    """Every cell of the matrix."""
    return True


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of a variant: ``says`` what is wrong in one line.

    ``on`` picks the cells where it makes sense; ``inherited``: a cell that starts from another one's artifact starts from
    that one's faulty build; ``families`` of models that can have it (none named: all).
    """

    name: str
    says: str
    on: Callable[[Lowering], bool] = everywhere
    inherited: bool = True
    families: tuple[str, ...] = ()

    @property
    def recipe(self) -> str:
        return PREFIX + self.name

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        """The faulty artifact in ``job.out``, and its metadata."""
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
    """``change(config, weights)`` alters a copy of the checkpoint in place; the lowering itself is right."""

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
            return low.build(replace(job, checkpoint=folder, shape=Shape.of(config)))


@dataclass(frozen=True, kw_only=True)
class TrainingFault(Fault):
    """Other weights of the same model, which ``train(job)`` leaves in ``job.out``: they are the artifact of one cell, from
    which the others start."""

    train: Callable[[Job], None]

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
    """``during(lowering)`` is in force while it runs, ``before(job)`` changes what it is given, ``after(folder)`` its files."""

    during: Callable[[Lowering], AbstractContextManager[Any]] = nullcontext
    before: Callable[[Job], Job] = lambda job: job
    after: Callable[[Path], None] = lambda folder: None

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        with self.during(low):
            meta = low.build(self.before(job))
        self.after(job.out)
        return meta


@dataclass(frozen=True, kw_only=True)
class SessionFault(Fault):
    """A right artifact in a runtime that is wrong: what it is given, what it gives back, or how it was opened."""

    inherited: bool = False
    inputs: Callable[[Arrays], Arrays] = dict
    #: ``outputs(outputs, inputs, memory)``; ``memory`` is the session's own dictionary.
    outputs: Callable[[dict[str, Any], Arrays, dict[str, Any]], dict[str, Any]] = lambda outputs, inputs, memory: outputs
    opened: Callable[[Any], None] = lambda backend: None

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        """The files of the right artifact, which the fault's cell ``needs``."""
        for path in sorted(job.needed("").rglob("*")):
            if path.is_file() and path.name != MANIFEST:
                copy = job.out / path.relative_to(job.needed(""))
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.hardlink_to(path)
        meta: dict[str, Any] = json.loads(job.needed(MANIFEST).read_text(encoding="utf-8"))["meta"]
        return {**meta, "session": self.name}


def register(fault: Fault, low: Lowering) -> None:
    """The cell of ``fault`` beside that of ``low``, with its backend wrapped so that it heeds what is said of a session."""
    needs: Cell | None = low.needs
    if isinstance(fault, TrainingFault) and needs is None and low.cell != TRAINED:
        needs = TRAINED
    if isinstance(fault, SessionFault):
        needs = low.cell
    elif fault.inherited and needs is not None:
        needs = (needs[0], needs[1], fault.recipe)
        if needs not in REGISTRY.lowerings:
            register(fault, REGISTRY.lowerings[(*needs[:2], "")])

    def build(job: Job) -> dict[str, Any]:
        return fault.build(replace(job, recipe=low.recipe), low)

    cell = (low.backend, low.precision, fault.recipe)
    if cell in REGISTRY.lowerings:
        return
    files = (Path(str(low.build.__code__.co_filename)), *sorted(FOLDER.glob("*.py")))
    REGISTRY.lowerings[cell] = replace(
        low,
        recipe=fault.recipe,
        build=build,
        needs=needs,
        families=fault.families or low.families,
        close=False,
        summary=fault.says,
        sources=files,
    )


def heeding(backend: type[Backend], faults: Mapping[str, SessionFault]) -> type[Backend]:
    """``backend`` as it is with an artifact whose metadata names one of ``faults``."""

    class Faulty(backend):  # type: ignore[misc,valid-type]
        def load(self, artifact: Path, meta: Mapping[str, Any], shape: Shape, threads: int) -> None:
            super().load(artifact, meta, shape, threads)
            self.fault = faults.get(meta.get("session", ""))
            self.memory: dict[str, Any] = {}
            if self.fault is not None:
                self.fault.opened(self)

        def prepare(self, inputs: Arrays) -> Any:
            if self.fault is None:
                return super().prepare(inputs)
            self.given = inputs
            return super().prepare(self.fault.inputs(inputs))

        def outputs(self, result: Any) -> dict[str, Any]:
            found: dict[str, Any] = super().outputs(result)
            return found if self.fault is None else self.fault.outputs(found, self.given, self.memory)

    functools.update_wrapper(Faulty, backend, updated=())
    return Faulty
