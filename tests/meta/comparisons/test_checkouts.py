"""Tests ``--compare CHECKOUT``, which compares the code and packages of another checkout with those of this one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fixtures.harness.harness import Harness
from fixtures.store.source_code import ROOT
from fixtures.worker.server import PROTOCOL
from tests.support.checkouts import copied, edit, slow_down
from tests.support.nested import command, run, surroundings

pytestmark = pytest.mark.backend("onnxruntime")


@pytest.fixture
def options(harness: Harness) -> tuple[str, ...]:
    return ("bench", "--models=bert-base-cased", "--size=tiny", "--backends=onnxruntime", "--precisions=f32", "--seq-len=32",
            f"--artifacts={harness.store.root}", "-k=not opset11", "--fail-if-slower=20%", "--max-seconds=60")  # fmt: skip


@pytest.mark.slow
def test_code_that_became_slower_fails_the_gate_and_faster_code_passes(options: tuple[str, ...], tmp_path: Path) -> None:
    """Of two checkouts with the same packages, one sleeps in every inference; each is compared with the other."""
    slow = copied(tmp_path / "slow")
    slow_down(slow)
    fails = subprocess.run(
        command(*options, f"--compare={ROOT}"), cwd=slow, env=surroundings(), capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    passes = run(*options, f"--compare={slow}")
    if "can't tell" not in fails.stdout + passes.stdout:  # the correct verdict on a busy machine
        assert fails.returncode == 1, fails.stdout[-3000:]
        assert "is slower than" in fails.stdout
        assert passes.returncode == 0, passes.stdout[-3000:]
        assert "not slower" in passes.stdout


def test_what_a_checkout_does_not_have_is_skipped_with_the_reason(options: tuple[str, ...], tmp_path: Path) -> None:
    older = copied(tmp_path / "older")
    edit(older / "fixtures" / "backends" / "onnxruntime.py", '"f16", "weights_only"', '"f16", "by_another_name"')
    found = run(*options, "--precisions=f16", "-k=weights_only", f"--compare={older}")
    assert found.returncode == 0, found.stdout[-3000:]
    assert "has no such variant" in found.stdout


def test_a_checkout_of_another_protocol_is_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    other = copied(tmp_path / "other")
    edit(other / "fixtures" / "worker" / "server.py", f"PROTOCOL = {PROTOCOL}", "PROTOCOL = 99")
    found = run(*options, f"--compare={other}")
    assert found.returncode == 4
    assert f"--compare {other}: in the protocol of worker processes it has version 99, this checkout" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_checkout_of_before_the_present_layout_is_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "child.py").touch()
    found = run(*options, f"--compare={tmp_path}")
    assert found.returncode == 4
    assert f"--compare {tmp_path}: in the protocol of worker processes it has no version" in found.stderr
