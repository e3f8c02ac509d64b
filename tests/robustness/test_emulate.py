"""Tests ``python -m scripts.emulate`` if apt or pip fails: it prints the reason and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.options.emulation import CPUS
from fixtures.store.source_code import ROOT
from scripts.emulate import pins


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
