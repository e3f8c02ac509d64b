"""Effects of one inference on another are found: stale results, shared buffers, changed inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fixtures.metrics.agreement import other_bits
from fixtures.worker import side_effects

#: As the conformance tests have it: what happens every thousandth time happens.
CALLS = 1100


def test_a_last_bit_that_differs_is_told() -> None:
    one = {"logits": np.ones((2, 2), np.float32)}
    assert other_bits(one, dict(one)) is None
    assert other_bits(one, {"logits": np.nextafter(one["logits"], np.float32(2))}) == "other logits (138 dB)"


class Right:
    """A correct backend written in numpy, for :func:`fixtures.worker.side_effects.faults`."""

    calls = 0

    def prepare(self, inputs: Any) -> Any:
        return inputs

    def invoke(self, prepared: Any) -> Any:
        self.calls += 1
        ids = prepared["input_ids"]
        return (ids * np.arange(1, 1 + ids.shape[1])).sum(1, keepdims=True).astype(np.float32)

    def outputs(self, result: Any) -> dict[str, Any]:
        return {"logits": result}


class EveryThousandth(Right):
    def invoke(self, prepared: Any) -> Any:
        before, self.last = getattr(self, "last", None), super().invoke(prepared)
        return before if self.calls % 1000 == 0 else self.last


class OneBuffer(Right):
    buffer = np.zeros((1, 1), np.float32)

    def outputs(self, result: Any) -> dict[str, Any]:
        self.buffer[...] = result
        return {"logits": self.buffer}


class ChangesInputs(Right):
    def invoke(self, prepared: Any) -> Any:
        result = super().invoke(prepared)
        prepared["input_ids"][:, 0] += self.calls > 1000
        return result


class UsesUpWhatIsPrepared(Right):
    def prepare(self, inputs: Any) -> Any:
        return {name: array.copy() for name, array in inputs.items()}

    def invoke(self, prepared: Any) -> Any:
        result = super().invoke(prepared)
        prepared["input_ids"][:] = 0
        return result


class Deaf(Right):
    def invoke(self, prepared: Any) -> Any:
        return np.ones((1, 1), np.float32)


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (Right, []),
        (EveryThousandth, ["1 of 1100 calls, call 996 first, have other outputs than their inputs had at first"]),
        (OneBuffer, ["the outputs of a call change when the next one runs"]),
        (
            ChangesInputs,
            ["100 of 1100 calls", "prepared inputs that are run twice", "a call changes the arrays that it is given"],
        ),
        (UsesUpWhatIsPrepared, ["prepared inputs that are run twice have other outputs"]),
        (Deaf, ["inputs that differ have the same outputs"]),
    ],
)
def test_what_a_call_must_not_do_to_another_is_found(backend: type[Right], says: list[str]) -> None:
    inputs = [{"input_ids": np.arange(5 + i, 13 + i)[None]} for i in range(3)]
    made: Any = backend()
    found = side_effects.faults(made, made.prepare, inputs, CALLS)
    assert len(found) == len(says), found
    assert all(said in line for line, said in zip(found, says, strict=True)), found
