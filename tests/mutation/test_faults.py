"""Tests the faults: each has the effect that it describes. ``test_detection.py`` tests that the suite detects them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.core.registry import Backend
from fixtures.core.spec import Shape
from fixtures.options.settings import Settings
from tests.mutation.detection import ONCE, PLUGIN, SUBJECTS, Finding, collect, read
from tests.mutation.faults import FAULTS, states
from tests.mutation.faults.runtimes import HIDDEN, SessionFault, heeding

SHAPE = Shape(2, 2, 4, 8, 100, 16, 0, ("input_ids", "attention_mask"))
#: One cell that can have nearly all faults, and the faults that only int8, f16 or a PyTorch session can have.
CHOSEN = (
    "onnxruntime-f32-fault", "onnxruntime-f32-harmless", "int8_dynamic-fault_scales", "onnxruntime-f16-fault_in",
    "pytorch-f32-fault_clip",
)  # fmt: skip


class Echo(Backend):
    """A backend whose outputs are the ids, so that the effect of a fault on them can be read directly."""

    threads = computed = 0

    def load(self, artifact: Path, meta: Any, shape: Shape, threads: int) -> None:
        self.threads = threads

    def prepare(self, inputs: Any) -> Any:
        return inputs["input_ids"].astype(np.float32)

    def invoke(self, prepared: Any) -> Any:
        self.computed += 1
        return prepared

    def outputs(self, result: Any) -> dict[str, Any]:
        return {"logits": result[:, :2], HIDDEN: result[..., None].copy()}


def opened(name: str) -> Any:
    """A session with the fault of this name."""
    fault = next(fault for fault in FAULTS if fault.name == name and isinstance(fault, SessionFault))
    made = heeding(Echo, {fault.recipe: fault})()
    made.load(Path(), {"session": fault.recipe}, SHAPE, 2)
    return made


def ids(first: int, length: int = 4) -> dict[str, Any]:
    made = first + np.arange(length)[None]
    return {"input_ids": made, "attention_mask": np.ones_like(made)}


def ran(session: Any, inputs: dict[str, Any]) -> float:
    """Runs a call and returns the first value of the hidden state, which is the first id."""
    return float(session.outputs(session.invoke(session.prepare(inputs)))[HIDDEN][0, 0, 0])


@pytest.mark.parametrize(("name", "every"), [("stale_50", 50), ("stale_1000", 1000)])
def test_an_earlier_call_s_outputs_come_back(name: str, every: int) -> None:
    session = opened(name)
    wrong = [call for call in range(1, 2 * every + 1) if ran(session, ids(call)) != call]
    assert wrong == [every, 2 * every]


def test_a_buffer_is_given_out_twice() -> None:
    session = opened("same_buffer")
    first = session.outputs(session.invoke(session.prepare(ids(1))))
    assert ran(session, ids(7)) == 7
    assert first[HIDDEN][0, 0, 0] == 7


def test_inputs_are_changed_in_place_after_the_call() -> None:
    session, inputs = opened("inputs_changed"), ids(1)
    assert ran(session, inputs) == 1
    assert inputs["input_ids"].tolist() == [[4, 3, 2, 1]]


def test_noise_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened("noise_of_the_process")
    here = ran(session, ids(1))
    assert ran(session, ids(1)) == here
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert ran(session, ids(1)) not in (here, 1.0)


def test_one_more_thread() -> None:
    assert opened("more_threads").threads == 3


def test_results_are_cached_and_lazy() -> None:
    cached, lazy = opened("cached"), opened("lazy")
    assert [ran(cached, ids(first)) for first in (1, 2, 1, 1)] == [1, 2, 1, 1]
    assert cached.computed == 2
    result = lazy.invoke(lazy.prepare(ids(1)))
    assert lazy.computed == 0
    assert lazy.outputs(result)[HIDDEN][0, 0, 0] == 1


def test_names_are_told_apart() -> None:
    """All faults of one recipe have the same sentence; the recipes of faults and of harmless changes differ."""
    says: dict[str, set[str]] = {}
    for fault in FAULTS:
        says.setdefault(fault.recipe, set()).add(fault.says)
    assert all(len(lines) == 1 for lines in says.values()), says
    assert len({fault.name for fault in FAULTS if not fault.harmless}) >= 60
    assert len({fault.name for fault in FAULTS if fault.harmless}) >= 5


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> list[Finding]:
    junit = tmp_path_factory.mktemp("effects") / "effects.xml"
    arguments = (
        "tests/mutation/effects.py",
        *ONCE,
        "--models=bert-base-cased",
        "--size=tiny",
        f"--artifacts={settings.artifacts.root}",
    )
    collect(junit, *arguments, "-k", f"not first_epoch and ({' or '.join(CHOSEN)})", workers=1, **PLUGIN)
    return read(junit, SUBJECTS["tiny"])


@pytest.mark.backend("onnxruntime")
@pytest.mark.nightly
def test_every_fault_changes_outputs_and_nothing_harmless_does(found: list[Finding]) -> None:
    failed = {finding.cell: finding.failures for finding in found if finding.failures}
    assert not failed
    kinds = {finding.fault for finding in found if finding.fault}
    states_ = {fault.name for fault in states.FAULTS}
    assert len(kinds - states_) > 60, sorted(kinds)
    assert sum(bool(finding.harmless) for finding in found) >= 5
