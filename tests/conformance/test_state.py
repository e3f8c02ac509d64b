"""Tests that one inference does not affect another: results, buffers, the caller's arrays, threads and the process.

Also tests that a copy of an artifact in another folder gives identical outputs, and that it is large enough for its weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.errors import RemoteError
from fixtures.core.registry import REGISTRY, Arrays
from fixtures.core.spec import Precision, Variant
from fixtures.harness.checkpoints import Checkpoint
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.inputs import timed
from fixtures.store.manifest import MANIFEST
from fixtures.store.source_code import ROOT
from fixtures.timing.roofline import WIDTHS, parameters
from fixtures.worker import side_effects

pytestmark = [pytest.mark.phase("invariance"), pytest.mark.variants(size="tiny", reference=True)]
#: Number of calls. 1100 calls detect an error in every thousandth; an emulated CPU would take minutes for them.
CALLS, CALLS_EMULATED = 1100, 60
#: Tokens of the rows in these calls.
SHORT = 8
#: Tolerance for the number of busy threads: a thread that has woken another one may still run for a moment.
THREAD = 0.5


def test_no_call_disturbs_another(harness: Harness, variant: Variant, session: Session) -> None:
    """A thousand calls with three inputs in turn give the same outputs every time, in separate buffers."""
    calls = CALLS_EMULATED if harness.target.emulated else CALLS
    found = session.repeat(timed(session.shape, 1, min(SHORT, session.shape.max_length)), calls)
    assert not found, f"{variant.id}: {'; '.join(found)}"


def test_timed_rounds_compute_what_they_are_asked(variant: Variant, session: Session) -> None:
    """Timed rounds do the whole inference: they neither return cached results nor compute lazily when outputs are read.

    As in a measurement of latency, every input is new, and inputs with known outputs must return these outputs.
    """
    session.warm_up(*timed(session.shape, 1, min(SHORT, session.shape.max_length)))
    assert len(session.rounds(0.0, at_least=20).seconds) == 20
    try:
        session.confirm()
    except RemoteError as error:
        pytest.fail(f"{variant.id}: {error.sentence}")


def test_no_more_threads_work_than_asked_for(variant: Variant, session: Session, probes: Arrays) -> None:
    """With one thread, no second thread works on a batch that is large enough to be shared."""
    with session.with_threads(1):
        found = session.busy_threads(probes)
    assert found <= 1 + THREAD, f"{variant.id} was given 1 thread, and {found:.1f} work at a time"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for copies of artifacts, the only folder besides libraries that the confined process can read."""
    return tmp_path_factory.mktemp("alone")


@pytest.fixture(scope="session")
def alone(harness: Harness, place: Path) -> Iterator[Callable[[Variant, int], WorkerProcess]]:
    """``alone(variant, threads)`` returns a worker process that can read only libraries and the copies of artifacts."""
    workers: dict[tuple[tuple[str, ...], int], WorkerProcess] = {}

    def worker(variant: Variant, threads: int) -> WorkerProcess:
        runtime = REGISTRY.backends[variant.backend]
        key = (runtime.runtime or runtime.packages, threads)
        if key not in workers or not workers[key].alive:
            workers[key] = made = harness.pool.runner(f"alone-{variant.id}", threads)
            manifest = harness.artifact(variant).path / MANIFEST
            made.ask("confine", timeout=60, folder=str(place), beyond=str(manifest))
        return workers[key]

    yield worker
    for made in workers.values():
        made.close()


def test_a_copy_by_itself_in_another_process_is_bitwise_the_same(
    harness: Harness,
    variant: Variant,
    session: Session,
    probes: Arrays,
    place: Path,
    alone: Callable[[Variant, int], WorkerProcess],
) -> None:
    """A copy of the artifact gives identical outputs in a process that can read only this copy and libraries."""
    artifact, copy = harness.artifact(variant), place / variant.id
    shutil.copytree(artifact.path, copy, ignore=shutil.ignore_patterns(MANIFEST))
    try:
        worker = alone(variant, session.threads)
        other = Session(worker, variant.backend, copy, artifact.meta, session.shape, session.threads).run(probes)
    finally:
        shutil.rmtree(copy)
    same_bits(variant.id, session.run(probes), other)


def same_bits(name: str, expected: Arrays, got: Arrays) -> None:
    for output, array in expected.items():
        db = sqnr(array, got[output])
        assert np.array_equal(array, got[output]), f"{name}: a copy in another process has other {output} ({db:.0f} dB)"


@pytest.mark.variants(reference=False)
def test_a_file_has_room_for_its_weights(
    harness: Harness, variant: Variant, precision: Precision, checkpoint: Checkpoint
) -> None:
    """The size in the table is that of the existing files, and at least that of the weights in their precision."""
    artifact = harness.artifact(variant)
    there = sum(path.stat().st_size for path in artifact.path.rglob("*") if path.is_file() and path.name != MANIFEST)
    assert artifact.size_mib == there / 2**20, f"{variant.id}: its files have {there / 2**20:.2f} MiB"
    least = parameters(checkpoint.shape) * WIDTHS[precision.arithmetic]
    assert there >= least, f"{variant.id}: {there} bytes are too few for {precision.name} weights, which take {least}"


@pytest.mark.landlock
def test_a_confined_process_reads_its_folder_and_libraries(tmp_path: Path) -> None:
    """A confined process cannot read files outside of its folder and the libraries, by any path or link.

    An artifact whose weights are elsewhere would therefore lack them in such a process.
    """
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "weights.bin").write_bytes(b"weights")
    (inside / "link.bin").symlink_to(outside / "weights.bin")
    worker = WorkerProcess("confined", tmp_path / "log", threads=1)

    def read(path: Path) -> Any:
        return worker.ask("call", timeout=60, target="tests.support.mishaps:reads", arguments={"out": str(path)})["value"]

    try:
        assert read(outside / "weights.bin") == 7
        assert worker.ask("confine", timeout=60, folder=str(inside), beyond=str(outside / "weights.bin"))
        assert read(inside / "weights.bin") == 7
        for path in (
            outside / "weights.bin",
            inside / "link.bin",
            inside / ".." / "outside" / "weights.bin",
            ROOT / "README.md",
        ):
            with pytest.raises(RemoteError, match=r"^PermissionError"):
                read(path)
        with pytest.raises(RemoteError, match="lies among the libraries that every process must read"):
            worker.ask("confine", timeout=60, folder=str(inside), beyond=str(ROOT / "fixtures" / "worker" / "server.py"))
    finally:
        worker.close()


def test_a_last_bit_that_differs_is_told() -> None:
    one = {"logits": np.ones((2, 2), np.float32)}
    same_bits("variant", one, dict(one))
    with pytest.raises(AssertionError, match="variant: a copy in another process has other logits"):
        same_bits("variant", one, {"logits": np.nextafter(one["logits"], np.float32(2))})


class Right:
    """A correct backend written in numpy, for :func:`fixtures.worker.side_effects.faults`."""

    calls = 0

    def prepare(self, inputs: Any) -> Any:
        return inputs

    def invoke(self, prepared: Any) -> Any:
        self.calls += 1
        ids = prepared["input_ids"]
        return (ids * np.arange(1, 1 + ids.shape[1])).sum(1, keepdims=True).astype(np.float32)

    def outputs(self, result: Any) -> dict[str, Any]:
        return {"logits": result}


class EveryThousandth(Right):
    def invoke(self, prepared: Any) -> Any:
        before, self.last = getattr(self, "last", None), super().invoke(prepared)
        return before if self.calls % 1000 == 0 else self.last


class OneBuffer(Right):
    buffer = np.zeros((1, 1), np.float32)

    def outputs(self, result: Any) -> dict[str, Any]:
        self.buffer[...] = result
        return {"logits": self.buffer}


class ChangesInputs(Right):
    def invoke(self, prepared: Any) -> Any:
        result = super().invoke(prepared)
        prepared["input_ids"][:, 0] += self.calls > 1000
        return result


class UsesUpWhatIsPrepared(Right):
    def prepare(self, inputs: Any) -> Any:
        return {name: array.copy() for name, array in inputs.items()}

    def invoke(self, prepared: Any) -> Any:
        result = super().invoke(prepared)
        prepared["input_ids"][:] = 0
        return result


class Deaf(Right):
    def invoke(self, prepared: Any) -> Any:
        return np.ones((1, 1), np.float32)


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (Right, []),
        (EveryThousandth, ["1 of 1100 calls, call 996 first, have other outputs than their inputs had at first"]),
        (OneBuffer, ["the outputs of a call change when the next one runs"]),
        (
            ChangesInputs,
            ["100 of 1100 calls", "prepared inputs that are run twice", "a call changes the arrays that it is given"],
        ),
        (UsesUpWhatIsPrepared, ["prepared inputs that are run twice have other outputs"]),
        (Deaf, ["inputs that differ have the same outputs"]),
    ],
)
def test_what_a_call_must_not_do_to_another_is_found(backend: type[Right], says: list[str]) -> None:
    inputs = [{"input_ids": np.arange(5 + i, 13 + i)[None]} for i in range(3)]
    made: Any = backend()
    found = side_effects.faults(made, made.prepare, inputs, CALLS)
    assert len(found) == len(says), found
    assert all(said in line for line, said in zip(found, says, strict=True)), found
