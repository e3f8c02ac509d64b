"""Faults of a runtime whose outputs or latency depend on earlier calls or on the process, not only on the inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fixtures.metrics.arrays import Arrays
from tests.mutation.faults.runtimes import HIDDEN, Elsewhere, Memory, Outputs, SessionFault

Compute = Callable[[], Outputs]


def _stale(every: int) -> Callable[[Compute, Arrays, Memory], Outputs]:
    """After ``every`` calls, the next one of the same shape as its predecessor returns the predecessor's outputs."""

    def call(compute: Compute, inputs: Arrays, memory: Memory) -> Outputs:
        made = compute()
        before, memory["before"] = memory.get("before", made), made
        memory["calls"] = memory.get("calls", 0) + 1
        if memory["calls"] < every or before[HIDDEN].shape != made[HIDDEN].shape:
            return made
        memory["calls"] = 0
        return before  # type: ignore[no-any-return]

    return call


def _cached(compute: Compute, inputs: Arrays, memory: Memory) -> Outputs:
    """Caches results by their inputs, so that repeated rounds on one input take no time."""
    key = tuple((name, array.shape, array.tobytes()) for name, array in sorted(inputs.items()))
    return memory.setdefault("cache", {}).get(key) or memory["cache"].setdefault(key, compute())  # type: ignore[no-any-return]


def _lazy(compute: Compute, inputs: Arrays, memory: Memory) -> Compute:
    return compute


def _inputs_reversed(compute: Compute, inputs: Arrays, memory: Memory) -> Outputs:
    made = compute()
    inputs["input_ids"][:] = inputs["input_ids"][:, ::-1].copy()
    return made


def _same_buffer(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    buffers = memory.setdefault("buffers", {})
    for name, array in outputs.items():
        np.copyto(buffers.setdefault((name, array.shape), np.empty_like(array)), array)
    return {name: buffers[name, array.shape] for name, array in outputs.items()}


def _noise_of_the_process(outputs: Outputs, inputs: Arrays, memory: Memory) -> Outputs:
    random = np.random.default_rng(os.getpid())
    return {
        name: array * (1 + 1e-4 * random.standard_normal(array.shape).astype(array.dtype)) for name, array in outputs.items()
    }


def _fault(name: str, says: str, **how: Any) -> SessionFault:
    return SessionFault(name=name, says=says, shown=False, **how)


FAULTS = (
    _fault("stale_50", "every 50th call gives the outputs of the call before", call=_stale(50)),
    _fault("stale_1000", "every 1,000th call gives the outputs of the call before", call=_stale(1000)),
    _fault("same_buffer", "a call's outputs lie where those of the call before did", outputs=_same_buffer),
    _fault("inputs_changed", "the caller's inputs are changed in place", call=_inputs_reversed),
    _fault("noise_of_the_process", "outputs differ by 1e-4 from process to process", outputs=_noise_of_the_process),
    _fault("more_threads", "one more thread than asked for", more_threads=1),
    _fault("cached", "results are kept by their inputs", call=_cached),
    _fault("lazy", "an inference returns at once; reading its outputs computes", call=_lazy),
    Elsewhere(name="elsewhere", says="the artifact reads its data from another folder", shown=False),
)
