"""Checks the files that exporters and quantizers wrote: opset, dynamic axes, fused and quantized nodes, external weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Precision, Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.metrics.formats import wrong_formats
from fixtures.metrics.inputs import token_ids
from fixtures.report.operator_graph import described

pytestmark = pytest.mark.phase("build")
#: Lowest opset for QDQ with a scale for each channel: DequantizeLinear has an axis since opset 13.
PER_CHANNEL_OPSET = 13
#: The operator of TFLite's dense layers.
DENSE = "FULLY_CONNECTED"


def test_two_shapes_run(variant: Variant, session: Session) -> None:
    """Every artifact accepts any batch size and sequence length, not only those of its export."""
    for batch, length in ((1, 7), (3, min(19, session.shape.max_length))):
        outputs = session.run(token_ids(session.shape, batch, length))
        found = {name: array.shape for name, array in outputs.items()}
        assert found["logits"][0] == batch, f"{variant.id}, {batch} x {length}: {found}"
        assert found["last_hidden_state"] == (batch, length, session.shape.hidden), f"{variant.id}, {batch} x {length}: {found}"
        assert all(np.isfinite(array).all() for array in outputs.values()), f"{variant.id}, {batch} x {length}: not finite"


@pytest.mark.variants(stands_for_all=True)
def test_a_runtime_that_ran_describes_itself_in_texts(variant: Variant, session: Session) -> None:
    """What the JSON of a run says of the runtime is texts, lists of texts or texts by name, which the report can print."""
    session.run(token_ids(session.shape, 1, 7))
    for name, fact in session.opening.about.items():
        parts = list(fact.values()) if isinstance(fact, dict) else fact if isinstance(fact, list) else [fact]
        assert all(isinstance(text, str) for text in parts), f"{variant.id}: {name}: {fact}"


@pytest.mark.variants(exported=True)
def test_the_file_is_what_was_asked_for(harness: Harness, variant: Variant, session: Session) -> None:
    artifact, structure = harness.artifact(variant), session.structure()
    where, meta = f"{variant.id} ({artifact.path})", artifact.meta
    assert set(structure["inputs"]) == set(session.shape.inputs), f"{where} takes {structure['inputs']}"
    static = {name: sizes for name, sizes in structure["inputs"].items() if any(isinstance(n, int) and n >= 0 for n in sizes)}
    if "pad_to" in meta:
        assert all(sizes[1] == meta["pad_to"]["sequence"] for sizes in static.values()), f"{where} takes {structure['inputs']}"
    else:
        assert not static, f"{where}: dimensions that were to be dynamic are not: {static}"
    if "opset" in structure:
        asked = _asked_opset(harness, variant)
        assert structure["opset"][""] == asked, f"{where}: opset {structure['opset']}, asked for {asked}"
        among = structure["initializers_among_inputs"]
        assert not among, f"{where}: weights are inputs too, which stops constant folding: {among}"
        own = {path.relative_to(artifact.path).as_posix() for path in artifact.path.rglob("*") if path.is_file()}
        missing = [name for name in structure["external_files"] if name not in own]
        assert not missing, f"{where}: its weights lie in {missing}, which is not there"
    for name, count in meta.get("fused", {}).items():
        found = sum(structure["operators"].get(form, 0) for form in name.split("|"))
        assert found == count, f"{where}: {found} {name}, not {count}"
    if variant.precision.startswith("int"):
        _check_quantized(where, structure, meta, _head(harness, variant))


def _asked_opset(harness: Harness, variant: Variant) -> int:
    """The opset that the lowering requested, or that of the graph from which it started."""
    meta, low = harness.artifact(variant).meta, REGISTRY.lowering(variant)
    if "opset" in meta:
        return int(meta["opset"])
    assert low.needs is not None, f"{variant.id} says nothing of its opset"
    source = _asked_opset(harness, Variant(variant.model, variant.size, *low.needs))
    return max(source, PER_CHANNEL_OPSET) if variant.precision == "int8_static" else source


def _head(harness: Harness, variant: Variant) -> int:
    """The number of dense layers in the model's head."""
    return len(harness.checkpoint(variant.model, variant.size).family.head)


def _check_quantized(where: str, structure: Mapping[str, Any], meta: Mapping[str, Any], head: int) -> None:
    """The file has the declared number of products in 8 bits, and only the declared dense layers are in float."""
    assert structure["quantized"] == meta.get("quantized", {DENSE: structure["products"]}), f"{where}: {structure}"
    assert structure["quantized"], f"{where}: nothing in it is quantized"
    if DENSE not in structure["quantized"]:
        left = meta["float_nodes"] + head if "float_nodes" in meta else 0
        assert structure["products"] <= left, f"{where}: {structure['products']} dense layers are in float, not {left}"


@pytest.mark.variants(drawn=True, size="tiny", stands_for_all=True)
def test_a_layer_can_be_drawn(variant: Variant, session: Session) -> None:
    """The graph of the file has operators between the norms of two layers, as the report draws them."""
    assert described(session.graph())["layer"]["operators"], variant.id


@pytest.mark.variants(formats=True)
def test_products_and_weights_have_the_format_of_the_name(
    harness: Harness, variant: Variant, precision: Precision, session: Session
) -> None:
    """Products and stored weights have the formats that the lowering declares.

    If the declared format of products depends on the CPU, the file must have the format of the precision.
    """
    low, meta = REGISTRY.lowering(variant), harness.artifact(variant).meta
    computes = low.computes if isinstance(low.computes, str) else precision.arithmetic
    left = meta.get("float_nodes", 0) + meta.get("float_attention", 0) + _head(harness, variant)
    wrong = wrong_formats(session.formats(), computes, low.stored, left)
    assert not wrong, f"{variant.id}: {'; '.join(wrong)}"
