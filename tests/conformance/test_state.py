"""Tests that one inference does not affect another: results, buffers, the caller's arrays, threads and the process.

Also tests that a copy of an artifact in another folder gives identical outputs, and that it is large enough for its weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.core.errors import RemoteError
from fixtures.core.registry import REGISTRY, Arrays
from fixtures.core.spec import Precision, Variant
from fixtures.harness.checkpoints import Checkpoint
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import other_bits
from fixtures.metrics.inputs import timed
from fixtures.store.manifest import MANIFEST
from fixtures.timing.roofline import WIDTHS, parameters

pytestmark = [pytest.mark.phase("invariance"), pytest.mark.variants(size="tiny", reference=True, stands_for_all=True)]
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
    found = other_bits(session.run(probes), other)
    assert found is None, f"{variant.id}: a copy in another process has {found}"


@pytest.mark.variants(reference=False)
def test_a_file_has_room_for_its_weights(
    harness: Harness, variant: Variant, precision: Precision, checkpoint: Checkpoint, session: Session, probes: Arrays
) -> None:
    """The size in the table is that of the existing files, and at least that of the weights in their precision."""
    session.run(probes)  # an artifact that does not run has no size that matters
    artifact = harness.artifact(variant)
    there = sum(path.stat().st_size for path in artifact.path.rglob("*") if path.is_file() and path.name != MANIFEST)
    assert artifact.size_mib == there / 2**20, f"{variant.id}: its files have {there / 2**20:.2f} MiB"
    stored = REGISTRY.lowering(variant).stored
    least = parameters(checkpoint.shape, artifact.meta.get("longest")) * WIDTHS[stored]
    assert there >= least, f"{variant.id}: {there} bytes are too few for weights in {stored}, which take {least}"
