"""Tests recorded outputs that another machine compares with its own, and artifacts that run in another Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fixtures.comparisons.cross_cpu import DIFFERENT, IDENTICAL, ROUNDING, difference
from fixtures.options.paths import RECORDING
from fixtures.options.settings import Settings
from tests.support.nested import run

MODEL = ("--models=bert-base-cased", "--size=tiny", "--backends=onnxruntime", "--precisions=f32")
VARIANT = "bert-base-cased-tiny-onnxruntime-f32"
MASK = np.array([[1, 1, 1], [1, 1, 0]])


def outputs(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "logits": random.normal(size=(2, 2)),
        "last_hidden_state": random.normal(size=(2, 3, 4)),
        "embeddings": random.normal(size=(2, 3, 4)),
        "layer 0 attention": random.normal(size=(2, 3, 4)),
    }


def test_equal_outputs_are_identical_whatever_the_padding_holds() -> None:
    ours, theirs = outputs(), outputs()
    theirs["last_hidden_state"][1, 2] = 99
    theirs["embeddings"][1, 2] = np.nan
    found = difference(ours, theirs, MASK, 60)
    assert (found.kind, found.flips, found.first, str(found)) == (IDENTICAL, 0, None, "identical")


def test_rounding_is_told_from_difference_by_the_bound() -> None:
    ours, theirs = outputs(), outputs()
    for name in ("logits", "last_hidden_state", "layer 0 attention"):
        theirs[name] += 1e-3 * np.random.default_rng(1).normal(size=theirs[name].shape)
    near, far = difference(ours, theirs, MASK, 40), difference(ours, theirs, MASK, 80)
    assert (near.kind, far.kind, near.first) == (ROUNDING, DIFFERENT, "layer 0 attention")
    assert 50 < near.logits_db < 70
    assert "from layer 0 attention" in str(near)


def test_flipped_labels_and_broken_numbers_are_seen() -> None:
    ours, theirs = outputs(), outputs()
    theirs["logits"] = ours["logits"][:, ::-1]
    found = difference(ours, theirs, MASK, 20)
    assert (found.kind, found.flips, found.rows) == (DIFFERENT, 2, 2)
    theirs["logits"] = np.full((2, 2), np.nan)
    assert difference(ours, theirs, MASK, 20).kind == DIFFERENT


@pytest.fixture
def here(settings: Settings) -> tuple[str, ...]:
    """Options for one tiny variant, with the data and the artifacts of this run."""
    data = [f"--mrpc={settings.mrpc}"] if settings.mrpc else []
    return ("tests/conformance/test_cpus.py", *MODEL, f"--artifacts={settings.artifacts.root}", *data)


@pytest.mark.slow
def test_what_is_saved_is_expected_and_what_was_changed_is_found(here: tuple[str, ...], tmp_path: Path) -> None:
    """Outputs saved and expected on the same CPU are identical; changed outputs, a changed and a missing file are reported."""
    folder = tmp_path / "outputs"
    saved = run(*here, f"--save-outputs={folder}")
    assert "2 passed" in saved.stdout, saved.stdout[-3000:]  # and the export at opset 11
    expect = (*here, f"--expect-outputs={folder}", "-k", "not opset11", f"--run-python={sys.executable}")
    same = run(*expect)
    assert "1 passed" in same.stdout, same.stdout[-3000:]
    assert "| identical |" in " ".join(same.stdout.split()), same.stdout[-3000:]

    with np.load(folder / VARIANT / "outputs.npz") as stored:
        changed = dict(stored)
    changed["logits"] = -changed["logits"]
    np.savez(folder / VARIANT / "outputs.npz", **changed)
    other = run(*expect)
    assert other.returncode == 1
    assert f"AssertionError: {VARIANT}: different: -6 dB" in other.stdout, other.stdout[-3000:]

    (folder / VARIANT / "artifact" / "model.onnx").write_bytes(b"x")
    broken = run(*expect)
    assert "is damaged (model.onnx does not match its sha256); save it again" in broken.stdout, broken.stdout[-3000:]
    (folder / VARIANT / RECORDING).rename(folder / VARIANT / "gone")
    missing = run(*expect, "--models=distilbert-base-cased")
    assert "nothing that was asked for is recorded there" in missing.stdout, missing.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--expect-outputs=nowhere",), "there is no recording; give the folder of a run with --save-outputs"),
        (
            ("--run-python=nowhere",),
            "no Python (path, folder or tox environment) and none of neoverse-n1, cortex-a72, neoverse-n1-torch-2.13, "
            "cortex-a72-torch-2.13, Haswell",
        ),
        (("--run-python=cortex-a72",), "make it with `python -m scripts.emulate cortex-a72`"),
        (("--run-python=/bin/sh",), "is no Python interpreter"),
        (("--run-python=cortex-a72", "--compare=x"), "one run is for one machine; give one of them"),
        (("--backends=onnxruntime_coreml",), "it takes an onnxruntime with CoreMLExecutionProvider; the one here offers"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    found = run("tests/conformance/test_cpus.py", *options, f"--artifacts={tmp_path}", XDG_CACHE_HOME=str(tmp_path))
    assert found.returncode == 4
    assert message in found.stderr, found.stderr
    assert found.stderr.count("\n") <= 3


@pytest.mark.slow
def test_the_json_says_what_the_runtime_is(here: tuple[str, ...], tmp_path: Path) -> None:
    """The JSON names the CPU and the providers of the runtime, not only the header."""
    path = tmp_path / "out.json"
    found = run("bench", *here[1:], "-k", "latency and not opset11", f"--benchmark-json={path}", "--benchmark-min-rounds=1")
    assert found.returncode == 0, found.stdout[-3000:]
    content = json.loads(path.read_text())
    assert "CPUExecutionProvider" in content["encoder_parity"]["runtimes"]["onnxruntime"]["providers"]
    assert content["machine_info"]["encoder_parity"]["emulated"] is False
