"""Tests that hidden states keep their names from the export to every form of a file, for families of every structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fixtures.backends import _onnx_states, _torch_states
from fixtures.core.families import family_of, load_families
from fixtures.core.hidden_states import IN, LOGITS, OUT, State, at, tensors
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.agreement import sqnr
from tests.support.small_families import FIELDS

#: Required SQNR of a form in float32. Float32 has 144 dB in one operation; a layer sums some hundreds of values a few times.
#: That leaves a margin of more than 20 dB.
FLOAT32_DB = 100.0
FLOAT32 = ("torchscript", "onnx", "folded", "fused", "tensorflow", "tflite")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    started = WorkerProcess("families", tmp_path_factory.mktemp("families") / "log", threads=1)
    yield started
    started.close()


def ask(worker: WorkerProcess, target: str, **arguments: object) -> Any:
    return worker.ask("call", timeout=300, target=f"tests.support.small_families:{target}", arguments=arguments)["value"]


@pytest.mark.slow
@pytest.mark.backend("torchscript")
@pytest.mark.backend("onnxruntime_fused")
@pytest.mark.parametrize("family", FIELDS)
def test_every_form_shows_the_states_of_the_model(worker: WorkerProcess, family: str, tmp_path: Path) -> None:
    """In every form the tensor of a state is nearest to the state of that name in the model, and in float32 equal to it.

    The files have no other outputs than those that are timed, and the traced file's two methods the same operations.
    """
    found = ask(worker, "shown", out=str(tmp_path), family=family)
    assert len(found["forms"]) == 9
    for form, stages in found["forms"].items():
        _require_the_same(f"{family}, {form}", found["eager"], stages, found["inputs"]["attention_mask"].astype(bool))
    assert all(names == ["logits", "last_hidden_state"] for names in found["outputs"].values()), found["outputs"]
    forward, layers = found["operators"]
    assert forward == layers


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
@pytest.mark.backend("tflite")
def test_layers_of_keras_that_share_weights_are_recorded_at_every_call(worker: WorkerProcess, tmp_path: Path) -> None:
    found = ask(worker, "shared", out=str(tmp_path))
    for form, stages in found["forms"].items():
        stages[LOGITS] = found["eager"][LOGITS]  # the encoder alone was converted
        _require_the_same(form, found["eager"], stages, found["inputs"]["attention_mask"].astype(bool))


def _require_the_same(form: str, eager: Mapping[str, np.ndarray], stages: dict[str, np.ndarray], real: np.ndarray) -> None:
    """Compare real tokens only: what padded ones compute is not the same in all attention implementations."""
    last = stages.pop("last_hidden_state")
    assert list(stages) == list(eager), form
    wanted = {stage: array[real] if stage != LOGITS else array for stage, array in eager.items()}
    *_, name, _ = stages
    for stage, array in [*stages.items(), (name, last)]:
        got = array[real] if stage != LOGITS else array
        by_distance = {other: sqnr(each, got) for other, each in wanted.items() if each.shape == got.shape}
        nearest = max(by_distance, key=by_distance.__getitem__)
        assert nearest == stage, f"{form}: {stage} is nearest to {nearest}: {by_distance}"
        if form.split(", ")[-1] in FLOAT32:
            assert by_distance[stage] >= FLOAT32_DB, f"{form}: {stage} has {by_distance[stage]:.1f} dB"


def test_there_is_a_small_model_of_every_family() -> None:
    assert FIELDS.keys() == load_families().keys()


def test_a_shared_module_is_named_by_its_calls() -> None:
    """ALBERT's groups of layers: the first of two serves layers 0 and 1."""
    config = {"model_type": "albert", "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 1}
    path = "albert.encoder.albert_layer_groups.{}.albert_layers.0.full_layer_layer_norm"
    assert family_of(config).states[2::2] == [
        State("layer 0 feed-forward", path.format(0), OUT, 0),
        State("layer 1 feed-forward", path.format(0), OUT, 1),
        State("layer 2 feed-forward", path.format(1), OUT, 0),
        State("layer 3 feed-forward", path.format(1), OUT, 1),
    ]
    assert at([("a", OUT), ("a", IN), ("a", OUT)])[1:] == [
        State("layer 0 attention", "a", IN, 0),
        State("layer 0 feed-forward", "a", OUT, 1),
    ]


class Module:
    """What ``recorded`` needs of a PyTorch module; it computes one more than its input."""

    def __init__(self, **modules: Module) -> None:
        self.modules, self.hooks, self.pre_hooks = modules, [], []  # type: ignore[var-annotated]

    def named_modules(self) -> list[tuple[str, Module]]:
        return list(self.modules.items())

    def register_forward_hook(self, hook: Any) -> Any:
        self.hooks.append(hook)
        return SimpleNamespace(remove=lambda: self.hooks.remove(hook))

    def register_forward_pre_hook(self, hook: Any) -> Any:
        self.pre_hooks.append(hook)
        return SimpleNamespace(remove=lambda: self.pre_hooks.remove(hook))

    def __call__(self, x: int) -> int:
        for hook in self.pre_hooks:
            hook(self, (x,))
        for hook in self.hooks:
            hook(self, (x,), (x + 1, "scale"))
        return x + 1


def test_inputs_and_outputs_are_recorded_by_call() -> None:
    first, shared = Module(), Module()
    places = at([("first", IN), ("shared", OUT), ("shared", OUT)])
    model = Module(first=first, shared=shared)
    assert _torch_states.recorded(model, places, lambda: shared(shared(first(1)))) == (4, [1, 3, 4])


def test_a_list_that_does_not_fit_the_model_is_refused() -> None:
    """A module that is missing, and one that is called more or less often than the list says; hooks are removed."""
    one = Module()
    model, listed = Module(one=one), at([("one", OUT)])
    with pytest.raises(RuntimeError, match=r"^Module has no module two, where a hidden state should stand$"):
        _torch_states.recorded(model, at([("two", OUT)]), lambda: one(1))
    for calls in (0, 2):
        with pytest.raises(RuntimeError, match=f"^one was called {calls} times, where 1 hidden states should stand$"):
            _torch_states.recorded(model, listed, lambda n=calls: [one(1) for _ in range(n)])  # type: ignore[misc]
    assert _torch_states.recorded(model, listed, lambda: one(1)) == (2, [2])
    assert not one.hooks
    with pytest.raises(RuntimeError, match=r"^there are 2 hidden states, where an encoder with 1 layers has 3$"):
        at([("one", OUT), ("two", OUT)])


def test_a_graph_without_a_state_is_refused() -> None:
    names = tensors(1)
    graph = SimpleNamespace(node=[SimpleNamespace(output=[name]) for name in names])
    assert list(_onnx_states.named(graph, 1)) == names
    del graph.node[1]
    with pytest.raises(RuntimeError, match=r"^the graph computes no tensor hidden_states.layer_0_attention$"):
        _onnx_states.named(graph, 1)
