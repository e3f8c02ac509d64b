"""Faults of the checkpoint's weights and configuration, from which every lowering starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.mutation.faults.spec import CheckpointFault, Config, Weights

LAYER = re.compile(r"(.*\.layer\.)(\d+)(\..*)")


def named(weights: Weights, pattern: str) -> Iterator[str]:
    """The weights whose names match ``pattern``; there must be at least one."""
    found = [name for name in weights if re.search(pattern, name)]
    assert found, f"no weight is called {pattern}: {sorted(weights)}"
    return iter(found)


def heads(config: Config) -> int:
    """The number of attention heads of a layer."""
    return int(config.get("num_attention_heads") or config["n_heads"])


def _tanh_gelu(config: Config, weights: Weights) -> None:
    config["activation" if config["model_type"] == "distilbert" else "hidden_act"] = "gelu_new"


def _epsilon(config: Config, weights: Weights) -> None:
    config["layer_norm_eps"] = 1e-5


def _head_zeroed(config: Config, weights: Weights) -> None:
    for name in named(weights, r"\.layer\.1\..*(query|key|value|[qkv]_lin)\.(weight|bias)$"):
        weights[name][: len(weights[name]) // heads(config)] = 0


def _layers_swapped(config: Config, weights: Weights) -> None:
    partner = {"0": "1", "1": "0"}
    swapped = {LAYER.sub(lambda m: m[1] + partner.get(m[2], m[2]) + m[3], name): array for name, array in weights.items()}
    weights.clear()
    weights.update(swapped)


def _last_layer_missing(config: Config, weights: Weights) -> None:
    field = "n_layers" if "n_layers" in config else "num_hidden_layers"
    config[field] -= 1
    for name in list(named(weights, rf"\.layer\.{config[field]}\.")):
        del weights[name]


def _token_types_swapped(config: Config, weights: Weights) -> None:
    for name in named(weights, r"token_type_embeddings\.weight$"):
        weights[name] = weights[name][::-1]


def _positions_off_by_one(config: Config, weights: Weights) -> None:
    for name in named(weights, r"position_embeddings\.weight$"):
        weights[name] = np.roll(weights[name], -1, axis=0)


def _labels_swapped(config: Config, weights: Weights) -> None:
    for name in named(weights, r"^classifier\.(out_proj\.)?(weight|bias)$"):
        weights[name] = weights[name][::-1]


def _byte_flipped(config: Config, weights: Weights) -> None:
    """The highest bit of the exponent of one weight of the first layer's first product: 0.05 becomes 1e37, or the reverse."""
    name = next(named(weights, r"\.layer\.0\..*(query|q_lin)\.weight$"))
    weights[name].reshape(-1).view(np.uint8)[3] ^= 0x40


def _other_checkpoint(config: Config, weights: Weights) -> None:
    """Turns the checkpoint into another model: every matrix has its rows in another order, as different as another seed."""
    order = np.random.default_rng(1)
    for name in named(weights, r"\.layer\.\d+\..*weight$"):
        weights[name] = order.permutation(weights[name])


def _stored_in_half(config: Config, weights: Weights) -> None:
    for name, array in weights.items():
        weights[name] = array.astype(np.float16).astype(np.float32)


def fault(change: Callable[[Config, Weights], None], says: str, *families: str, **how: Any) -> CheckpointFault:
    """The checkpoint fault of this name, which ``change`` makes; ``how`` has further fields of it."""
    return CheckpointFault(name=change.__name__.lstrip("_"), says=says, change=change, families=families, **how)


FAULTS = (
    fault(_tanh_gelu, "the tanh approximation of GELU for the exact one"),
    fault(_epsilon, "LayerNorm's epsilon 1e-5 for 1e-12", "bert", "ibert"),
    fault(_head_zeroed, "query, key and value of one attention head are zero, in one layer"),
    fault(_layers_swapped, "the first two layers are exchanged"),
    fault(_last_layer_missing, "the last layer is missing"),
    fault(_token_types_swapped, "the embeddings of the two token types are exchanged", "bert"),
    fault(_positions_off_by_one, "position ids are off by one"),
    fault(_labels_swapped, "the classifier's labels are exchanged"),
    fault(_byte_flipped, "one bit of a weight's exponent was flipped before it was hashed"),
    fault(_other_checkpoint, "another checkpoint's weights under the right name"),
    fault(_stored_in_half, "weights were kept in float16 on their way"),
)
