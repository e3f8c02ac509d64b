"""Tests another stack of packages, named by ``--stack-python`` or ``--compare``: running, comparing and refusing it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fixtures.comparisons.stacks import GONE, NEITHER, NEW, NEWLY_FAILS, NEWLY_WORKS, Side, state
from fixtures.core.registry import REGISTRY
from fixtures.harness.harness import Harness
from fixtures.harness.pins import PRESENT, pins
from fixtures.known_failures.entry import meets
from fixtures.options.settings import Settings
from fixtures.report.docs_stacks import STACKS, other_backends
from fixtures.report.tables.stacks import tables, upgrades
from fixtures.store.source_code import ROOT
from tests.support.nested import run


@pytest.fixture
def tiny(settings: Settings) -> tuple[str, ...]:
    """Options for one small model on ONNX Runtime, with the data and the artifacts of this run."""
    data = [f"--mrpc={settings.mrpc}"] if settings.mrpc else []
    only = ("--models=bert-base-cased", "--size=tiny", "--backends=onnxruntime", "--precisions=f32")
    return (*only, f"--artifacts={settings.artifacts.root}", *data)


@pytest.mark.slow
def test_an_interpreter_builds_and_runs(tiny: tuple[str, ...]) -> None:
    """The named interpreter builds and runs artifacts; the header names it, and tests of the suite are left out."""
    found = run(
        "tests/conformance/test_agreement.py",
        "tests/meta/pytest_plugin/test_suite.py",
        f"--stack-python={sys.executable}",
        *tiny,
    )
    assert found.returncode == 0, found.stdout[-3000:]
    assert f"built and run by: {sys.executable}" in found.stdout
    assert re.search(r"\d+ passed", found.stdout.splitlines()[-1])
    assert "test_suite" not in found.stdout


@pytest.mark.slow
def test_two_stacks_are_compared(tiny: tuple[str, ...]) -> None:
    """This environment compared with itself has the same outputs and no flipped label; older stacks' backends are in neither.

    ``--stack-python`` names one side (by default this environment), ``--compare`` the other.
    """
    both = (f"--stack-python={sys.executable}", f"--compare={sys.executable}")
    found = run("bench", "-m", "stacks", "--max-seconds=1", *both, *tiny, "--backends=onnxruntime,onnxruntime_tf2onnx")
    assert found.returncode == 0, found.stdout[-3000:]
    row = next(line for line in found.stdout.splitlines() if line.startswith("| bert-base-cased-tiny-onnxruntime-f32 "))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["inf", "0.0"], row
    assert re.search(r"\| works in both +\|$", row), row
    assert re.search(r"onnxruntime_tf2onnx-f32 .*works in neither: needs transformers<5 \(but transformers \d", found.stdout)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--stack-python=nowhere",), "--stack-python nowhere: no Python (path, folder or tox environment)"),
        (("--stack-python=neoverse-n1",), "nothing is built on an emulated CPU; run there with --run-python neoverse-n1"),
        (("--stack-python=x", "--run-python=y"), "give one of them"),
    ],
)
def test_bad_interpreters_are_one_sentence(arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    found = run("--collect-only", "-q", *arguments, f"--artifacts={tmp_path}")
    assert found.returncode == 4
    assert sentence in found.stderr, found.stderr
    assert "Traceback" not in found.stderr + found.stdout


def test_comparing_stacks_wants_a_python(tiny: tuple[str, ...]) -> None:
    found = run("bench", "-m", "stacks", "--compare=pytorch-f32", *tiny)
    assert found.returncode == 1
    assert "--compare pytorch-f32: to compare stacks, name another environment's Python" in found.stdout, found.stdout[-3000:]


def test_an_interpreter_without_what_a_child_needs_is_one_sentence(tmp_path: Path) -> None:
    """A Python without packages is refused with one sentence that names the missing ones."""
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    found = run("--collect-only", "-q", f"--stack-python={bare}", f"--artifacts={tmp_path / 'store'}")
    assert found.returncode == 4
    assert f"--stack-python {bare}: it cannot run the suite's worker process" in found.stderr, found.stderr
    assert "it needs numpy and psutil" in found.stderr


def test_a_backend_may_ask_for_versions(harness: Harness) -> None:
    """If the versions do not match, the reason of the skip names the required and the installed version."""
    backend = REGISTRY.backends["tensorflow_transformers"]
    if meets(harness.toolchain.versions(backend.packages), "transformers<5"):
        assert not harness.toolchain.absent(backend)
    else:
        assert re.fullmatch(r"transformers<5 \(but transformers \S+\)", harness.toolchain.absent(backend)[-1])


def test_requirements_are_met_by_what_is_installed() -> None:
    versions = {"torch": "2.13.0+cpu", "onnxruntime": "1.24.1 (onnxruntime-openvino)"}
    assert meets(versions, "torch >= 2.11")
    assert not meets(versions, "torch < 2")
    assert meets(versions, "onnxruntime >= 1.24, < 1.25")
    assert not meets(versions, "numpy")


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_pinned_and_has_an_environment(stack: str) -> None:
    """A stack has the packages of most backends, or at least one that the present stack lacks, which is why it exists."""
    found, whole = set(pins(stack)), {"onnx", "onnxruntime", "tensorflow"}
    assert {"numpy", "torch", "transformers", "tokenizers", "safetensors"} <= found
    elsewhere = {name for backend in other_backends() for name in REGISTRY.backends[backend].packages} - set(pins(PRESENT))
    assert whole <= found or elsewhere & found
    assert f"[testenv:{stack}]" in (ROOT / "tox.ini").read_text(encoding="utf-8")


def test_what_an_upgrade_does_has_a_name() -> None:
    works, broken, absent = Side(), Side("it broke"), Side("needs x", absent=True)
    assert state(works, broken) == NEWLY_FAILS
    assert state(broken, works) == NEWLY_WORKS
    assert state(works, absent) == GONE
    assert state(absent, works) == NEW
    assert {state(broken, broken), state(absent, broken), state(absent, absent)} == {NEITHER}


def test_the_table_says_which_versions_differ() -> None:
    assert upgrades({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}) == "b 2 -> 4, c 3 -> -, d - -> 5"
    figures = {"agreement_db": 31.4, "flips": 0.02, "mib_before": 4.0, "mib_after": 5.0, "acc_before": None, "acc_after": None}
    ratio = {"ratio": 0.5, "ratio_low": 0.4, "ratio_high": 0.6, "unstable": None}
    entry = {"event": "stacks", "variant": "v", "versions": "b 2 -> 4", "state": "works in both", "why": "", **figures, **ratio}
    text = "\n".join(map(str, tables([entry])))
    assert text.startswith("b 2 -> 4\n")
    cells = [cell.strip() for cell in text.splitlines()[-1].split("|")[1:-1]]
    assert cells == ["v", "31", "2.0", "-", "4.0 -> 5.0", "0.50 [0.40, 0.60]", "works in both"]
    assert not any(tables([]))
