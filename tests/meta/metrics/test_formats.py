"""A format that differs from that of the name is found, and formats are read from the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.backends._onnx import HEAD
from fixtures.harness.worker_process import WorkerProcess
from fixtures.metrics.formats import wrong_formats


@pytest.mark.parametrize(
    ("products", "stored", "computes", "stores", "says"),
    [
        ({"f16": 14}, {"f16": 100}, "f16", "f16", ""),
        ({"f32": 14}, {"f16": 100}, "f16", "f16", "products are in {'f32': 14}"),
        ({"f16": 13, "f32": 1}, {"f16": 100}, "f16", "f16", "products are in {'f16': 13, 'f32': 1}"),
        ({"f16": 14}, {"f16": 90, "f32": 10}, "f16", "f16", "bytes are kept in {'f16': 90, 'f32': 10}"),
        ({"f32": 14}, {"f32": 100}, "f16", "f16", "products are in {'f32': 14}"),
        ({"f32": 14}, {"f16": 100}, "f32", "f16", ""),
        ({"int8": 12, "f32": 2}, {}, "int8", "int8", ""),
        ({"int8": 11, "f32": 3}, {}, "int8", "int8", "all but 2 were to be in int8"),
        ({"f32": 2}, {}, "int8", "int8", "all but 2 were to be in int8"),
    ],
)
def test_a_format_that_is_not_that_of_the_name_is_found(
    products: dict[str, int], stored: dict[str, int], computes: str, stores: str, says: str
) -> None:
    wrong = wrong_formats({"products": products, "stored": stored}, computes, stores, HEAD)
    assert bool(wrong) == bool(says)
    assert says in "".join(wrong)


@pytest.mark.backend("onnxruntime")
@pytest.mark.parametrize(
    ("kind", "products", "stored"),
    [
        ("f16", {"f16": 1}, {"f16": 32}),
        ("f16 computed in f32", {"f32": 1}, {"f16": 32}),
        ("int8", {"int8": 1}, {"int8": 16}),
        ("int8 weights of a float product", {"f32": 1}, {"int8": 16}),
    ],
)
def test_formats_are_those_of_the_graph(tmp_path: Path, kind: str, products: Any, stored: Any) -> None:
    """Formats are read from the graph: a product between two Casts, or behind only one DequantizeLinear, is in float."""
    worker = WorkerProcess("formats", tmp_path / "log", threads=1)
    try:
        found = worker.ask(
            "call", timeout=60, target="tests.support.formats:found", arguments={"out": str(tmp_path), "kind": kind}
        )
    finally:
        worker.close()
    assert found["value"] == {"products": products, "stored": stored}
