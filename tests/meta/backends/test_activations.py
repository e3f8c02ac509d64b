"""Tests that each activation is the same function in the definition, in transformers and in Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.core.activations import ACTIVATIONS
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import sqnr

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
