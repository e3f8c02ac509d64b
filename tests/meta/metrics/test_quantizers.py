"""Tests that simulated quantizers are those of the runtimes, to the last bit: another scale moves values across ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.core.arithmetic import Activations
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.simulation import quantized_activations
from tests.support.quantizers import rows

SEEDS = list(range(300))


@pytest.mark.backend("onnxruntime")
def test_the_simulation_is_onnx_runtimes_quantizer(tmp_path: Path) -> None:
    worker = WorkerProcess("quantizers", tmp_path / "log", threads=1)
    asked = {"target": "tests.support.quantizers:dynamic", "arguments": {"seeds": SEEDS}}
    found = worker.ask("call", timeout=60, **asked)["value"]
    worker.close()
    for seed, made in zip(SEEDS, found, strict=True):
        simulated, _ = quantized_activations(rows(seed).astype(np.float64), Activations())
        assert np.array_equal(simulated, made), f"seed {seed}"
