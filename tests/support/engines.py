"""Jobs about PyTorch's quantized engines, which run in worker processes."""

from __future__ import annotations

from typing import Any


def product(say: Any) -> dict[str, Any]:
    """Runs a small quantized layer without an engine, as on ARM builds of 2021, and with the engine that is then chosen."""
    import torch

    from fixtures.backends import _torch_dynamic

    layer = torch.nn.Sequential(torch.nn.Linear(64, 64))
    inputs = torch.linspace(-2, 2, 64).reshape(1, 64)

    def error() -> float:
        with torch.inference_mode():
            exact = layer(inputs)
            got = _torch_dynamic.quantized(layer, "per_channel_dynamic_qconfig")(inputs)
        return float((got - exact).abs().max() / exact.abs().max())

    return {"before": _torch_dynamic.try_engine("none"), "engine": _torch_dynamic.use_working_engine(), "after": error()}
