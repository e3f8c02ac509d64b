"""Tests artifacts that were replaced, linked elsewhere or made unreadable: the store reports them and builds them again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import RemoteError
from fixtures.store.artifact import Request
from fixtures.store.manifest import MANIFEST, damage
from fixtures.store.store import Store
from tests.support.dying import REQUEST, build

OTHER = Request("other", {"weights": "other"})


def put(place: Path, make: Callable[[Path], Any]) -> None:
    """Puts something else in the place of a file or folder."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    make(place)


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def without(field: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        del manifest[field]
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return harm


def outside(name: str) -> Callable[[Path], None]:
    """Links to the same bytes outside of the store, which could change without the store noticing."""

    def harm(folder: Path) -> None:
        elsewhere = folder.parent.parent / Path(name).name
        shutil.move(folder / name, elsewhere)
        (folder / name).symlink_to(elsewhere)

    return harm


HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda p: os.truncate(p / "model.bin", 10), "model.bin does not match its sha256"),
    "one bit": (lambda p: flip_one_bit(p / "model.bin"), "model.bin does not match its sha256"),
    "folder for file": (lambda p: put(p / "model.bin", Path.mkdir), "model.bin is missing"),
    "FIFO for file": (lambda p: put(p / "model.bin", os.mkfifo), "model.bin is no file"),
    "FIFO beside": (lambda p: os.mkfifo(p / "pipe"), "pipe is no file"),
    "dangling link": (lambda p: put(p / "model.bin", lambda q: q.symlink_to("gone")), "model.bin is a link to no file"),
    "circular link": (lambda p: put(p / "model.bin", lambda q: q.symlink_to("model.bin")), "model.bin is a link to no file"),
    "link outside": (outside("model.bin"), "model.bin is a link that leads outside"),
    "folder outside": (outside("deep"), "deep is a link that leads outside"),
    "endless": (lambda p: put(p / "model.bin", partial(os.symlink, "/dev/zero")), "model.bin is a link that leads outside"),
    "FIFO for manifest": (lambda p: put(p / MANIFEST, os.mkfifo), f"{MANIFEST} cannot be read"),
    "folder for manifest": (lambda p: put(p / MANIFEST, Path.mkdir), f"{MANIFEST} cannot be read"),
    "link for manifest": (outside(MANIFEST), f"{MANIFEST} cannot be read"),
    "manifest of nothing": (lambda p: (p / MANIFEST).write_text("[1]"), f"{MANIFEST} cannot be read"),
    "manifest without meta": (without("meta"), f"{MANIFEST} cannot be read"),
    "deep manifest": (lambda p: (p / MANIFEST).write_text("[" * 100_000), f"{MANIFEST} cannot be read"),
    "no text": (lambda p: (p / MANIFEST).write_bytes(b"\xff\xfe{"), f"{MANIFEST} cannot be read"),
    "file for artifact": (lambda p: put(p, Path.touch), f"{MANIFEST} cannot be read"),
    "FIFO for artifact": (lambda p: put(p, os.mkfifo), f"{MANIFEST} cannot be read"),
    "dangling artifact": (lambda p: put(p, lambda q: q.symlink_to("gone")), "it is a link"),
    "linked artifact": (lambda p: p.rename(p.parent / "moved").parent.joinpath(p.name).symlink_to("moved"), "it is a link"),
}  # fmt: skip


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def later(tmp_path: Path, said: list[str]) -> Callable[[], Store]:
    """The store of another run, with the same folder."""
    return lambda: Store(tmp_path / "store", "run", said.append)


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_not_the_artifact_is_noticed_and_built_again(later: Callable[[], Store], said: list[str], harm: str) -> None:
    made = later().get(REQUEST, build)
    do, sentence = HARMS[harm]
    do(made.path)
    mended = later().get(REQUEST, build)
    assert said == [f"thing is damaged ({sentence}); building it again"]
    assert damage(mended.path, REQUEST.key) is None
    assert mended.digest == made.digest
    assert not mended.path.is_symlink()


def test_another_artifact_under_this_name_is_noticed(later: Callable[[], Store], said: list[str]) -> None:
    """An artifact that is complete and consistent, but built from other inputs, is refused."""
    store = later()
    made, other = store.get(REQUEST, build), store.get(OTHER, build)
    shutil.rmtree(made.path)
    shutil.copytree(other.path, made.path)
    assert damage(made.path) is None
    assert later().get(REQUEST, build).manifest["inputs"] == REQUEST.inputs
    assert said == [f"thing is damaged ({MANIFEST} is that of another artifact); building it again"]


def test_mending_never_touches_what_a_link_leads_to(later: Callable[[], Store], tmp_path: Path) -> None:
    made = later().get(REQUEST, build)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("mine")
    put(made.path / "deep", lambda place: place.symlink_to(tmp_path / "mine"))
    later().get(REQUEST, build)
    assert (tmp_path / "mine" / "precious").read_text() == "mine"


@pytest.mark.parametrize("leave", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")], ids=["FIFO", "link"])
def test_a_build_that_leaves_no_file_has_failed(later: Callable[[], Store], leave: Callable[[Path], Any]) -> None:
    store = later()

    def odd(out: Path) -> Any:
        leave(out / "odd")
        return build(out)

    with pytest.raises(RemoteError, match=r"^ValueError: the build of thing left what cannot be kept: odd is "):
        store.get(REQUEST, odd)
    assert not (store.root / REQUEST.folder).exists()
    assert not list((store.root / "tmp").iterdir())


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of a user whom file permissions restrict. If root runs the tests, this test runs as the user nobody."""
    place = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(place, 65534, 65534)
        os.seteuid(65534)
    yield place
    if root:
        os.seteuid(0)
    shutil.rmtree(place)


def test_a_file_that_may_not_be_read_is_noticed(nobody: Path) -> None:
    said: list[str] = []
    made = Store(nobody / "store", "run", said.append).get(REQUEST, build)
    (made.path / "model.bin").chmod(0)
    mended = Store(nobody / "store", "later", said.append).get(REQUEST, build)
    assert said == ["thing is damaged (model.bin cannot be read: Permission denied); building it again"]
    assert damage(mended.path, REQUEST.key) is None
