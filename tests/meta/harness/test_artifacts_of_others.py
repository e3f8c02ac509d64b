"""Tests runs with a remote: a second machine builds nothing, and one without the packages of a build runs what others built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.nested import run

TINY = ("--models=bert-base-cased", "--size=tiny")
#: A variant of OpenVINO whose build needs nncf and PyTorch, and whose run needs neither.
STATIC = ("tests/conformance/test_structure.py", *TINY, "--backends=openvino", "--precisions=int8_static", "-rs")
#: Agreement, for which the outputs of PyTorch in float64 are needed too.
AGREEMENT = ("tests/conformance/test_agreement.py", *TINY, "--backends=onnxruntime", "--precisions=f32", "-rs", "-k=not recipe")
HIDING: dict[str, Any] = {"ENCODER_PARITY_PLUGINS": "tests.support.hiding"}


def without(*packages: str) -> dict[str, Any]:
    """The environment of a run in which ``packages`` are not installed."""
    return {**HIDING, "ENCODER_PARITY_HIDDEN": ",".join(packages)}


@pytest.mark.slow
def test_a_second_machine_builds_nothing(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    counted = []
    for name in ("first", "second"):
        found = run(
            "tests/conformance", *TINY, "--backends=onnxruntime", f"--artifacts={tmp_path / name}",
            f"--artifacts-remote={remote}", timeout=1200,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout[-3000:]
        assert f"artifacts: {tmp_path / name}, behind them {remote}" in found.stdout
        counted.append([int(made[1]) if (made := re.search(rf"{word} (\d+) artifacts", found.stdout)) else 0
                        for word in ("built", "fetched")])  # fmt: skip
    (built, none), (left, fetched) = counted
    assert none == 0
    assert left <= 1, "but what ONNX Runtime offers on this machine"
    assert fetched >= built - 1 > 10
    assert not list((remote / "leases").iterdir())
    assert not list((remote / "tmp").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "packages"),
    [(STATIC, ("nncf",)), (AGREEMENT, ("torch", "transformers", "onnxscript"))],
    ids=["nncf", "PyTorch"],
)
def test_a_machine_without_the_packages_of_a_build_runs_what_others_built(
    tmp_path: Path, arguments: tuple[str, ...], packages: tuple[str, ...]
) -> None:
    remote = tmp_path / "remote"
    shared = (*arguments, f"--artifacts-remote={remote}")
    alone = run(*shared, f"--artifacts={tmp_path / 'alone'}", **without(*packages))
    assert alone.returncode == 0, alone.stdout[-3000:]
    assert re.search(rf"not installed: {packages[0]}.*, and {remote} has no ", alone.stdout), alone.stdout[-3000:]
    assert "passed" not in alone.stdout.splitlines()[-1]
    built = run(*shared, f"--artifacts={tmp_path / 'builder'}", **HIDING)
    assert built.returncode == 0, built.stdout[-3000:]
    found = run(*shared, f"--artifacts={tmp_path / 'runner'}", **without(*packages))
    assert found.returncode == 0, found.stdout[-3000:]
    assert "skipped" not in found.stdout.splitlines()[-1], found.stdout[-3000:]
    passed = [re.search(r"(\d+) passed", one.stdout.splitlines()[-1]) for one in (built, found)]
    assert all(passed)
    assert passed[0] == passed[1] or passed[0][1] == passed[1][1]  # type: ignore[index]
