"""Tests a full disk: an error of one sentence, no half-written files, and no internal error of pytest."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import Crash, SuiteError
from fixtures.harness.worker_process import WorkerProcess
from fixtures.store.artifact import Request
from fixtures.store.eviction import prune
from fixtures.store.manifest import damage
from fixtures.store.store import Store
from tests.support import dying
from tests.support.filling import fill
from tests.support.nested import run
from tests.support.remotes import Node, whole

SENTENCE = r"^cannot write artifacts to \S+: No space left on device; give a writable folder with --artifacts DIR$"
ONE_VARIANT = ("tests/conformance/test_agreement.py", "--models=distilbert-base-cased", "--size=tiny", "--backends=onnxruntime",
               "--precisions=f32", "-k", "padded and not opset11")  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)  # noqa: S607
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)  # noqa: S607


@pytest.mark.mounts
@pytest.mark.parametrize(
    "job",
    ["writes_with_numpy", "writes_raw_arrays", "writes_with_torch", "writes_with_safetensors", "writes_with_onnx",
     "writes_to_its_log", "fills_the_disk_and_crashes"],
)  # fmt: skip
def test_a_child_that_fills_the_disk_is_one_sentence(disk: Path, job: str) -> None:
    """A worker process that fills the disk gives an error of one sentence, whatever error its library raises."""
    store = Store(disk, "run", print)
    worker = WorkerProcess(job, store.run / "worker.log", threads=1)
    request = Request("thing", {"job": job})
    try:
        with pytest.raises(SuiteError, match=SENTENCE):
            store.get(
                request,
                lambda out: worker.ask("call", timeout=60, target=f"tests.support.mishaps:{job}", arguments={"out": str(out)}),
            )
    finally:
        worker.close()
    assert not list((disk / "tmp").iterdir())
    assert not (disk / request.folder).exists()


def large(out: Path) -> Mapping[str, Any]:
    """Build more than the disk takes."""
    (out / "large.bin").write_bytes(bytes(8 * 2**20))
    return dying.build(out)


@pytest.mark.mounts
def test_an_artifact_that_fills_the_disk_when_it_arrives_is_one_sentence(disk: Path, tmp_path: Path) -> None:
    Node(tmp_path / "builder", str(tmp_path / "remote")).get(make=large)
    node = Node(disk, str(tmp_path / "remote"))
    with pytest.raises(SuiteError, match=SENTENCE):
        node.get(make=dying.crash)
    assert not list((disk / "tmp").iterdir())
    assert not (disk / dying.REQUEST.folder).exists()


@pytest.mark.mounts
def test_a_remote_whose_disk_is_full_costs_the_publication_only(disk: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", str(disk))
    assert damage(node.get(make=large).path, dying.REQUEST.key) is None
    assert node.said == [f"{disk} cannot be used any more (No space left on device); this run goes on without it"]
    assert whole(disk) == 0
    assert not list((disk / "tmp").iterdir()), "what does not fit is removed"


def session_of_a_store(root: Path) -> None:
    """Does everything that the parent process writes in a session."""
    store = Store(root, "run", lambda text: None)
    store.record("row", variant="x", figures={"text": "x" * 3000})
    store.get(dying.REQUEST, dying.build)
    try:
        store.get(dying.FAILING, dying.crash)
    except Crash:
        store.record("row", variant="y", figures={})


@pytest.mark.mounts
def test_a_parent_that_fills_the_disk_is_one_sentence_wherever_it_comes_to_its_end(disk: Path) -> None:
    """The parent process gives an error of one sentence wherever the disk becomes full.

    The disk has room for 0, 1, 2, ... pages of 4 KiB until the session succeeds; for a failed build that takes a MiB.
    """
    outcomes = []
    for pages in (*range(25), 400):
        for entry in disk.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        fill(disk)
        with (disk / "filler").open("ab") as filler:
            filler.truncate(filler.tell() - 4096 * pages)
        try:
            session_of_a_store(disk)
            outcomes.append("fine")
        except SuiteError as error:
            outcomes.append(str(error))
        (disk / "filler").unlink()
        folder = disk / dying.REQUEST.folder
        assert not folder.exists() or damage(folder, dying.REQUEST.key) is None, f"half an artifact with {pages} pages"
        again = Store(disk, "run", print)
        prune(again, 1)
        assert not list((disk / "tmp").iterdir()), f"something is left with {pages} pages"
        assert again.get(dying.REQUEST, dying.build).meta == {"opset": 17}
        assert len(again.journal("used")) >= 1, f"what a full disk left of a line hides the next, with {pages} pages"
        with pytest.raises(Crash):
            again.get(dying.FAILING, dying.crash)
    assert outcomes[-1] == "fine"
    assert re.match(SENTENCE, outcomes[0])
    assert set(outcomes) == {outcomes[0], "fine"}


@pytest.mark.mounts
@pytest.mark.parametrize(
    ("point", "workers", "code"), [("collection", 0, 2), ("setup", 0, 1), ("setup", 2, 1), ("teardown", 0, 1)]
)
def test_a_disk_that_fills_up_in_the_middle_of_a_session_is_one_sentence(
    disk: Path, point: str, workers: int, code: int
) -> None:
    arguments = ("-n", str(workers), "-p", "tests.support.filling", f"--artifacts={disk}")
    found = run(*ONE_VARIANT, *arguments, FILL=point)
    text = found.stdout + found.stderr
    assert found.returncode == code, text[-3000:]
    assert f"cannot write artifacts to {disk}: No space left on device; give a writable folder with --artifacts DIR" in text
    assert "INTERNALERROR" not in text, text[-3000:]
    assert "Traceback" not in text, text[-3000:]
    assert "fixtures/store/store.py" not in text, text[-3000:]


@pytest.mark.mounts
def test_a_full_disk_is_refused_before_anything_runs(disk: Path) -> None:
    fill(disk)
    found = run(*ONE_VARIANT, f"--artifacts={disk}")
    assert found.returncode == 4
    assert f"ERROR: cannot write artifacts to {disk}: No space left on device" in found.stderr
    assert "Traceback" not in found.stdout + found.stderr


@pytest.mark.mounts
def test_a_json_that_does_not_fit_is_one_sentence(disk: Path, tmp_path: Path) -> None:
    fill(disk)
    found = run("tests/meta/core/test_machine.py", f"--artifacts={tmp_path / 'store'}", f"--benchmark-json={disk / 'run.json'}")
    text = found.stdout + found.stderr
    assert found.returncode == 4, text[-3000:]
    assert "No space left on device; give a writable place with --benchmark-json, --report or --results" in text, text[-3000:]
    assert "Traceback" not in text, text[-3000:]
    assert "passed" in found.stdout, "the results of the tests are lost"


def test_a_limit_on_the_size_of_files_is_one_sentence(tmp_path: Path) -> None:
    """A limit set with ``ulimit -f``, as on shared machines, gives an error of one sentence; worker processes inherit it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = Store(tmp_path, "run", print)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        worker = WorkerProcess("numpy", store.run / "worker.log", threads=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    try:
        with pytest.raises(SuiteError, match=r": File too large; give a writable folder with --artifacts DIR$"):
            store.get(
                Request("thing", {}),
                lambda out: worker.ask(
                    "call", timeout=60, target="tests.support.mishaps:writes_with_numpy", arguments={"out": str(out)}
                ),
            )
    finally:
        worker.close()


@pytest.mark.parametrize(("path", "why"), [("gone/run.json", "there is no folder"), (".", "it is a folder")])
def test_a_json_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, path: str, why: str) -> None:
    found = run("tests/meta/core/test_machine.py", f"--artifacts={tmp_path / 'store'}", f"--benchmark-json={tmp_path / path}")
    assert found.returncode == 4, found.stdout
    assert found.stderr.startswith(f"ERROR: --benchmark-json {tmp_path / path}: {why}"), found.stderr
    assert "passed" not in found.stdout


def test_a_checkout_that_cannot_be_written_costs_the_cache_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = run("tests/meta/core/test_machine.py", f"--artifacts={tmp_path / 'store'}", cache=tmp_path / "file" / "cache")
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    assert "could not create cache path" in found.stdout
