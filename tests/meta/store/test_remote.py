"""Tests the remote behind a store: built once for all nodes, checked on arrival, and a run goes on without it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import Crash, SuiteError, Unavailable
from fixtures.store.artifact import Request
from fixtures.store.manifest import damage
from fixtures.store.remote import Damage, Remote, _checked
from fixtures.store.remote_files import shown
from fixtures.store.store import Store
from tests.support.dying import REQUEST, build, crash
from tests.support.remotes import SHORT, Node, whole

PLACE = f"artifacts/{REQUEST.folder}.json"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def node(tmp_path: Path, remote: Path) -> Callable[[str], Node]:
    """``node(name)``: a machine with an empty store and the remote."""
    return lambda name: Node(tmp_path / name, str(remote))


def test_what_one_node_built_others_fetch(node: Callable[[str], Node], remote: Path) -> None:
    made, fetched = node("a").get(), node("b")
    found = fetched.get()
    assert fetched.builds == 0
    assert found.manifest == made.manifest, "build time and peak memory are those of the builder"
    assert damage(found.path, REQUEST.key) is None
    (entry,) = fetched.store.journal("fetched")
    assert (entry["name"], entry["bytes"]) == ("thing", 1001)
    assert entry["seconds"] >= 0
    assert not fetched.store.journal("built")
    assert not fetched.said
    assert not list((fetched.store.root / "tmp").iterdir())
    assert whole(remote) == 1
    assert not list((remote / "leases").iterdir())
    assert not list((remote / "tmp").iterdir())


def test_what_a_node_had_before_is_published_too(node: Callable[[str], Node], tmp_path: Path) -> None:
    Store(tmp_path / "a", "before", print).get(REQUEST, build)
    node("a").get(make=crash)
    other = node("b")
    other.get(make=crash)
    assert other.events("fetched") == 1


def _get(root: Path, remote: str, counts: Path) -> None:
    def slow(out: Path) -> Mapping[str, Any]:
        with counts.open("a", encoding="utf-8") as file:
            file.write(f"{root.name}\n")
        time.sleep(1.0)
        return build(out)

    Store(root, "run", lambda text: None, Remote(remote)).get(REQUEST, slow)


def test_many_nodes_build_once(tmp_path: Path, remote: Path) -> None:
    counts, context = tmp_path / "counts", multiprocessing.get_context("spawn")
    roots = [tmp_path / f"node-{number}" for number in range(4)]
    nodes = [context.Process(target=_get, args=(root, str(remote), counts)) for root in roots]
    for one in nodes:
        one.start()
    for one in nodes:
        one.join(120)
    assert [one.exitcode for one in nodes] == [0] * 4
    assert len(counts.read_text(encoding="utf-8").splitlines()) == 1
    digests = {Store(root, "run", print).get(REQUEST, crash).digest for root in roots}
    assert len(digests) == 1
    assert whole(remote) == 1
    assert not list((remote / "leases").iterdir())


def test_equal_files_are_kept_once(node: Callable[[str], Node], remote: Path) -> None:
    one = node("a")
    one.get()
    one.get(Request("another", {"inputs": "others"}))
    assert (whole(remote), len(list((remote / "objects").iterdir()))) == (2, 2)


def _object(remote: Path) -> Path:
    return next(path for path in (remote / "objects").iterdir() if path.stat().st_size == 1000)


def _edit(remote: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((remote / PLACE).read_text(encoding="utf-8"))
    change(manifest)
    (remote / PLACE).write_text(json.dumps(manifest), encoding="utf-8")


def _file_named(name: str) -> Callable[[Path], Any]:
    return lambda remote: _edit(remote, lambda manifest: manifest["files"].update({name: manifest["files"]["model.bin"]}))


HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda remote: os.truncate(_object(remote), 10), "model.bin does not match its sha256"),
    "one byte": (lambda remote: _object(remote).write_bytes(b"x" * 1000), "model.bin does not match its sha256"),
    "too long": (lambda remote: _object(remote).write_bytes(b"0123456789" * 101), "model.bin does not match its sha256"),
    "no object": (lambda remote: _object(remote).unlink(), "model.bin is missing"),
    "no manifest": (lambda remote: (remote / PLACE).write_text("{"), "its manifest cannot be read"),
    "a list": (lambda remote: (remote / PLACE).write_text("[]"), "its manifest cannot be read"),
    "no fields": (lambda remote: _edit(remote, lambda m: m.pop("meta")), "its manifest lacks fields"),
    "another artifact": (
        lambda remote: _edit(remote, lambda m: m.update(inputs={})), "its manifest is that of another artifact"
    ),
    "another name": (lambda remote: _edit(remote, lambda m: m.update(name="x")), "its manifest is that of another artifact"),
    "a path as hash": (
        lambda remote: _edit(remote, lambda m: m["files"]["model.bin"].update(sha256="../" * 21 + "x")),
        "its manifest cannot be read",
    ),
    "outside": (_file_named("../../outside.bin"), "its manifest names a file '../../outside.bin', which leads outside"),
    "absolute": (_file_named("/tmp/outside.bin"), "its manifest names a file '/tmp/outside.bin', which leads outside"),  # noqa: S108
    "in a file": (_file_named("model.bin/x"), "its manifest names a file 'model.bin/x', which is a folder too"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_damaged_there_is_said_built_here_and_mended_there(
    node: Callable[[str], Node], remote: Path, tmp_path: Path, harm: str
) -> None:
    made = node("a").get()
    do, sentence = HARMS[harm]
    do(remote)
    second, third = node("b"), node("c")
    assert second.get().digest == made.digest
    assert second.said == [f"thing in {remote} is damaged ({sentence}); building it here"]
    assert second.builds == 1
    assert third.get().digest == made.digest
    assert (third.builds, third.said) == (0, [])
    assert whole(remote) == 1
    assert not list(tmp_path.rglob("outside.bin"))
    assert not list((second.store.root / "tmp").iterdir())


ODD = ("", ".", "..", "../x", "a/../../x", "/x", "a//b", "./a", "a/", "a\\b", "a\0b", "a\nb", "artifact.json", "x" * 2000)


@pytest.mark.parametrize("name", ODD)
def test_no_file_has_an_odd_name(name: str) -> None:
    entry = {"bytes": 1, "sha256": "0" * 64}
    manifest = {"name": "thing", "inputs": REQUEST.inputs, "meta": {}, "seconds": 1, "peak_mib": 1}
    sound = {**manifest, "files": {"a/b.bin": entry}}
    assert _checked(json.dumps(sound).encode(), REQUEST) == sound
    with pytest.raises(Damage, match="its manifest names a file"):
        _checked(json.dumps({**manifest, "files": {name: entry}}).encode(), REQUEST)


def test_a_failed_build_is_not_published_and_leaves_no_lease(node: Callable[[str], Node], remote: Path) -> None:
    with pytest.raises(Crash, match="SIGSEGV"):
        node("a").get(make=crash)
    assert whole(remote) == 0
    assert not list((remote / "leases").iterdir())
    other = node("b")
    other.get()
    assert other.builds == 1


def test_an_interrupted_build_leaves_no_lease(node: Callable[[str], Node], remote: Path) -> None:
    def interrupted(out: Path) -> Mapping[str, Any]:
        assert len(list((remote / "leases").iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        node("a").get(make=interrupted)
    assert not list((remote / "leases").iterdir())


def test_a_remote_that_goes_away_is_said_once_and_the_run_goes_on(node: Callable[[str], Node], remote: Path) -> None:
    first, beside = node("a"), node("a")
    remote.rename(remote.with_name("gone"))
    for one in (first, beside):
        one.get()
        one.get(Request("another", {"inputs": "others"}))
    assert first.builds == 2
    (said,) = first.said
    assert said == f"{remote} cannot be used any more (No such file or directory); this run goes on without it"
    assert not beside.said, "another process of the same run has said it"
    assert not remote.exists(), "a folder that has gone is not made again"


def test_a_remote_that_goes_away_during_a_build_costs_the_publication_only(node: Callable[[str], Node], remote: Path) -> None:
    def leaving(out: Path) -> Mapping[str, Any]:
        shutil.rmtree(remote)
        return build(out)

    one = node("a")
    assert damage(one.get(make=leaving).path, REQUEST.key) is None
    assert len(one.said) == 1


def test_what_is_about_this_machine_stays_here(node: Callable[[str], Node], remote: Path) -> None:
    for name in ("a", "b"):
        one = node(name)
        one.get(replace(REQUEST, local=True))
        assert one.builds == 1
    assert whole(remote) == 0


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("/dev/null/below", "it cannot be used (Not a directory); check the address, the network and the credentials"),
        ("nothing://there", "there is no driver for it (Protocol not known: nothing); install requirements/remote.txt"),
    ],
)
def test_a_remote_that_cannot_be_used_is_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(SuiteError) as error:
        Remote(url)
    assert str(error.value).startswith(f"--artifacts-remote {url}: {sentence}")


def test_credentials_are_in_nothing_that_is_said() -> None:
    assert shown("https://me:secret@host:80/folder?token=hidden#x") == "https://host:80/folder"
    assert shown("a https://me@host/x, s3://bucket/folder and /a?b@c") == "a https://host/x, s3://bucket/folder and /a?b@c"
    assert shown("--artifacts-remote=https://me:se@cret@host/") == "--artifacts-remote=https://host/"
    with pytest.raises(SuiteError) as error:
        Remote("nothing://me:secret@there?token=hidden")
    assert "secret" not in str(error.value)
    assert "hidden" not in str(error.value)


#: A request as two nodes make it: one that lacks a package of the build, and one that has it, with what it depends on.
HAS = Request("thing", {"code": "1", "versions": {"numpy": "2.4.6", "nncf": "3.4.0", "of-nncf": "1"}}, pinned={"nncf": "3.4.0"})
LACKS = replace(HAS, inputs={"code": "1", "versions": {"numpy": "2.4.6"}}, lacks=("nncf",))


def test_a_node_without_the_packages_of_a_build_uses_what_others_have_built(node: Callable[[str], Node]) -> None:
    made, other = node("a").get(HAS), node("b")
    assert other.get(LACKS).digest == made.digest
    assert (other.builds, other.events("fetched")) == (0, 1)
    again = node("b")
    assert again.get(LACKS).manifest["inputs"] == HAS.inputs
    assert (again.builds, again.events("fetched")) == (0, 1), "it is in the store, by the key of the node that built it"


@pytest.mark.parametrize(
    "other",
    [
        replace(HAS, inputs={"code": "2", "versions": HAS.inputs["versions"]}),
        replace(HAS, inputs={"code": "1", "versions": {"numpy": "2.4.5", "nncf": "3.4.0"}}),
        replace(HAS, pinned={"nncf": "3.5.0"}),
    ],
    ids=["code", "version", "pin"],
)
def test_what_was_built_otherwise_is_not_taken_for_it(node: Callable[[str], Node], remote: Path, other: Request) -> None:
    node("a").get(other)
    with pytest.raises(Unavailable, match=f"^nncf, and {remote} has no thing built with nncf 3.4.0 and else as here$"):
        node("b").get(LACKS)


def test_a_lost_lease_holder_is_taken_over(tmp_path: Path, remote: Path) -> None:
    one = Node(tmp_path / "a", str(remote), SHORT)
    (remote / "leases" / f"{REQUEST.key}.json").write_text('{"owner": "killed", "beat": 3}', encoding="utf-8")
    one.get()
    assert one.builds == 1
    assert one.said == ["waiting for another node that builds thing"]
    assert not list((remote / "leases").iterdir())
