"""Tests the comparison of two stacks: a difference is a finding; a failure without a known failure fails the comparison."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bench.test_stacks import test_stack as compare
from fixtures.core.errors import Crash, RemoteError
from fixtures.core.machine import this_machine
from fixtures.core.registry import load
from fixtures.core.spec import Variant
from fixtures.harness.labelled_rows import Evaluated
from fixtures.known_failures.entry import ACCURACY, BUILD, KnownFailure
from fixtures.options.comparison import Comparing

VARIANT = Variant("minilm-l6", "tiny", "onnxruntime", "f32")
ROWS = {"input_ids": np.ones((4, 5), np.int64), "attention_mask": np.ones((4, 5), np.int64)}
NEW, OLD = {"onnxruntime": "1.30.0"}, {"onnxruntime": "1.4.0"}
MISSING = RemoteError("ImportError: cannot import name 'QuantType'\n\nTraceback")


class Stack:
    """A harness with a variant that fails with ``error``, whose packages are ``absent``, or that works."""

    def __init__(self, installed: dict[str, str], error: Exception | None = None, absent: tuple[str, ...] = ()) -> None:
        self.error, self.target = error, this_machine()
        self.toolchain = SimpleNamespace(
            absent=lambda needs: absent, installed=installed, builds_with=installed, target=self.target, machine=self.target
        )
        self.pool = SimpleNamespace(release=lambda session: None)
        self.store = SimpleNamespace(record=lambda event, **fields: self.recorded.append(fields))
        self.recorded: list[dict[str, Any]] = []

    def data(self) -> Any:
        return SimpleNamespace(meta={"kind": "MRPC"})

    def probes(self, model: str, size: str) -> dict[str, Any]:
        return ROWS

    def dev(self, model: str, size: str) -> Evaluated:
        rows = [{"text": "one", "pair": "two", "label": i % 2} for i in range(4)]
        return Evaluated(load().tasks["mrpc"], rows, ["0", "1"], ROWS, {})

    def checkpoint(self, model: str, size: str) -> Any:
        return SimpleNamespace(trained=True, in_order=lambda logits: logits)

    def artifact(self, variant: Variant) -> Any:
        if self.error is not None:
            raise self.error
        return SimpleNamespace(size_mib=1.0)

    def open(self, variant: Variant) -> Any:
        return SimpleNamespace(run=self._run)

    def _run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        rows, length = inputs["input_ids"].shape
        return {"logits": np.tile([0.0, 1.0], (rows, 1)), "last_hidden_state": np.ones((rows, length, 8))}


def compared(before: Stack, after: Stack) -> dict[str, Any]:
    """The fields that the benchmark records for VARIANT in two stacks; AssertionError if the benchmark fails."""
    ratio = SimpleNamespace(estimate=1.0, low=0.9, high=1.1)
    result = SimpleNamespace(ratio=ratio, unstable=None)
    other = SimpleNamespace(text="OTHER", elsewhere=True, harness=before, measure=lambda variant, stop, budget: result)
    settings = SimpleNamespace(comparing=Comparing("OTHER", None, 0.01, 1.0, None))
    compare(cast(Any, after), VARIANT, cast(Any, other), cast(Any, settings))
    return after.recorded[-1]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``table(**fields)`` replaces the known failures by one for the old stack that matches MISSING, changed by ``fields``."""

    def write(**fields: Any) -> None:
        told = {
            "variant": "*-onnxruntime-*", "phase": BUILD, "exception": RemoteError, "message": "^ImportError: .*QuantType",
            "reason": "r", "remedy": "m", "link": "https://example.org/1",
            "applies": lambda situation: situation.has("onnxruntime < 1.5"),
        }  # fmt: skip
        monkeypatch.setattr("fixtures.known_failures.KNOWN_FAILURES", (KnownFailure(**{**told, **fields}),))

    return write


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (Stack(OLD), Stack(NEW), "works in both"),
        (Stack(OLD, MISSING), Stack(NEW), "newly works"),
        (Stack(NEW), Stack(OLD, MISSING), "newly fails"),
        (Stack(OLD, MISSING), Stack(OLD, MISSING), "works in neither"),
        (Stack(OLD, absent=("onnxruntime",)), Stack(NEW), "new"),
        (Stack(OLD), Stack(NEW, absent=("onnxruntime",)), "gone"),
        (Stack(OLD, MISSING, absent=("onnxruntime",)), Stack(NEW, MISSING), "new"),  # tried in neither
    ],
)  # fmt: skip
def test_a_difference_is_a_finding(before: Stack, after: Stack, state: str, table: Any) -> None:
    table()
    assert compared(before, after)["state"] == state


@pytest.mark.parametrize(
    ("before", "after", "fields", "said"),
    [
        (Stack(OLD), Stack(NEW, MISSING), {}, "this stack: no known failure covers ImportError: cannot import name"),
        (Stack(NEW, MISSING), Stack(NEW), {}, "OTHER: no known failure covers ImportError: cannot import name"),
        (Stack(OLD, MISSING), Stack(NEW), {"phase": ACCURACY}, "OTHER: no known failure covers"),
        (Stack(OLD, MISSING), Stack(NEW), {"message": "^RuntimeError"}, "OTHER: the known failure .* another: ImportError"),
        (Stack(OLD, Crash("killed by SIGILL")), Stack(NEW), {}, "OTHER: the known failure .* another: killed by SIGILL"),
        (Stack(OLD, MISSING), Stack(NEW, MISSING), {}, "this stack: no known failure covers"),
    ],
)  # fmt: skip
def test_a_failure_that_nothing_explains_fails_the_comparison(
    before: Stack, after: Stack, fields: dict[str, Any], said: str, table: Any
) -> None:
    table(**fields)
    with pytest.raises(AssertionError, match=said):
        compared(before, after)
    assert len(after.recorded) == 1, "the table has it nevertheless"
