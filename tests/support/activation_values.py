"""Computes activations with the libraries' functions, in a worker process that calls :func:`compute`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def compute(say: Callable[[str], None], values: list[float], names: list[str]) -> dict[str, dict[str, list[float]]]:
    """The activations of ``values`` by library and name: PyTorch in float64, Keras in float32."""
    import torch
    from transformers.activations import ACT2FN

    from fixtures.backends import _keras

    _keras.import_tensorflow()
    wide, single = torch.tensor(values, dtype=torch.float64), np.array(values, np.float32)
    return {
        "transformers": {name: ACT2FN[name](wide).tolist() for name in names},
        "keras": {name: np.asarray(_keras.activation(name)(single), np.float64).tolist() for name in names},
    }
