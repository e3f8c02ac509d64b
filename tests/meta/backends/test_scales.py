"""Tests ``Session.scales()``, and that the runtime computes with these scales, on a feed-forward block in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fixtures.backends._places import Graph, Node, places
from fixtures.core.errors import RemoteError
from fixtures.core.registry import load
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session

load()
Array = npt.NDArray[np.float64]
MODEL, LAYER = "bert-base-cased", "bert.encoder.layer.0"
EXPORTS = [(backend, "int8_static") for backend in ("onnxruntime", "onnxruntime_fused", "onnxruntime_tensorflow", "tflite")]
FILES = [*EXPORTS, ("tflite", "int16x8"), ("tflite", "int8_dynamic")]
PRODUCTS = ("query", "key", "value", "scores", "context", "output", "up", "down")
#: The statically quantized products of a layer, by build; DYNAMIC has the dynamic ones, including those of the head.
STATIC = {
    "onnxruntime-int8_static": set(PRODUCTS) - {"down"},
    "onnxruntime_fused-int8_static": {"output", "up"},
    "onnxruntime_tensorflow-int8_static": set(PRODUCTS) - {"down"},
    "tflite-int8_static": {"query", "key", "value", "output", "up"},
    "tflite-int16x8": {"query", "key", "value", "output", "up", "down"},
    "tflite-int8_dynamic": set(),
}
DYNAMIC = {
    "tflite-int8_static": {"down", "pooler", "classifier"},
    "tflite-int16x8": {"pooler", "classifier"},
    "tflite-int8_dynamic": {"query", "key", "value", "output", "up", "down", "pooler"},
}
#: Required SQNR. Float32 has 144 dB in one operation; a block sums some hundreds of values twice and normalizes. That leaves a
#: margin of more than 20 dB.
FLOAT32_DB = 100.0


def cases() -> list[Any]:
    variants = [Variant(MODEL, "tiny", backend, precision) for backend, precision in FILES]
    return [pytest.param(variant, marks=pytest.mark.backend(variant.backend), id=variant.id) for variant in variants]


@pytest.fixture
def opened(harness: Harness, subject: Variant) -> Any:
    session = harness.open(subject)
    yield session
    harness.pool.release(session)


@pytest.mark.slow
@pytest.mark.parametrize("subject", cases())
def test_every_product_has_its_place(subject: Variant, opened: Session) -> None:
    found, build = opened.scales(), f"{subject.backend}-{subject.precision}"
    layers = range(opened.shape.layers)
    names = {*(f"layer {i} {name}" for i in layers for name in PRODUCTS), "pooler", "classifier"}
    kinds = {place: entry["kind"] for place, entry in found.items() if "kind" in entry}
    assert kinds.keys() == names
    for kind, table in (("static", STATIC), ("dynamic", DYNAMIC)):
        wanted = {place for place in names if place.split(maxsplit=2)[-1] in table.get(build, ())}
        assert {place for place, each in kinds.items() if each == kind} == wanted, f"{subject.id}: {kind}"
    assert {"word", "type", "embeddings", "layer 0 attention skip", "layer 1 feed-forward skip"} <= found.keys() - kinds.keys()
    table = found["word"]["table"]
    assert table["bits"] == 8
    assert table["scale"] > 0
    for entry in found.values():
        weights = entry.get("weights")
        assert weights is None or (len(weights["scale"]), weights["zero_point"], weights["bits"]) == (
            len(set(weights["scale"])),
            0,
            8,
        )


@pytest.mark.slow
@pytest.mark.parametrize("subject", cases())
def test_the_runtime_computes_as_the_file_says(harness: Harness, subject: Variant, opened: Session) -> None:
    """With the file's scales, float64 gives the runtime's result in the median token, up to float32 rounding.

    A token with a value at a rounding tie may differ more. Without the scales (plain float64) the median token differs by at
    least 20 dB more, which shows that this test can fail.
    """
    from safetensors.numpy import load_file

    weights = load_file(harness.checkpoint(MODEL, "tiny").artifact.path / "model.safetensors")
    inputs = harness.probes(MODEL, "tiny")
    layers, scales = opened.layers(inputs), opened.scales()
    steps = 64 if harness.artifact(subject).meta.get("reduce_range") else 127  # onnxruntime/quantization/quant_utils.py
    real = inputs["attention_mask"].astype(bool)
    before, after = (layers[f"layer 0 {block}"].astype(np.float64) for block in ("attention", "feed-forward"))
    found = _median_db(_feed_forward(before, weights, scales, steps), after, real)
    assert found >= FLOAT32_DB, f"{subject.id}: the median token has {found:.1f} dB"
    plain = _median_db(_feed_forward(before, weights, {}, steps), after, real)
    assert plain < FLOAT32_DB - 20, f"{subject.id}: plain float64 is as near, {plain:.1f} dB"


def _median_db(want: Array, got: Array, real: npt.NDArray[np.bool_]) -> float:
    error = np.square(want - got)[real].sum(-1) + np.finfo(np.float64).tiny
    return float(np.median(10 * np.log10(np.square(want)[real].sum(-1) / error)))


def _feed_forward(state: Array, weights: dict[str, Any], scales: dict[str, Any], steps: int) -> Array:
    """The output of the feed-forward block for ``state``; ``steps`` quantization steps up to a channel's largest weight."""
    from scipy.special import erf

    up = _dense(state, scales.get("layer 0 up", {}), *_parameters(weights, "intermediate.dense"), steps)
    active = up * 0.5 * (1 + erf(up / np.sqrt(2)))
    down = _dense(active, scales.get("layer 0 down", {}), *_parameters(weights, "output.dense"), steps)
    total = down + _rounded(state, scales.get("layer 0 feed-forward skip", {}).get("input"))
    centred: Array = total - total.mean(-1, keepdims=True)
    gamma, beta = _parameters(weights, "output.LayerNorm")
    normal: Array = centred / np.sqrt(total.var(-1, keepdims=True) + 1e-12)
    return normal * gamma + beta


def _parameters(weights: dict[str, Any], name: str) -> tuple[Array, Array]:
    return weights[f"{LAYER}.{name}.weight"].astype(np.float64), weights[f"{LAYER}.{name}.bias"].astype(np.float64)


def _dense(x: Array, place: dict[str, Any], weight: Array, bias: Array, steps: int) -> Array:
    """A dense layer with weights quantized symmetrically by channel, and the bias in float after the output quantizer."""
    if "weights" in place:
        step = (np.abs(weight).max(-1, keepdims=True) / steps).astype(np.float32).astype(np.float64)
        weight = np.rint(weight / step) * step
    x = _by_row(x) if place.get("kind") == "dynamic" else _rounded(x, place.get("input"))
    return _rounded(x @ weight.T, place.get("output")) + bias


def _rounded(x: Array, quantizer: dict[str, Any] | None) -> Array:
    """``x`` quantized and dequantized; without a quantizer, ``x``."""
    if quantizer is None:
        return x
    scale, zero = quantizer["scale"], quantizer["zero_point"]
    lowest = -(2 ** (quantizer["bits"] - 1)) if quantizer["signed"] else 0
    codes = np.clip(np.rint(x / scale) + zero, lowest, lowest + 2 ** quantizer["bits"] - 1)
    real: Array = (codes - zero) * scale
    return real


def _by_row(x: Array) -> Array:
    """``x`` quantized by row like XNNPACK's qd8 (``xnn_f32_qd8_asymmetric_quantization_params``), and dequantized.

    The range of a row, extended to 0, has 255 steps of int8. The zero point is rounded from the end with the smaller error.
    """
    row = x.astype(np.float32)
    low, high = np.minimum(row.min(-1, keepdims=True), 0), np.maximum(row.max(-1, keepdims=True), 0)
    inverse = np.float32(255) / (high - low)
    from_low, from_high = -128 - low * inverse, 127 - high * inverse
    zero = np.rint(np.clip(np.where(low * inverse + high * inverse - 1 > 0, from_low, from_high), -128, 127))
    real: Array = (np.clip(np.rint(row * inverse) + zero, -128, 127) - zero).astype(np.float64) / inverse
    return real


def attention(operands: tuple[str, str], *more: Node) -> Graph:
    """A graph of one layer and a head, with the ``operands`` of the scores in this order, and ``more`` nodes at the end."""
    nodes = [
        *(Node("MatMul", ["n0", "w"], [f"{name}/out"]) for name in ("value", "key", "query")),
        Node("Transpose", ["key/out"], ["k"]), Node("Mul", ["query/out", "c"], ["q"]),
        Node("MatMul", operands, ["s"]), Node("Softmax", ["s"], ["p"]), Node("MatMul", ["p", "value/out"], ["x"]),
        Node("MatMul", ["x", "w"], ["o"]), Node("Add", ["o", "n0"], ["n1"]),
        Node("MatMul", ["n1", "w"], ["u"]), Node("Gelu", ["u"], ["g"]), Node("MatMul", ["g", "w"], ["d"]),
        Node("Add", ["d", "n1"], ["n2"]), Node("Gemm", ["n2", "w"], ["h"]), Node("Gemm", ["h", "w"], ["l"]), *more,
    ]  # fmt: skip
    return Graph([Node("Norm", ["ids"], ["n0"]), *nodes], ["w", "c"], ["n0", "n1", "n2"], {})


@pytest.mark.backend("onnxruntime")
def test_a_file_that_fixes_nothing_says_so(harness: Harness) -> None:
    session = harness.open(Variant(MODEL, "tiny", "onnxruntime", "int8_dynamic"))
    try:
        with pytest.raises(RemoteError, match=r"^NotImplementedError: .* is no QDQ graph"):
            session.scales()
    finally:
        harness.pool.release(session)


@pytest.mark.parametrize("operands", [("q", "k"), ("k", "q")])
def test_places_follow_what_is_read(operands: tuple[str, str]) -> None:
    """Places are found by their inputs, in any order of projections and operands."""
    found = {place: node.outputs[0] for place, node in places(attention(operands), 1).items()}
    assert found == {
        "layer 0 query": "query/out", "layer 0 key": "key/out", "layer 0 value": "value/out", "layer 0 scores": "s",
        "layer 0 context": "x", "layer 0 output": "o", "layer 0 up": "u", "layer 0 down": "d", "pooler": "h", "classifier": "l",
    }  # fmt: skip


def test_the_projection_of_narrow_embeddings_has_a_place() -> None:
    """ELECTRA and ALBERT widen their embeddings by a dense layer, whose output the first attention reads."""
    wide = attention(("q", "k"))
    nodes = [Node("Norm", ["ids"], ["e"]), Node("MatMul", ["e", "w"], ["n0"]), *wide.nodes[1:]]
    found = places(Graph(nodes, ["w", "c"], ["e", "n1", "n2"], {}), 1)
    assert found.pop("projection").outputs == ["n0"]
    assert found == places(wide, 1)


def test_a_graph_that_is_no_encoder_has_no_places() -> None:
    with pytest.raises(RuntimeError, match=r"^10 of the graph's 11 products have a place in an encoder$"):
        places(attention(("q", "k"), Node("MatMul", ["l", "w"], ["more"])), 1)
    with pytest.raises(RuntimeError, match=r"^the graph has 2 products that could be the head behind n2$"):
        places(attention(("q", "k"), Node("MatMul", ["n2", "w"], ["other"])), 1)
    with pytest.raises(RuntimeError, match=r"^the graph has 0 products that could be the scores behind n0$"):
        places(attention(("q", "q")), 1)
    contradicting = attention(("q", "k"))
    contradicting.labels = {"key/out": "another query"}
    with pytest.raises(RuntimeError, match=r"^names contradict each other about which operand of s is the query$"):
        places(contradicting, 1)


def test_without_names_the_query_comes_first() -> None:
    nameless = attention(("q", "k"))
    nameless.labels = {"query/out": "17", "key/out": "18"}
    assert places(nameless, 1)["layer 0 query"].outputs == ["query/out"]
