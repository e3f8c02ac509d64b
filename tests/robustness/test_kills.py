"""Tests the store after a process is killed at every step of its work: no partial artifact is used, nothing is left."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.core.errors import Crash
from fixtures.store.eviction import prune
from fixtures.store.manifest import damage
from fixtures.store.store import Store
from tests.support import dying

Work = Callable[[Path], None]


def killed(work: Work, start: Path | None, place: Path) -> Iterator[tuple[int, Path]]:
    """Yields, for each step of ``work``, a copy of the store ``start`` after the process was killed at that step."""
    context = multiprocessing.get_context("forkserver")
    # Each worker process then begins in a few milliseconds.
    context.set_forkserver_preload(["pytest", "tests.support.dying", "fsspec.implementations.local"])
    for step in range(1, 2000):
        root = place / str(step)
        if start is not None:
            shutil.copytree(start, root)
        victim = context.Process(target=dying.die_at, args=(step, work, root))
        victim.start()
        victim.join(60)
        assert victim.exitcode in (0, -signal.SIGKILL), f"step {step} of {work.__name__} ended with {victim.exitcode}"
        yield step, root
        shutil.rmtree(root)
        if victim.exitcode == 0:
            return
    raise AssertionError(f"{work.__name__} did not end within 2000 steps")


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store that holds the artifact."""
    dying.builds(tmp_path / "filled")
    return tmp_path / "filled"


def mended(root: Path, label: str) -> Store:
    """Asserts that a later run on ``root`` returns the complete artifact."""
    store = Store(root, "later", lambda text: None)
    served = store.get(dying.REQUEST, dying.build)
    assert damage(served.path, dying.REQUEST.key) is None, label
    assert sorted(served.manifest["files"]) == ["deep/more.bin", "model.bin"], label
    assert (served.path / "model.bin").read_bytes() == b"0123456789" * 100, label
    left = [path.name for path in (root / "tmp").iterdir()]
    assert not left, f"{label}: {left} stay in tmp"
    return store


@pytest.mark.parametrize("work", [dying.builds, dying.prunes], ids=lambda work: work.__name__)
def test_an_artifact_is_whole_or_not_there_after_a_kill_at_any_step(work: Work, filled: Path, tmp_path: Path) -> None:
    steps = 0
    for steps, root in killed(work, filled if work is dying.prunes else None, tmp_path):
        label = f"killed at step {steps} of {work.__name__}"
        if (folder := root / dying.REQUEST.folder).exists():
            assert damage(folder, dying.REQUEST.key) is None, label
        mended(root, label)
    assert steps > 60, f"{work.__name__} has {steps} steps: are they counted?"


def test_a_damaged_artifact_is_never_served_after_a_kill_at_any_step_of_mending_it(filled: Path, tmp_path: Path) -> None:
    for step, root in killed(dying.rebuilds, filled, tmp_path):
        mended(root, f"killed at step {step} of rebuilding")


def test_a_failure_is_remembered_whole_or_not_at_all_after_a_kill_at_any_step(tmp_path: Path) -> None:
    """After the kill, another process of the same run, such as another xdist worker, gets the failure of the build."""
    for step, root in killed(dying.fails, None, tmp_path):
        beside = Store(root, "killed", lambda text: None)
        with pytest.raises(Crash, match="SIGSEGV"):
            beside.get(dying.FAILING, dying.crash)
        Store(root, "later", lambda text: None)
        assert not list((root / "tmp").iterdir()), f"killed at step {step} of remembering: something stays in tmp"


def test_what_a_killed_removal_left_is_swept_by_the_next(filled: Path, tmp_path: Path) -> None:
    """The next removal deletes the files left by a killed one, even if the artifact is never requested again."""
    for step, root in killed(dying.prunes, filled, tmp_path):
        store = Store(root, "later", lambda text: None)
        prune(store, 0)
        left = [path.name for path in (root / "tmp").iterdir()]
        assert not left, f"killed at step {step} of pruning: {left} stay in tmp"
