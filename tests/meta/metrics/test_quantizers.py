"""Tests that simulated quantizers are those of the runtimes, to the last bit: another scale moves values across ties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.arithmetic import (
    OPENVINO_COMPRESSED,
    OPENVINO_STATIC,
    PT2E,
    TORCHAO,
    TORCHAO_WEIGHTS,
    Activations,
    Arithmetic,
    executorch_dynamic,
    newest,
    onnx_blocks,
    onnx_dynamic,
    pt2e_dynamic,
    tflite_dynamic,
    torch_dynamic,
)
from fixtures.core.families import family_of
from fixtures.core.family import Family
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.arrays import Float64s
from fixtures.metrics.simulation import quantized_activations, quantized_weights
from tests.support.newer_quantizers import halves
from tests.support.quantizers import rows, ties

SEEDS = list(range(300))
NEWER = ("compressed", "static", "blocks", "pt2e", "pt2e_dynamic", "torchao")
BERT: Family = family_of({"model_type": "bert"})


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Calls a function of tests.support.quantizers in a worker process: its value."""
    worker = WorkerProcess("quantizers", tmp_path / "log", threads=1)

    def asked(name: str, **arguments: Any) -> Any:
        module = "newer_quantizers" if name in NEWER else "quantizers"
        return worker.ask("call", timeout=120, target=f"tests.support.{module}:{name}", arguments=arguments)["value"]

    yield asked
    worker.close()


@pytest.mark.backend("onnxruntime")
def test_the_simulation_is_onnx_runtimes_quantizer(call: Callable[..., Any]) -> None:
    for seed, made in zip(SEEDS, call("dynamic", seeds=SEEDS), strict=True):
        simulated, _ = quantized_activations(rows(seed).astype(np.float64), Activations())
        assert np.array_equal(simulated, made), f"seed {seed}"


def weights_as_declared(arithmetic: Arithmetic, values: Any = None) -> Float64s:
    """``values``, or those of :func:`ties`, as the ``arithmetic`` of a build stores them."""
    assert arithmetic.quantized is not None
    return quantized_weights((ties() if values is None else values).astype(np.float64), arithmetic.quantized)


@pytest.mark.backend("pytorch")
def test_weights_at_a_tie_are_rounded_as_pytorch_rounds(call: Callable[..., Any]) -> None:
    assert np.array_equal(weights_as_declared(torch_dynamic(False, BERT)), call("torch_weights"))


@pytest.mark.backend("onnxruntime")
def test_weights_at_a_tie_are_rounded_as_onnx_runtime_rounds(call: Callable[..., Any], tmp_path: Path) -> None:
    made = call("onnxruntime_weights", folder=str(tmp_path))
    assert np.array_equal(weights_as_declared(onnx_dynamic(False, BERT)), made)


@pytest.mark.backend("tflite")
def test_weights_at_a_tie_are_rounded_as_tflites_converter_rounds(call: Callable[..., Any]) -> None:
    assert np.array_equal(weights_as_declared(tflite_dynamic(False, BERT)), call("tflite_weights"))


@pytest.mark.backend("openvino")
@pytest.mark.parametrize(("name", "arithmetic"), [("compressed", OPENVINO_COMPRESSED), ("static", OPENVINO_STATIC)])
def test_weights_at_a_tie_are_rounded_as_nncf_rounds(call: Callable[..., Any], name: str, arithmetic: Arithmetic) -> None:
    assert np.array_equal(weights_as_declared(arithmetic), call(name))


@pytest.mark.backend("onnxruntime_blocks")
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("halfway", [False, True])
def test_weights_in_blocks_are_those_of_onnx_runtime(call: Callable[..., Any], bits: int, halfway: bool) -> None:
    """Codes, and with ``halfway`` zero points, that lie between two integers."""
    how = onnx_blocks(bits, "f32")(False, BERT, newest)
    expected = weights_as_declared(how, halves(bits) if halfway else None)
    assert np.array_equal(expected, call("blocks", bits=bits, halfway=halfway))


@pytest.mark.backend("inductor")
def test_the_simulation_is_pt2es_quantizer(call: Callable[..., Any]) -> None:
    assert np.array_equal(weights_as_declared(pt2e_dynamic(False, BERT)), call("pt2e", least=-128))
    for seed, made in zip(SEEDS, call("pt2e_dynamic", seeds=SEEDS), strict=True):
        simulated, _ = quantized_activations(rows(seed).astype(np.float64), Activations(PT2E))
        assert np.allclose(simulated, made, rtol=1e-6, atol=0), f"seed {seed}"


@pytest.mark.backend("executorch")
def test_weights_at_a_tie_are_rounded_as_pt2e_rounds_them_for_xnnpack(call: Callable[..., Any]) -> None:
    assert np.array_equal(weights_as_declared(executorch_dynamic(False, BERT)), call("pt2e", least=-127))


@pytest.mark.backend("torchao")
def test_the_simulation_is_torchaos_quantizer(call: Callable[..., Any]) -> None:
    assert np.array_equal([weights_as_declared(TORCHAO_WEIGHTS)], call("torchao"))
    for seed, made in zip(SEEDS, call("torchao", seeds=SEEDS), strict=True):
        simulated, _ = quantized_activations(rows(seed).astype(np.float64), Activations(TORCHAO))
        assert np.array_equal(simulated, made), f"seed {seed}"
