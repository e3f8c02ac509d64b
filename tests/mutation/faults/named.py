"""Faults of the declared format: artifacts that compute in another number format than their name says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fixtures.core.registry import REGISTRY, Cell, Job, Lowering
from tests.mutation.faults.parameters import round_matrices
from tests.mutation.faults.spec import CheckpointFault, Config, Fault, Weights, linked

ONNX = ("onnxruntime", "onnxruntime_fused")


@dataclass(frozen=True, kw_only=True)
class InFloat32(Fault):
    """A half-precision artifact whose products are computed in float32."""

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        if low.backend in ONNX:
            from fixtures.backends import _onnx_precision

            return _onnx_precision.store_float16(job)
        if low.backend == "tensorflow":
            from fixtures.backends import _keras

            return _keras.save(job, "float32")
        return {**low.build(job), "dtype": "float32"}


@dataclass(frozen=True, kw_only=True)
class FloatProducts(CheckpointFault):
    """The f32 artifact of the same runtime under another name, built from weights that were rounded before."""

    def needs(self, low: Lowering) -> Cell | None:
        return super().needs(low) if low.precision == "f32" else (*_floating(low)[0][:2], self.recipe)

    def build(self, job: Job, low: Lowering) -> dict[str, Any]:
        return super().build(job, low) if low.precision == "f32" else linked(job)


def _floating(low: Lowering) -> list[Cell]:
    """The f32 cells whose file the runtime of ``low`` reads: its own, or the one from which ``low`` starts."""
    cells = [(low.backend, "f32", ""), *([low.needs] if low.needs is not None else [])]
    return [cell for cell in cells if cell[1] == "f32" and cell in REGISTRY.lowerings]


def _to_eight_bits(config: Config, weights: Weights) -> None:
    round_matrices(weights, 8)


FAULTS: tuple[Fault, ...] = (
    InFloat32(
        name="in_float32",
        says="a file of a half-precision format computes in float32",
        on=lambda low: low.precision in ("f16", "bf16") and low.backend in (*ONNX, "tensorflow", "pytorch"),
        inherited=False,
    ),
    FloatProducts(
        name="float_products",
        says="the weights are rounded to 8 bits, and every product is in float32",
        change=_to_eight_bits,
        # CTranslate2 quantizes such weights when it loads them.
        on=lambda low: low.precision.startswith("int") and bool(_floating(low)) and low.backend != "ctranslate2",
    ),
)
