"""Tests the bounds of stages: the float64 encoder against PyTorch, declared arithmetics, detection of changed models."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.core.arithmetic import (
    FBGEMM,
    FLOATS,
    XNNPACK,
    Activations,
    Arithmetic,
    Weights,
    newest,
    onnx_dynamic,
    torch_dynamic,
)
from fixtures.core.encoder import Encoder, Exact, Inputs
from fixtures.core.families import family_of
from fixtures.core.family import Family
from fixtures.harness.harness import Harness
from fixtures.known_failures.entry import meets
from fixtures.metrics.agreement import sqnr
from fixtures.metrics.arrays import Float64s
from fixtures.metrics.encoder import read
from fixtures.metrics.matched_filter import EVERY, NORM, Alternative, told
from fixtures.metrics.rounding_noise import disturbed
from fixtures.metrics.simulation import quantized_activations, quantized_weights, rounded
from fixtures.metrics.stage_bounds import Finding, Yardstick, violations
from fixtures.metrics.stagewise import Figures

ONE_OF_EACH = ("bert-base-cased", "distilbert-base-cased", "ibert-roberta-base")
BERT: Family = family_of({"model_type": "bert"})
SHAPES = {"f16": np.float16, "f32": np.float32}


@pytest.fixture(scope="module")
def checkpoint(harness: Harness) -> Path:
    return harness.checkpoint("bert-base-cased", "tiny").artifact.path


@pytest.fixture(scope="module")
def probes(harness: Harness) -> Inputs:
    """Eight rows of real pairs of at most 32 tokens, so that the float64 computation is small."""
    return harness.short_probes("bert-base-cased", "tiny")


@pytest.mark.parametrize("model", ONE_OF_EACH)
def test_the_definition_is_the_reference(harness: Harness, model: str) -> None:
    """The suite's float64 encoder and PyTorch in float64 agree; they are independent implementations."""
    probes, reference = harness.probes(model, "tiny"), harness.reference(model, "tiny")
    encoder = read(harness.checkpoint(model, "tiny").artifact.path)
    made = encoder.run(probes, Exact())
    real = probes["attention_mask"] == 1
    assert sqnr(reference["last_hidden_state"][real], made[encoder.stages[-2]][real]) > 250
    assert sqnr(reference["logits"], made["logits"]) > 250


@pytest.mark.parametrize(("kind", "bits"), [("f16", 11), ("bf16", 8), ("f32", 24)])
def test_a_float_format_keeps_its_bits(kind: str, bits: int) -> None:
    values = np.random.default_rng(0).uniform(1, 2, 10_000).astype(np.float32 if bits < 24 else np.float64).astype(np.float64)
    worst = np.abs(rounded(values, kind) - values).max()
    assert 0.99 * 2.0**-bits < worst <= 2.0**-bits, f"{kind} rounds 1..2 by up to half a step"
    if kind in SHAPES:
        assert np.array_equal(rounded(values, kind), values.astype(SHAPES[kind]).astype(np.float64))


@given(st.integers(0, 2**16), st.sampled_from([Activations(), Activations(FBGEMM), Activations(XNNPACK)]))
def test_no_activation_is_off_by_more_than_half_a_step(seed: int, how: Activations) -> None:
    """Zero is exact, and values in the range are within half a step, apart from the rounding of the zero point."""
    x = np.random.default_rng(seed).normal(size=(4, 64))
    x[0, 0] = 0
    made, step = quantized_activations(x, how)
    assert made[0, 0] == 0
    assert (np.abs(made - x) <= 1.001 * step).all()
    assert np.mean(np.abs(made - x) <= 0.501 * step) > 0.95


def test_weights_have_a_scale_for_each_channel_or_one() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 64)) * np.logspace(-2, 0, 8)[:, None]
    channel, matrix = (quantized_weights(weight, Weights(per_channel=each)) for each in (True, False))
    assert all(len(np.unique(row)) > 40 for row in channel)
    assert len(np.unique(matrix[0])) < 10, "a channel a hundredth as large has few steps of the largest one's scale"
    assert np.abs(channel - weight).max() < np.abs(matrix - weight).max()


def _states(encoder: Encoder, probes: Inputs, how: Arithmetic, seed: int) -> dict[str, Float64s]:
    """The hidden states of a correct runtime: the declared arithmetic with rounding errors of realistic size from ``seed``."""
    return encoder.run(probes, _gentle(how, seed))


def _gentle(how: Arithmetic, seed: int) -> Exact:
    made = disturbed(how, None, ties=False, seed=seed)
    noisy = made._noisy  # type: ignore[attr-defined]
    made._noisy = lambda x, share: noisy(x, share / 4)  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]


ARITHMETICS = {
    "f32": FLOATS["f32"], "f16": FLOATS["f16"], "bf16": FLOATS["bf16"],
    "onnx": onnx_dynamic(False, BERT), "torch": torch_dynamic(False, BERT),
}  # fmt: skip


@pytest.fixture(scope="module")
def yardstick(checkpoint: Path, probes: Inputs) -> Callable[[str], Yardstick]:
    """``yardstick(name)`` returns the yardstick of one of ARITHMETICS; its bounds are computed once."""
    return functools.cache(lambda name: Yardstick(read(checkpoint), ARITHMETICS[name], probes))


@pytest.mark.parametrize("name", ARITHMETICS)
def test_a_right_runtime_is_within_its_bounds(probes: Inputs, yardstick: Callable[[str], Yardstick], name: str) -> None:
    for seed in range(1, 4):
        found = yardstick(name).stages(_states(yardstick(name).encoder, probes, ARITHMETICS[name], seed))
        assert not violations(found), f"seed {seed}"


#: Changes that are far below the rounding of the format: exp(-10) of a weight, and half a thousandth of a GELU.
FAINT = [("bf16", "the attention mask added -10"), ("bf16", "GELU were its tanh approximation")]
#: The head of the model has no layer norm, as heads of masked words have.
NOWHERE = [("logits", says) for says in NORM]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        (name, kind, says)
        for name in ("f32", "bf16", "onnx")
        for kind in EVERY
        for says in EVERY[kind]
        if (name, says) not in FAINT and (kind, says) not in NOWHERE
    ],
)
def test_another_model_is_seen_and_named(
    probes: Inputs, yardstick: Callable[[str], Yardstick], name: str, kind: str, says: str
) -> None:
    """Every alternative exceeds a bound or is named in every arithmetic, except those far below the format's rounding."""
    encoder, how = yardstick(name).encoder, ARITHMETICS[name]
    other, given_ = copy.copy(encoder), dict(probes)
    EVERY[kind][says](other, given_)
    states: dict[str, Float64s] = {}
    right = _gentle(how, 1)
    for stage in encoder.stages:
        wrong = stage.split(" ")[-1] == kind
        states[stage] = (other if wrong else encoder).step(stage, states, given_ if wrong else probes, right)
    stages = [stage for stage in encoder.stages if stage.split(" ")[-1] == kind]
    named = yardstick(name).alternatives(states, stages)
    assert violations(yardstick(name).stages(states, stages)) or named, f"nothing is said of {kind}"


def test_what_one_faint_stage_shows_is_rounding(probes: Inputs, yardstick: Callable[[str], Yardstick]) -> None:
    """What bfloat16's error has in common with a tanh GELU is a finding if all layers show it, or if it is no small part."""
    wide = yardstick("bf16")
    encoder, says = wide.encoder, "GELU were its tanh approximation"
    right = encoder.run(probes, wide.right)
    stages = [stage for stage in encoder.stages if stage.endswith("feed-forward")]
    other = copy.copy(encoder)
    EVERY["feed-forward"][says](other, dict(probes))

    def named(loud_db: float, wrong: list[str]) -> list[str]:
        """The stages in which the alternative is named, if it is this far below the noise and in the stages ``wrong``."""
        random, states = np.random.default_rng(0), dict(right)
        for stage in stages:
            expected = encoder.step(stage, states, probes, wide.right)
            exact, changed = (each.step(stage, states, probes, Exact()) for each in (encoder, other))
            moved = changed - exact
            noise = random.standard_normal(moved.shape) * np.sqrt(np.mean(moved**2)) * 10 ** (loud_db / 20)
            states[stage] = expected + noise + (moved if stage in wrong else 0)
        return [found.stage for found in wide.alternatives(states, stages) if found.says == says]

    assert named(20, stages[:1]) == []
    assert sorted(named(20, stages)) == stages
    assert named(10, stages[:1]) == stages[:1]


def test_a_message_says_the_worst_and_how_many_there_are() -> None:
    bound = Figures(110, 100, 90)
    right, *wrong = (Finding(f"layer {i} attention", Figures(110, 100 - 10 * i, 90), bound) for i in range(6))
    assert violations([right]) == []
    first, *others = violations([right, *wrong])
    assert first == "layer 5 attention: the worst position 50.0 dB < 100.0 dB"
    assert len(others) == 3
    assert others[-1] == "and 2 more beyond their bounds"
    named = [Alternative(f"layer {i} attention", "there were no attention mask", 1 - 0.1 * i, 0.01) for i in range(3)]
    assert told(named[:1]) == [str(named[0])]
    assert told(named) == [f"{named[0]}, and so in 2 more stages"]


def test_positions_that_a_tie_moved_are_counted(probes: Inputs, yardstick: Callable[[str], Yardstick]) -> None:
    """Positions count as moved if a value in every row is on the other side of its tie, and not because of rounding alone."""
    onnx = yardstick("onnx")
    rounded_only = onnx.stages(_states(onnx.encoder, probes, onnx.arithmetic, 1))
    tied = disturbed(onnx.arithmetic, None, ties=True, seed=1)
    moved = onnx.stages(onnx.encoder.run(probes, tied))
    assert sum(finding.moved for finding in rounded_only) < 0.02 * sum(finding.of for finding in rounded_only)
    assert all(finding.moved > 0.5 * finding.of > 0 for finding in moved)
    assert [f.of for f in yardstick("f32").stages(_states(onnx.encoder, probes, FLOATS["f32"], 1))] == [0] * len(moved)


@pytest.mark.parametrize("sums", ["f32", "f16"])
def test_values_in_float32_are_no_float16(checkpoint: Path, probes: Inputs, sums: str) -> None:
    """A variant that rounds only its weights to float16, and passes values in float32, is reported as more exact."""
    encoder, how = read(checkpoint), replace(FLOATS["f16"], sums=sums)
    yardstick = Yardstick(encoder, how, probes)
    assert yardstick.more_exact(_states(encoder, probes, how, 1)) is None
    said = yardstick.more_exact(_states(encoder, probes, Arithmetic("f16"), 1))
    assert said is not None
    assert "declared to pass in f16" in said


def test_older_libraries_quantize_otherwise() -> None:
    """Older versions declare another arithmetic, according to their sources.

    ONNX Runtime before 1.13 quantizes tables like weights; PyTorch before 1.13 rounds 63.5 to 64.
    """
    older, newer = {"onnxruntime": "1.8.1", "torch": "1.9.1+cpu"}, {"onnxruntime": "1.13.0", "torch": "1.13.1"}
    assert onnx_dynamic(False, BERT, functools.partial(meets, older)).table == Weights(per_channel=False)
    assert onnx_dynamic(False, BERT, functools.partial(meets, newer)) == onnx_dynamic(False, BERT)
    for has, high in ((functools.partial(meets, older), 64), (functools.partial(meets, newer), 63), (newest, 63)):
        weights = torch_dynamic(True, BERT, has).quantized
        assert weights is not None
        assert weights.high == high
