"""Tests the check that a TFLite file contains its checkpoint's weights, in any format and in files of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fixtures.backends._tflite_weights import Constant, _constant, lost
from fixtures.core.errors import RemoteError
from fixtures.harness.worker_process import WorkerProcess

Floats = npt.NDArray[np.float32]
RANDOM = np.random.default_rng(3)
#: A dense kernel of Keras, [inputs, heads, values of each head].
KERNEL: Floats = RANDOM.normal(0, 0.02, (96, 3, 32)).astype(np.float32)
NONE = {"scales": np.array([]), "zero_points": np.array([]), "quantized_dimension": 0}


def transposed(kernel: Floats) -> Floats:
    """[outputs, inputs], as TFLite's dense layers have it."""
    return np.ascontiguousarray(kernel.reshape(96, 96).T)


def by_channel(weight: Floats, largest: int = 127) -> Constant:
    """The matrix rounded to int8 with a scale for each row."""
    scales = np.abs(weight).max(1) / largest
    parameters = {"scales": scales, "zero_points": np.zeros(len(scales), np.int64), "quantized_dimension": 0}
    return _constant(np.round(weight / scales[:, None]).astype(np.int8), parameters)


def clipped(weight: Floats, largest: float) -> Constant:
    """The matrix rounded to int8 with one scale, whose range ends at ``largest``."""
    parameters = {"scales": np.array([largest / 127]), "zero_points": np.array([0]), "quantized_dimension": 0}
    return _constant(np.clip(np.round(weight / (largest / 127)), -128, 127).astype(np.int8), parameters)


STORED: dict[str, Callable[[Floats], Constant]] = {
    "float32": lambda kernel: _constant(transposed(kernel), NONE),
    "float32 as it is": lambda kernel: _constant(kernel, NONE),
    "float16": lambda kernel: _constant(transposed(kernel).astype(np.float16), NONE),
    "float16 of tiny values": lambda kernel: _constant(transposed(kernel * 1e-5).astype(np.float16), NONE),
    "int8 by channel": lambda kernel: by_channel(transposed(kernel)),
    "int8 with few values beyond its range": lambda kernel: clipped(transposed(kernel), 0.05),
}


@pytest.mark.parametrize("name", STORED)
def test_a_weight_is_known_in_every_precision(name: str) -> None:
    kernel = KERNEL * np.float32(1e-5) if "tiny" in name else KERNEL
    assert not lost({"kernel": kernel}, {"other": STORED["float32"](KERNEL + 1), "stored": STORED[name](KERNEL)})


@pytest.mark.parametrize("name", STORED)
def test_another_weight_of_the_same_size_is_none(name: str) -> None:
    """A different matrix of the same size does not count as the weight.

    The differences: one value of 9,216 off by more than its rounding, another sign, another order, half of the values, a
    constant, NaN.
    """
    off = KERNEL.copy()
    off[50, 1, 7] += 0.01
    for other in (off, -KERNEL, np.roll(KERNEL, 1, 0), KERNEL / np.float32(2)):
        scaled = other * np.float32(1e-5) if "tiny" in name else other
        assert lost({"kernel": scaled}, {"stored": STORED[name](KERNEL)}) == ["kernel"]
    assert lost({"kernel": KERNEL}, {"stored": STORED[name](np.full_like(KERNEL, 1e-3))}) == ["kernel"]
    if "float" in name:
        assert lost({"kernel": KERNEL}, {"stored": STORED[name](KERNEL * np.float32("nan"))}) == ["kernel"]
    assert lost({"kernel": KERNEL}, {}) == ["kernel"]


def test_a_grid_that_clips_much_or_is_coarser_than_it_says_is_none() -> None:
    weight = transposed(KERNEL)
    assert lost({"kernel": KERNEL}, {"stored": clipped(weight, 0.02)}) == ["kernel"]
    coarse = by_channel(weight, largest=15)
    assert lost({"kernel": KERNEL}, {"stored": coarse._replace(off=coarse.off * 15 / 127)}) == ["kernel"]


def test_what_is_no_matrix_cannot_be_lost() -> None:
    """The check ignores vectors, which converters fold and fuse, biases of zeros, and counters."""
    others = {"bias": KERNEL[0, 0], "zeros": np.zeros((3, 32), np.float32), "steps": np.ones((2, 2), np.int64)}
    assert not lost(others, {})


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> WorkerProcess:
    return WorkerProcess("losing", tmp_path_factory.mktemp("losing") / "log", threads=1)


@pytest.mark.slow
@pytest.mark.backend("tflite")
def test_a_file_without_its_weights_is_refused(worker: WorkerProcess, tmp_path: Path) -> None:
    """The build fails if the file lacks its weights.

    The converter silently drops all weights of a SavedModel that tracks the Keras model and its variables, and keeps those of
    one that tracks only the variables.
    """

    def ask(target: str, **arguments: object) -> None:
        worker.ask("call", timeout=300, target=target, arguments=arguments)

    small = {"hidden_size": 32, "intermediate_size": 48, "vocab_size": 1200, "max_position_embeddings": 40}
    ask("tests.support.folders:ordinary", out=str(tmp_path / "plain"), **small)
    for name in ("whole", "empty"):
        (tmp_path / name).mkdir()
    ask("tests.support.losing:convert", out=str(tmp_path / "whole"), checkpoint=str(tmp_path / "plain"), tracked=False)
    assert (tmp_path / "whole" / "model.tflite").stat().st_size < 2**20, "small enough for a guess by size to be wrong"
    with pytest.raises(RemoteError, match=r"^RuntimeError: 23 of 23 weights are not in the converted file, such as weights/"):
        ask("tests.support.losing:convert", out=str(tmp_path / "empty"), checkpoint=str(tmp_path / "plain"), tracked=True)
    worker.close()
