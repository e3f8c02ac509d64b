"""Tests the artifact store: it builds once for each key, verifies, never leaves partial artifacts, and records failures."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from fixtures.core.errors import Crash, SuiteError
from fixtures.store.artifact import Artifact, Request
from fixtures.store.eviction import GIB, prune
from fixtures.store.manifest import MANIFEST
from fixtures.store.store import Store
from tests.support.dying import REQUEST, build


def never(out: Path) -> Mapping[str, Any]:
    raise AssertionError("built again")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "store", "run", said.append)


@pytest.fixture
def later(tmp_path: Path, said: list[str]) -> Callable[[], Store]:
    """The store of a later run, with the same folder."""
    return lambda: Store(tmp_path / "store", "later", said.append)


def leftovers(store: Store) -> list[str]:
    return [path.name for path in (store.root / "tmp").iterdir()]


def test_builds_once_and_serves_later_runs(store: Store, later: Callable[[], Store]) -> None:
    made = store.get(REQUEST, build)
    assert store.get(REQUEST, never) == made
    again = later().get(REQUEST, never)
    assert (again.meta, again.digest, again.path) == ({"opset": 17}, made.digest, made.path)
    assert made.size_mib == pytest.approx(1001 / 2**20)
    assert [entry["name"] for entry in store.journal("built")] == ["thing"]
    assert not leftovers(store)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda p: (p / "model.bin").write_bytes(b"0123456789" * 99 + b"012345678x"), "model.bin does not match its sha256"),
        (lambda p: (p / "model.bin").write_bytes(b""), "model.bin does not match its sha256"),
        (lambda p: (p / "deep" / "more.bin").unlink(), "deep/more.bin is missing"),
        (lambda p: (p / "extra.bin").write_bytes(b"?"), "extra.bin is not part of it"),
        (lambda p: (p / MANIFEST).write_text("{"), f"{MANIFEST} cannot be read"),
        (lambda p: (p / MANIFEST).unlink(), f"{MANIFEST} cannot be read"),
    ],
)
def test_damage_is_found_said_and_mended(
    store: Store, later: Callable[[], Store], said: list[str], harm: Callable[[Path], Any], sentence: str
) -> None:
    made = store.get(REQUEST, build)
    harm(made.path)
    mended = later().get(REQUEST, build)
    assert mended.digest == made.digest
    assert said == [f"thing is damaged ({sentence}); building it again"]


def test_a_failure_is_remembered_within_the_run_only(store: Store, later: Callable[[], Store]) -> None:
    def crash(out: Path) -> Mapping[str, Any]:
        (out / "half.bin").write_bytes(b"half")
        raise Crash("the-variant was killed by SIGSEGV")

    with pytest.raises(Crash, match="SIGSEGV"):
        store.get(REQUEST, crash)
    assert not leftovers(store)
    assert not (store.root / REQUEST.folder).exists()
    with pytest.raises(Crash, match="SIGSEGV"):
        store.get(REQUEST, never)
    assert isinstance(later().get(REQUEST, build), Artifact)


def _kill_while_building(root: Path) -> None:
    def half(out: Path) -> Mapping[str, Any]:
        (out / "model.bin").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    Store(root, "killed", lambda text: None).get(REQUEST, half)


def test_a_killed_build_leaves_nothing_that_is_served(store: Store) -> None:
    victim = multiprocessing.get_context("spawn").Process(target=_kill_while_building, args=(store.root,))
    victim.start()
    victim.join(60)
    assert victim.exitcode == -signal.SIGKILL
    assert leftovers(store), "the build was not under way when it was killed"
    assert not (store.root / REQUEST.folder).exists()
    store.get(REQUEST, build)
    assert not leftovers(store)


def _get(root: Path, index: int) -> None:
    def slow(out: Path) -> Mapping[str, Any]:
        time.sleep(0.3)
        return build(out)

    Store(root, "shared", lambda text: None).get(REQUEST, slow)


def test_many_processes_build_once(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_get, args=(store.root, i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    shared = Store(store.root, "shared", print)
    assert (len(shared.journal("built")), len(shared.journal("used"))) == (1, 4)


def test_a_full_disk_is_one_sentence(store: Store) -> None:
    def full(out: Path) -> Mapping[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SuiteError, match=r"^cannot write artifacts to .*: No space left on device; give a writable folder"):
        store.get(REQUEST, full)
    assert not leftovers(store)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SuiteError, match=r"^cannot write artifacts to .*: Not a directory; give a writable folder"):
        Store(tmp_path / "file", "run", print)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.randoms())
def test_the_key_depends_on_content_not_on_order(inputs: dict[str, Any], random: Any) -> None:
    items = list(inputs.items())
    random.shuffle(items)
    assert Request("a", inputs).key == Request("b", dict(items)).key
    assert Request("a", {**inputs, "more": 1.5}).key != Request("a", inputs).key


def test_the_least_recently_used_go_first(store: Store, later: Callable[[], Store]) -> None:
    made = {name: store.get(Request(name, {"content": name}), build) for name in ("first", "second", "third")}
    for age, artifact in zip((300, 200, 100), made.values(), strict=True):
        os.utime(artifact.path / MANIFEST, (time.time() - age,) * 2)
    later().get(Request("first", {"content": "first"}), never)
    room = sum(f.stat().st_size for name in ("first", "third") for f in made[name].path.rglob("*") if f.is_file())

    removed, freed = prune(store, room / GIB, in_use=50)
    assert (removed, [name for name, artifact in made.items() if artifact.path.exists()]) == (1, ["first", "third"])
    assert freed > 0
    assert not leftovers(store)
    assert prune(store, 0, in_use=150) == (0, 0.0), "what was used lately stays, however small the limit"


def test_an_artifact_that_another_process_holds_stays(store: Store) -> None:
    made = store.get(REQUEST, build)
    with FileLock(store.root / "locks" / f"{REQUEST.key}.lock"):
        assert prune(store, 0, in_use=-1) == (0, 0.0)
    assert prune(store, 0, in_use=-1)[0] == 1
    assert not made.path.exists()


def test_of_sessions_that_end_at_once_one_removes(store: Store) -> None:
    store.get(REQUEST, build)
    with FileLock(store.root / "locks" / "prune.lock"):
        assert prune(store, 0, in_use=-1) == (0, 0.0)
