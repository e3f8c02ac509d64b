"""Tests that each activation is the same function in the definition, in transformers and in Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.core.activations import ACTIVATIONS
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import sqnr
from tests.support.nested import run

#: Least SQNR: float64 has 16 digits, float32 seven; either may lose the last ones where terms of opposite sign are added.
LEAST_DB = {"transformers": 280.0, "keras": 110.0}


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
def test_an_activation_is_the_function_of_its_name(tmp_path: Path) -> None:
    worker = WorkerProcess("activations", tmp_path / "log", threads=1)
    values = np.linspace(-12, 12, 481).astype(np.float32).astype(np.float64)
    arguments = {"values": values.tolist(), "names": list(ACTIVATIONS)}
    found = worker.ask("call", timeout=120, target="tests.support.activation_values:compute", arguments=arguments)["value"]
    worker.close()
    for library, made in found.items():
        for name, activation in ACTIVATIONS.items():
            agreement = sqnr(activation(values), np.array(made[name]))
            assert agreement > LEAST_DB[library], f"{library}, {name}: {agreement:.0f} dB"


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
@pytest.mark.backend("onnxruntime_fused")
@pytest.mark.parametrize("activation", ["quick_gelu", "mish"])
def test_a_checkpoint_with_another_activation_agrees(tmp_path: Path, activation: str) -> None:
    """All runtimes compute it: fused (QuickGelu), as ordinary operators (Mish), and through Keras."""
    worker = WorkerProcess("activations", tmp_path / "log", threads=1)
    arguments = {"out": str(tmp_path / "mine"), "hidden_act": activation}
    worker.ask("call", timeout=120, target="tests.support.folders:ordinary", arguments=arguments)
    worker.close()
    found = run(
        "tests/conformance/test_agreement.py", "tests/conformance/test_structure.py", f"--checkpoint=mine={tmp_path / 'mine'}",
        "--no-fine-tune", "--precisions=f32", "--backends=pytorch,onnxruntime_fused,onnxruntime_tensorflow,tflite",
        f"--artifacts={tmp_path / 'store'}", "-q",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    assert " passed" in found.stdout
