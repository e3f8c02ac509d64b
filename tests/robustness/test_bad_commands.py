"""Tests that the commands besides pytest refuse bad arguments: the usage, one line, and an exit code other than 0."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.report.docs_blocks import DOCS, PAGES
from fixtures.store.source_code import ROOT
from tests.support.folders import artifact
from tests.support.nested import run


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m ...`` in the project's folder."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bench.graphs",), "the following arguments are required: variant"),
        (("bench.graphs", "a\nb"), "error: a\\nb: no artifact of that name in"),
        (("bench.graphs", ""), "error: : no artifact of that name in"),
        (("bench.graphs", "x", "--port", "99999999"), "'99999999' is no port: give a number from 0 to 65535"),
        (("bench.graphs", "x", "--port", "²"), "'²' is no port"),
        (("bench.graphs", "x", "--artifacts", "~nobody-of-this-name"), "it is no path that can be used here"),
        (("bench.graphs", "x", "--artifacts", "x" * 300), "it is no path that can be used here (File name too long)"),
        (("bench.graphs", "x", "--artifacts", "/dev/null"), "no artifact of that name in /dev/null"),
        (("bench.report", "x" * 300, "-o", "out"), "it cannot be read (File name too long)"),
        (("bench.operating_characteristics", "many"), "'many' is no number of comparisons: give 1 or more"),
        (("bench.accuracy_characteristics", "0"), "'0' is no number of comparisons: give 1 or more"),
        (("bench.operating_characteristics", "0"), "'0' is no number of comparisons: give 1 or more"),
        (("bench.prove_gate",), "error: this is a test; run it with pytest bench/prove_gate.py -s"),
        (("scripts.emulate",), "the following arguments are required: CPU"),
        (("scripts.emulate", "z80"), "invalid choice: 'z80' (choose from"),
        (("fixtures.report.docs_blocks", "README.md"), "unrecognized arguments: README.md"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    before = [(DOCS / name).stat().st_mtime_ns for name in PAGES]
    found = command(*arguments)
    assert found.returncode in (1, 2), found.stdout
    assert said in found.stderr.splitlines()[-1], found.stderr
    assert "Traceback" not in found.stderr
    assert [(DOCS / name).stat().st_mtime_ns for name in PAGES] == before


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """A port that is in use is an error of one line, with a hand-made graph to show."""
    artifact(tmp_path / "sample-0123456789abcdef", "sample")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = command("bench.graphs", "sample", "--artifacts", str(tmp_path), "--port", port, "--no-browser")
    assert found.returncode == 2, found.stderr
    assert f"error: --port {port}: " in found.stderr
    assert "Traceback" not in found.stderr


def test_a_number_of_comparisons_that_is_none(tmp_path: Path) -> None:
    found = run("bench/prove_gate.py", f"--artifacts={tmp_path}", "-k", "quiet", ENCODER_PARITY_COMPARISONS="many")
    assert found.returncode == 1
    assert "ENCODER_PARITY_COMPARISONS=many: give the number of comparisons for each case, 1 or more" in found.stdout
    assert "fixtures/" not in found.stdout.partition("FAILURES")[2], found.stdout[-3000:]
