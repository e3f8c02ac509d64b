"""Tests the machine's peak: the peak with which a variant is compared, and that disturbed visits are not used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Shape, Variant
from fixtures.timing.roofline import Peaks, flops
from fixtures.worker.jobs import roofline

AMX = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16")
NEOVERSE = ("atomics", "asimddp", "fphp", "asimdhp", "i8mm", "bf16")
CORTEX_A72 = ()
SHAPE = Shape(2, 2, 64, 128, 1000, 128, 0, ("input_ids",))
QUIET = {"cpus": 2.0, "queued": 0.0, "foreign": 0.0, "steal": 0.0, "throttled": 0.0, "heated": 0.0}
BUSY = {**QUIET, "foreign": 0.5}


@pytest.mark.parametrize(
    ("cell", "isa", "computes"),
    [
        ("pytorch-f32", AMX, "f32"),
        ("pytorch-f16", AMX, "f16"),
        ("pytorch-bf16", CORTEX_A72, "bf16"),
        ("pytorch-int8_dynamic", AMX, "int8"),
        ("pytorch-int8_static-quant_mode", AMX, "f32"),
        ("onnxruntime-f16", AMX, "f32"),
        ("onnxruntime-f16", NEOVERSE, "f16"),
        ("onnxruntime-f16", CORTEX_A72, "f32"),
        ("onnxruntime-f16-weights_only", NEOVERSE, "f32"),
        ("onnxruntime_fused-f16", AMX, "f32"),
        ("onnxruntime_fused-f16", NEOVERSE, "f16"),
        ("onnxruntime-int8_static", AMX, "int8"),
        ("tensorflow-bf16", AMX, "bf16"),
        ("tensorflow_xla-bf16", AMX, "f32"),
        ("tflite-f16", NEOVERSE, "f32"),
        ("tflite_transformers-f16", AMX, "f32"),
        ("tflite-int16x8", AMX, "int8"),
    ],
)  # fmt: skip
def test_a_variant_is_held_against_the_peak_of_what_it_computes_in(cell: str, isa: tuple[str, ...], computes: str) -> None:
    backend, precision, recipe = [*cell.split("-"), ""][:3]
    variant = Variant("minilm-l6", "full", backend, precision, recipe)
    peaks = Peaks(cast(Any, SimpleNamespace(target=SimpleNamespace(isa=isa))))
    found = {"f32": 1e9, "f16": 2e9, "bf16": 4e9, "int8": 8e9}
    peaks._known[(7, SHAPE.hidden, SHAPE.intermediate)] = {name: {"per_second": rate} for name, rate in found.items()}
    assert peaks.share(SHAPE, variant, 1, 7, seconds=2.0) == pytest.approx(flops(SHAPE, 1, 7) / 2.0 / found[computes])


def test_what_is_faster_than_every_product_of_the_machine_is_no_inference() -> None:
    """A latency that implies more than three times the peak is refused, unless the peak was disturbed."""
    peaks = Peaks(cast(Any, SimpleNamespace(target=SimpleNamespace(isa=()))))
    variant, least = Variant("minilm-l6", "full", "pytorch", "f32"), flops(SHAPE, 1, 7) / 1e9
    found: dict[str, Any] = {"f32": {"per_second": 1e9, "by": "numpy.matmul"}}
    peaks._known[(7, SHAPE.hidden, SHAPE.intermediate)] = found
    assert peaks.too_fast(SHAPE, variant, 1, 7, least / 2.99) is None
    assert "3.1 times as fast as the fastest of this machine (numpy.matmul)" in str(
        peaks.too_fast(SHAPE, variant, 1, 7, least / 3.1)
    )
    found["f32"]["by"] += roofline.DISTURBED + "other processes used the CPUs (50%)"
    assert peaks.too_fast(SHAPE, variant, 1, 7, least / 300) is None


@pytest.mark.parametrize("isa", [AMX, NEOVERSE, CORTEX_A72])
def test_every_lowering_computes_in_something_that_has_a_peak(isa: tuple[str, ...]) -> None:
    wrong = {low.cell for low in REGISTRY.lowerings.values() if low.arithmetic(isa) not in roofline.ARITHMETICS}
    assert wrong == {low.cell for low in REGISTRY.lowerings.values() if low.reference}, "but for the reference, never timed"


class Product:
    """A matrix product with the seconds and the contention of each visit, in order."""

    def __init__(self, visits: list[tuple[float, dict[str, float]]]) -> None:
        self.visits, self.asked = visits, 0

    def call(self) -> None: ...


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """``measured(f32=[...], int8=[...])`` returns the peaks of products of 2,000 operations; the last visit repeats."""

    def of(**visits: list[tuple[float, dict[str, float]]]) -> dict[str, Any]:
        products = {name: Product(told) for name, told in visits.items()}

        def candidates(m: int, k: int, n: int, threads: int) -> Iterator[tuple[str, str, Callable[[], None]]]:
            yield from ((name[:4].rstrip("_"), "library", product.call) for name, product in products.items() if k == n)

        def visit(call: Callable[[], None]) -> tuple[float, dict[str, float]]:
            product = next(product for product in products.values() if product.call == call)
            product.asked += 1
            return product.visits[min(product.asked, len(product.visits)) - 1]

        monkeypatch.setattr(roofline, "_candidates", candidates)
        monkeypatch.setattr(roofline, "_visit", visit)
        found = roofline.run(None, tokens=10, hidden=10, intermediate=20, threads=1)
        return {**found, "asked": {name: product.asked for name, product in products.items()}}

    return of


def test_the_best_quiet_visit_counts(measured: Callable[..., dict[str, Any]]) -> None:
    found = measured(f32=[(4.0, BUSY), (2.0, QUIET), (1.0, QUIET), (4.0, QUIET)])
    assert found["f32"] == {"per_second": 2000.0, "by": "library, 10 x 10 by 10 x 10"}
    assert found["asked"] == {"f32": 4}, "one of them was disturbed"


def test_a_disturbed_visit_never_counts_beside_quiet_ones(measured: Callable[..., dict[str, Any]]) -> None:
    """A disturbed visit is ignored if there are quiet ones, since a hypervisor may have stopped its clock."""
    assert measured(f32=[(0.1, BUSY), (2.0, QUIET)])["f32"]["per_second"] == 1000.0


def test_a_peak_that_never_was_quiet_says_so(measured: Callable[..., dict[str, Any]]) -> None:
    found = measured(f32=[(4.0, BUSY), (2.0, BUSY)], int8=[(1.0, QUIET)])
    assert found["f32"]["per_second"] == 1000.0
    assert found["f32"]["by"] == "library, 10 x 10 by 10 x 10; disturbed: other processes used the CPUs (50%)"
    assert found["int8"] == {"per_second": 2000.0, "by": "library, 10 x 10 by 10 x 10"}
    assert found["asked"]["f32"] == roofline.VISITS * roofline.PATIENCE


def test_who_has_no_instructions_for_a_format_may_compute_in_f32(measured: Callable[..., dict[str, Any]]) -> None:
    found = measured(f16=[(2.0, QUIET)], int8=[(0.5, QUIET)], f32=[(1.0, QUIET)])
    del found["asked"]
    assert [(name, peak["per_second"]) for name, peak in found.items()] == [
        ("f32", 2000.0), ("f16", 2000.0), ("bf16", 2000.0), ("int8", 4000.0)
    ]  # fmt: skip


def test_a_product_far_behind_is_not_visited_again(measured: Callable[..., dict[str, Any]]) -> None:
    """A product is not visited again if, in a quiet visit, it is much slower than the best of its arithmetic."""
    found = measured(f32=[(1.0, QUIET)], f32_slow=[(5.0, BUSY), (5.0, QUIET)], f32_near=[(1.1, QUIET)], int8=[(9.0, QUIET)])
    assert found["asked"] == {"f32": roofline.VISITS, "f32_slow": 2, "f32_near": roofline.VISITS, "int8": roofline.VISITS}


def test_a_visit_reads_the_counters_around_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(["before", "after"])
    fed = SimpleNamespace(read=lambda: next(told), contention=lambda before, after: {before: 1.0, after: 2.0})
    monkeypatch.setattr(roofline, "counters", fed)
    monkeypatch.setattr(roofline, "SECONDS", 0.01)
    seconds, contention = roofline._visit(lambda: None)
    assert 0 < seconds < 0.01
    assert contention == {"before": 1.0, "after": 2.0}
