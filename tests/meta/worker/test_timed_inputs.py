"""Tests that each timed call is a complete inference: a cache, a lazy result or an old result is detected."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fixtures.core.registry import Arrays, Backend
from fixtures.core.spec import Shape, Variant
from fixtures.metrics.inputs import TIMED, timed
from fixtures.timing.roofline import BYTES_A_CYCLE, CYCLES, least_seconds, weights
from fixtures.worker import server
from fixtures.worker.server import Host
from fixtures.worker.timed_inputs import KEPT

SHAPE = Shape(2, 2, 64, 128, 1000, 128, 0, ("input_ids", "attention_mask"))


class Right(Backend):
    """A correct backend, whose outputs are sums that differ by input; ``computed`` counts its computations."""

    def __init__(self) -> None:
        self.computed = 0

    def prepare(self, inputs: Arrays) -> Any:
        return inputs

    def compute(self, prepared: Any) -> dict[str, Any]:
        self.computed += 1
        ids = prepared["input_ids"]
        return {"logits": (ids * np.arange(1, 1 + ids.shape[1])).sum(1, keepdims=True).astype(np.float32)}

    def invoke(self, prepared: Any) -> Any:
        return self.compute(prepared)

    def outputs(self, result: Any) -> dict[str, Any]:
        return dict(result)


class Remembering(Right):
    """A backend with a cache of results by inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[bytes, Any] = {}

    def invoke(self, prepared: Any) -> Any:
        key = prepared["input_ids"].tobytes()
        if key not in self.known:
            self.known[key] = self.compute(prepared)
        return self.known[key]


class Lazy(Right):
    """A backend that computes when its outputs are read."""

    def invoke(self, prepared: Any) -> Any:
        made: list[dict[str, Any]] = []

        def result() -> dict[str, Any]:
            if not made:
                time.sleep(0.005)
                made.append(self.compute(prepared))
            return made[0]

        return result

    def outputs(self, result: Any) -> dict[str, Any]:
        return dict(result())


class Stale(Right):
    """A backend that, after ``right`` calls, returns the result of the previous call."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.right, self.last = right, None

    def invoke(self, prepared: Any) -> Any:
        before, self.last = self.last, super().invoke(prepared)
        return self.last if self.computed <= self.right else before


class Deaf(Right):
    """A backend that returns the same result for all inputs."""

    def compute(self, prepared: Any) -> dict[str, Any]:
        return super().compute({"input_ids": np.ones_like(prepared["input_ids"])})


@pytest.fixture
def host() -> Callable[[Backend], Host]:
    """``host(backend)`` returns the worker process's Host object in this process, with this backend loaded."""

    def loaded(backend: Backend) -> Host:
        made = Host(print)
        made.backend, made.shape, made.opened = backend, SHAPE, {"meta": {}}
        return made

    return loaded


def warm(made: Host) -> Host:
    made.warm_up(timed(SHAPE, 2, 16))
    return made


def test_timed_inputs_are_as_many_as_promised_and_differ_in_every_place() -> None:
    batches = timed(SHAPE, 2, 16)
    assert len(batches) == TIMED
    for i, one in enumerate(batches):
        assert one["input_ids"].min() >= 5
        assert all((one["input_ids"] != other["input_ids"]).all() for other in batches[:i])


def test_a_right_backend_is_timed_and_confirmed(host: Callable[[Backend], Host]) -> None:
    made = warm(host(Right()))
    assert len(made.rounds(0.0, 40, 2)["seconds"]) == 40
    made.confirm()


def test_a_cache_of_results_is_never_asked_twice_for_the_same(host: Callable[[Backend], Host]) -> None:
    """With a cache of results, every timed round is computed except the one with known inputs that begins a stretch."""
    backend = Remembering()
    made = warm(host(backend))
    assert backend.computed == TIMED, "in the warm-up, which repeats its inputs, the cache works"
    made.rounds(0.0, 50, 0)
    made.rounds(0.0, 50, 1)
    assert backend.computed == TIMED + 49 + 50


def test_a_cache_of_results_is_named(host: Callable[[Backend], Host], monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend with a cache is detected, by a clock that counts the work done."""
    clock = itertools.count(0, 10_000)
    done = [0]
    monkeypatch.setattr("fixtures.worker.timed_inputs.time.perf_counter_ns", lambda: next(clock) + done[0])

    class Slow(Remembering):
        def compute(self, prepared: Any) -> dict[str, Any]:
            done[0] += 5_000_000
            return super().compute(prepared)

    with pytest.raises(RuntimeError, match=r"results are kept by their inputs: those seen before take 0\.0"):
        warm(host(Slow())).confirm()


class Busy:
    """A clock of a machine so busy that ``work`` of a millisecond is interrupted once on average, for a tenth of a second."""

    def __init__(self, seed: int) -> None:
        self.random, self.now, self.work = np.random.default_rng(seed), 0.0, 0.0

    def read(self) -> int:
        """Nanoseconds now; reading the clock and what a call does beside its work take 2 microseconds."""
        seconds, self.work = self.work + 2e-6, 0.0
        interruptions = self.random.exponential(0.1, self.random.poisson(seconds / 0.001))
        self.now += seconds + float(interruptions.sum())
        return int(self.now * 1e9)


@pytest.mark.parametrize(("kind", "named"), [(Right, 0), (Remembering, 100)])
def test_a_busy_machine_neither_names_a_cache_nor_hides_one(
    host: Callable[[Backend], Host], monkeypatch: pytest.MonkeyPatch, kind: type[Right], named: int
) -> None:
    right = Right.compute

    def compute(self: Right, prepared: Any) -> dict[str, Any]:
        clock.work += 0.001
        return right(self, prepared)

    monkeypatch.setattr(Right, "compute", compute)
    told = 0
    for seed in range(100):
        clock = Busy(seed)
        monkeypatch.setattr("fixtures.worker.timed_inputs.time.perf_counter_ns", clock.read)
        made = warm(host(kind()))
        assert made.turns is not None
        made.turns._draw = np.random.default_rng(seed)
        told += made.turns._share_of_known() < KEPT
    assert told == named


def test_a_future_is_refused(host: Callable[[Backend], Host]) -> None:
    made = warm(host(Lazy()))
    made.rounds(0.0, 5, 0)
    with pytest.raises(RuntimeError, match="goes on after it has returned: to have its outputs takes"):
        made.confirm()


def test_outputs_that_change_while_it_is_timed_are_noticed_then_and_afterwards(host: Callable[[Backend], Host]) -> None:
    for discard in (0, 1):
        made = warm(host(Stale(30)))
        made.rounds(0.0, 30, discard)
        with pytest.raises(RuntimeError, match="no longer those of the first warm-up run"):
            made.rounds(0.0, 1, discard)
    made = warm(host(Stale(30)))
    made.rounds(0.0, 30, 0)
    with pytest.raises(RuntimeError, match="no longer those of the first warm-up run"):
        made.confirm()


def test_a_runtime_that_does_not_look_at_its_inputs_is_not_timed(host: Callable[[Backend], Host]) -> None:
    with pytest.raises(RuntimeError, match="timed inputs that differ have the same outputs"):
        warm(host(Deaf()))


def test_rounds_are_bounded(host: Callable[[Backend], Host], monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of rounds in a stretch is limited, since an immediate return would fill files; an explicit number is kept."""
    monkeypatch.setattr(server, "MOST_ROUNDS", 50)
    made = warm(host(Right()))
    assert len(made.rounds(3600.0, 1, 0)["seconds"]) == 50
    assert len(made.rounds(3600.0, 60, 0)["seconds"]) == 60


def test_no_thread_reads_weights_faster_than_its_nearest_cache() -> None:
    """The limit follows from the bytes of the weights: layers of four 64 x 64 and two 64 x 128 matrices, a 64 x 64 head."""
    assert weights(SHAPE) == 2 * (4 * 64 * 64 + 2 * 64 * 128) + 64 * 64
    for backend, precision, recipe, width in (
        ("onnxruntime", "f32", "", 4),
        ("openvino", "f32", "library_default", 2),  # its file keeps 16 bits
        ("openvino", "bf16", "", 2),  # its file keeps 32 bits, its memory 16
        ("onnxruntime", "f16", "", 2),
        ("pytorch", "bf16", "", 2),
        ("onnxruntime", "int8_static", "", 1),
        ("tflite", "int16x8", "", 1),
    ):
        variant = Variant("minilm-l6", "full", backend, precision, recipe)
        least = weights(SHAPE) * width / BYTES_A_CYCLE / CYCLES
        assert least_seconds(SHAPE, variant, 1) == pytest.approx(least)
        assert least_seconds(SHAPE, variant, 4) == pytest.approx(least / 4)
