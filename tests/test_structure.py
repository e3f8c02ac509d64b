"""What exporters and quantizers wrote: opset, dynamic axes that are dynamic, fused and quantized nodes, nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fixtures.inputs import token_ids
from fixtures.isolation import Session
from fixtures.registry import REGISTRY
from fixtures.spec import Variant
from fixtures.workshop import Workshop

pytestmark = pytest.mark.stage("build")
#: QDQ with a scale for each channel: DequantizeLinear has an axis since opset 13.
PER_CHANNEL_OPSET = 13
#: TFLite's dense layer.
DENSE = "FULLY_CONNECTED"
#: Products of the head, Gemm in some exports, which no static quantizer here is asked for.
HEAD = 2


def test_two_shapes_run(variant: Variant, session: Session) -> None:
    """Batch and sequence length are the caller's choice in every artifact, whatever it was traced with."""
    for batch, length in ((1, 7), (3, min(19, session.shape.max_length))):
        outputs = session.run(token_ids(session.shape, batch, length))
        found = {name: array.shape for name, array in outputs.items()}
        assert found["logits"][0] == batch, f"{variant.id}, {batch} x {length}: {found}"
        assert found["last_hidden_state"] == (batch, length, session.shape.hidden), f"{variant.id}, {batch} x {length}: {found}"
        assert all(np.isfinite(array).all() for array in outputs.values()), f"{variant.id}, {batch} x {length}: not finite"


@pytest.mark.variants(exported=True)
def test_the_file_is_what_was_asked_for(workshop: Workshop, variant: Variant, session: Session) -> None:
    artifact, structure = workshop.artifact(variant), session.structure()
    where, meta = f"{variant.id} ({artifact.path})", artifact.meta
    assert set(structure["inputs"]) == set(session.shape.inputs), f"{where} takes {structure['inputs']}"
    static = {name: sizes for name, sizes in structure["inputs"].items() if any(isinstance(n, int) and n >= 0 for n in sizes)}
    if "pad_to" in meta:
        assert all(sizes[1] == meta["pad_to"]["sequence"] for sizes in static.values()), f"{where} takes {structure['inputs']}"
    else:
        assert not static, f"{where}: dimensions that were to be dynamic are not: {static}"
    if "opset" in structure:
        asked = _asked_opset(workshop, variant)
        assert structure["opset"][""] == asked, f"{where}: opset {structure['opset']}, asked for {asked}"
        among = structure["initializers_among_inputs"]
        assert not among, f"{where}: weights are inputs too, which stops constant folding: {among}"
        missing = [name for name in structure["external_files"] if not (artifact.path / name).is_file()]
        assert not missing, f"{where}: its weights lie in {missing}, which is not there"
    for name, count in meta.get("fused", {}).items():
        found = sum(structure["operators"].get(form, 0) for form in name.split("|"))
        assert found == count, f"{where}: {found} {name}, not {count}"
    if variant.precision.startswith("int"):
        _check_quantized(where, structure, meta)


def _asked_opset(workshop: Workshop, variant: Variant) -> int:
    """What the lowering asked its exporter for, or the one that the graph it started from was exported by."""
    meta, low = workshop.artifact(variant).meta, REGISTRY.lowering(variant)
    if "opset" in meta:
        return int(meta["opset"])
    assert low.needs is not None, f"{variant.id} says nothing of its opset"
    source = _asked_opset(workshop, Variant(variant.model, variant.size, *low.needs))
    return max(source, PER_CHANNEL_OPSET) if variant.precision == "int8_static" else source


def _check_quantized(where: str, structure: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """As many products in 8 bits as the lowering says, and no dense layer in float that it does not leave so."""
    assert structure["quantized"] == meta.get("quantized", {DENSE: structure["products"]}), f"{where}: {structure}"
    assert structure["quantized"], f"{where}: nothing in it is quantized"
    if DENSE not in structure["quantized"]:
        left = meta["float_nodes"] + HEAD if "float_nodes" in meta else 0
        assert structure["products"] <= left, f"{where}: {structure['products']} dense layers are in float, not {left}"
