"""Tests leases: one node has it, a waiting one sees that it lives or has ended, and two that have it harm nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from fixtures.store.lease import Lease
from fixtures.store.remote_files import Files

NAME = "leases/key.json"


@pytest.fixture(params=["folder", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    made = Files(str(tmp_path / "remote") if request.param == "folder" else f"memory://{tmp_path.name}")
    made.open_to_write(("tmp", "leases"))
    return made


def never() -> bool:
    return False


def nothing() -> None:
    pass


def test_one_of_many_has_it(files: Files) -> None:
    leases = [Lease(files, NAME) for _ in range(8)]
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda one=one: taken.append(one.take())) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1


def test_its_holder_renews_it_and_gives_it_back(files: Files) -> None:
    lease = Lease(files, NAME, ttl=0.1)
    assert lease.take()
    seen: set[bytes | None] = set()
    with lease:
        end = time.monotonic() + 60
        while len(seen) < 4:
            assert time.monotonic() < end, "the lease is not renewed"
            seen.add(files.read(NAME))
            time.sleep(0.01)
    assert files.read(NAME) is None


def test_one_that_is_renewed_is_never_taken_over(files: Files) -> None:
    """However short the time of the waiting node: it sees another content each time."""
    looks = 0

    def renewed() -> bool:
        nonlocal looks
        looks += 1
        if looks == 30:
            files.remove(NAME)
        else:
            assert files.read(NAME) is not None, "it was taken over"
            files.write(NAME, b"%d" % looks)
        return False

    files.write(NAME, b"0")
    assert Lease(files, NAME, ttl=0.001).wait(renewed, nothing)
    assert looks == 30


def test_a_waiting_node_ends_when_the_artifact_arrives(files: Files) -> None:
    assert Lease(files, NAME).take()
    told: list[int] = []
    assert not Lease(files, NAME).wait(lambda: len(told) > 0, lambda: told.append(1))
    assert told == [1]


@pytest.mark.parametrize("content", [b'{"owner": "killed", "beat": 3}', b""], ids=["killed", "killed while taking it"])
def test_one_whose_holder_was_killed_is_taken_over(files: Files, content: bytes) -> None:
    files.write(NAME, content)
    assert Lease(files, NAME, ttl=0.2).wait(never, nothing)


def test_a_holder_that_lost_it_leaves_it_alone(files: Files) -> None:
    """A process may be stopped for longer than the time after which others take the lease over."""
    first, second = Lease(files, NAME, ttl=0.05), Lease(files, NAME, ttl=0.05)
    assert first.take()
    files.remove(NAME)
    assert second.take()
    content = files.read(NAME)
    with first:
        time.sleep(0.2)
        assert files.read(NAME) == content
    assert files.read(NAME) == content, "it gave back what it no longer had"
