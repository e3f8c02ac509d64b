"""Tests ``python -m scripts.emulate`` if apt or pip fails: it prints the reason and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.options.emulation import CPUS
from fixtures.store.source_code import ROOT
from scripts.emulate import emulate_programs, pins


def emulate(folder: Path, apt: str, *cpus: str) -> subprocess.CompletedProcess[str]:
    """Runs the script with a fake ``apt-get`` (a shell script) and an empty cache."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "apt-get").write_text(f"#!/bin/sh\n{apt}\n", encoding="utf-8")
    (tools / "apt-get").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("ENCODER_PARITY_DEBIAN", None)
    command = [sys.executable, "-m", "scripts.emulate", *cpus]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("apt", "message"),
    [
        ("exit 0", "apt has no list of a Debian archive: run `apt-get update` first, or name a mirror of Debian in"),
        ("echo 'E: Unable to lock' >&2; exit 100", "Unable to lock"),
        (
            '[ "$1" = indextargets ] && echo "Debian Debian http://localhost" && exit 0; echo "E: no route" >&2; exit 100',
            "apt-get update of Debian's packages failed; apt-get says:\n  E: no route",
        ),
    ],
)
def test_an_apt_that_cannot_serve_is_one_sentence_and_nothing_is_left(apt: str, message: str, tmp_path: Path) -> None:
    found = emulate(tmp_path, apt, "Haswell")
    assert found.returncode == 1
    assert message in found.stderr
    assert "Traceback" not in found.stderr
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock" and path.is_file()]


def test_programs_of_packages_are_started_by_the_emulator(tmp_path: Path) -> None:
    """A program is started by the name that it had; scripts and libraries stay as they are."""
    place, final = tmp_path / "place", tmp_path / "final"
    programs = place / "root" / "packages" / "some" / "bin"
    programs.mkdir(parents=True)
    shutil.copy("/bin/true", programs / "compiler")
    for name in ("script", "library.so"):
        (programs / name).write_bytes(b"#!/bin/sh\n" if name == "script" else b"\x7fELF")
    (programs / "script").chmod(0o755)
    emulate_programs(CPUS["neoverse-n1"], place / "root" / "packages", place, final)
    assert sorted(path.name for path in programs.iterdir()) == ["compiler", "compiler.aarch64", "library.so", "script"]
    place.rename(final)
    (final / "bin").mkdir()
    (final / "bin" / "qemu-aarch64").write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    (final / "bin" / "qemu-aarch64").chmod(0o755)
    moved = final / "root" / "packages" / "some" / "bin"
    found = subprocess.run([moved / "compiler", "a b", "c"], capture_output=True, text=True, check=True)
    assert found.stdout == f"-cpu neoverse-n1 -L {final}/root {moved}/compiler.aarch64 a b c\n"


def test_an_unknown_cpu_is_refused() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "scripts.emulate", "max"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 2
    assert "choose from" in found.stderr


def test_the_pins_are_exact_and_those_of_the_current_stack() -> None:
    """All pins are exact; onnxruntime has the version of current.txt, and torch the one for this architecture."""
    found = dict(pin.split("==") for pin in pins(CPUS["neoverse-n1"]))
    assert found["torch"] == "2.10.0"
    current = (ROOT / "requirements" / "current.txt").read_text(encoding="utf-8")
    assert f"onnxruntime=={found['onnxruntime']}\n" in current
    assert all(found.values())
