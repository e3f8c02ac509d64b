"""Tests ``python -m bench.graphs``, which shows an artifact's graph in Netron and contacts no other machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.report.operator_graph import census, layer
from fixtures.store.source_code import ROOT
from tests.support.browser import launched


@contextmanager
def served(harness: Harness, variant: str) -> Iterator[str]:
    """The address on which the command serves a variant's graph."""
    command = [sys.executable, "-m", "bench.graphs", variant, "--no-browser", "--artifacts", str(harness.store.root)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        while said[-1] and "Ctrl-C" not in said[-1]:
            said.append(process.stdout.readline())
        address = re.search(r"^(http://127\.0\.0\.1:\d+) - Ctrl-C ends it$", said[-1])
        assert address, "".join(said)
        yield address[1]
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("cell", "file", "operator"),
    [
        (("onnxruntime_fused", "f32"), "model.onnx", "BiasGelu"),
        pytest.param(("onnxruntime_mobile", "f32"), "model.ort", "FusedGemm", marks=pytest.mark.slow),
        pytest.param(("openvino", "f32"), "model.xml", "MVN", marks=pytest.mark.slow),
        pytest.param(("executorch", "f32"), "model.pte", "native_layer_norm", marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_netron_shows_the_graph_and_nothing_leaves(harness: Harness, cell: tuple[str, str], file: str, operator: str) -> None:
    variant = Variant("bert-base-cased", "tiny", *cell)
    harness.artifact(variant)
    asked: list[str] = []
    with served(harness, variant.id) as address, launched() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.get_by_text(operator).first.wait_for(timeout=30_000)
    assert [url for url in asked if "/data/" in url and file in url], f"it reads the artifact's own file: {asked}"
    assert not [url for url in asked if not url.startswith(address)], asked


def test_a_graph_that_is_not_there(harness: Harness) -> None:
    for variant, said in (
        ("bert-base-cased-tiny-onnxruntime-f23", "no artifact of that name"),
        ("../../etc", "no artifact of that name"),
    ):
        command = [sys.executable, "-m", "bench.graphs", variant, "--artifacts", str(harness.store.root)]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
        assert found.stderr.startswith(f"error: {variant}: ")
        assert said in found.stderr


def test_a_layer_is_what_lies_between_its_norms() -> None:
    """A layer is the part of the graph between its norms; the mask, which is computed once before all layers, is an input."""
    nodes = [
        ("Cast", ["mask"], ["m"]), ("Norm", ["ids"], ["n0"]),
        ("MatMul", ["n0", "m"], ["a"]), ("Norm", ["a"], ["n1"]), ("Gelu", ["n1"], ["g"]), ("Norm", ["g"], ["n2"]),
        ("MatMul", ["n2", "m"], ["b"]), ("Add", ["b", "n2"], ["c"]), ("Norm", ["c"], ["n3"]),
        ("Gelu", ["n3"], ["h"]), ("Norm", ["h"], ["n4"]), ("Gemm", ["n4"], ["logits"]),
    ]  # fmt: skip
    found = layer(nodes, ["n0", "n1", "n2", "n3", "n4"])
    assert found["operators"] == ["MatMul", "Add", "Norm", "Gelu", "Norm"]
    assert found["edges"] == [(-2, 0), (-1, 0), (-1, 1), (0, 1), (1, 2), (2, 3), (3, 4)]
    assert next(iter(census(nodes).items())) == ("Norm", 5)
