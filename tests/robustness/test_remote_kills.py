"""Tests the remote after a node is killed at every step of its work: nothing half-written is visible, and others go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures.store.manifest import damage
from tests.robustness.test_kills import killed
from tests.support import dying
from tests.support.remotes import whole


def _rebuilt(root: Path) -> None:
    """Lose the artifact in the remote; a further node builds it, whatever lease was left."""
    (root / dying.REMOTE / f"artifacts/{dying.REQUEST.folder}.json").unlink()
    further = dying.node(root, "further")
    further.get(dying.REQUEST, dying.build)
    assert len(further.journal("built")) == whole(root / dying.REMOTE) == 1


def test_a_publication_is_whole_or_not_there_after_a_kill_at_any_step(tmp_path: Path) -> None:
    """Another node, with a store of its own, fetches the artifact, or takes the lease over and builds it."""
    steps = built = held = 0
    for steps, root in killed(dying.publishes, None, tmp_path):
        label = f"killed at step {steps} of publishing"
        there = whole(root / dying.REMOTE) if (root / dying.REMOTE).exists() else 0
        beside = dying.node(root, "beside")
        assert damage(beside.get(dying.REQUEST, dying.build).path, dying.REQUEST.key) is None, label
        assert len(beside.journal("built")) == 1 - there, label
        built += 1 - there
        assert whole(root / dying.REMOTE) == 1, label
        if list((root / dying.REMOTE / "leases").iterdir()):
            assert there, f"{label}: who built it left a lease"
            _rebuilt(root)
            held += 1
        assert not list((root / dying.REMOTE / "leases").iterdir()), label
    assert held, "no node was killed after its publication and before the end of its lease"
    assert steps > 150, f"publishing has {steps} steps: are they counted?"
    assert 0 < built < steps


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A folder with a remote that has the artifact."""
    dying.publishes(tmp_path / "filled")
    shutil.rmtree(tmp_path / "filled" / dying.STORE)
    return tmp_path / "filled"


def test_an_artifact_that_arrives_is_whole_or_not_there_after_a_kill_at_any_step(filled: Path, tmp_path: Path) -> None:
    for step, root in killed(dying.fetches, filled, tmp_path):
        label = f"killed at step {step} of fetching"
        if (folder := root / dying.STORE / dying.REQUEST.folder).exists():
            assert damage(folder, dying.REQUEST.key) is None, label
        later = dying.node(root, run="later")
        assert damage(later.get(dying.REQUEST, dying.crash).path, dying.REQUEST.key) is None, label
        assert not list((later.root / "tmp").iterdir()), label
        assert whole(root / dying.REMOTE) == 1, label
