"""Makes a seeded model of a family and its outputs in PyTorch float64, in a worker process that calls :func:`make`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.backends import _torch_heads
from fixtures.core.heads import SEQUENCE

OUTPUTS, INPUTS = "outputs.npz", "inputs.npz"


def make(
    say: Callable[[str], None], out: str, family: str, fields: dict[str, Any], seed: int, kind: str = SEQUENCE
) -> list[str]:
    """Write a model with the configuration ``fields`` and a head of ``kind`` into ``out``, and the outputs for INPUTS there.

    One-dimensional weights are shaken: with scales of 1 and shifts of 0, a definition without them would still agree. The
    result is the names of the inputs that transformers' class takes.
    """
    import inspect

    import torch
    from transformers import AutoConfig

    torch.manual_seed(seed)
    model = _torch_heads.auto_class(kind).from_config(AutoConfig.for_model(family, num_labels=2, **fields))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.eval().save_pretrained(out)
    taken = list(inspect.signature(model.forward).parameters)
    given = {name: torch.from_numpy(array) for name, array in np.load(Path(out) / INPUTS).items() if name in taken}
    if fields.get("type_vocab_size", 2) < 2:
        given.pop("token_type_ids", None)
    with torch.inference_mode():
        found = model.double()(**given, output_hidden_states=True)
    np.savez(Path(out) / OUTPUTS, logits=found.logits.numpy(), last_hidden_state=found.hidden_states[-1].numpy())
    return taken
