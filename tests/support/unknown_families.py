"""Makes a checkpoint of an architecture that has no file in ``fixtures/models``; worker processes call :func:`make`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.folders import ordinary

OUTPUTS = "outputs.npz"
GEOMETRY = {
    "num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 256, "embedding_size": 128,
    "max_position_embeddings": 200, "pad_token_id": 0, "initializer_range": 0.1,
}  # fmt: skip


def make(say: Callable[[str], None], out: str, family: str) -> None:
    """Write a checkpoint of ``family`` with BERT's tokenizer; weights are random, and one-dimensional ones are shaken."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    ordinary(say, out)
    vocabulary = AutoConfig.from_pretrained(out).vocab_size
    torch.manual_seed(3)
    config = AutoConfig.for_model(family, **{**GEOMETRY, "vocab_size": vocabulary})
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.eval().save_pretrained(out)


def outputs(say: Callable[[str], None], folder: str, inputs: dict[str, Any]) -> None:
    """Write the logits and the last hidden state of PyTorch in float64 for ``inputs`` into OUTPUTS of ``folder``."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
    given = {name: torch.tensor(rows) for name, rows in inputs.items()}
    with torch.inference_mode():
        logits, hidden = model(**given).logits, model.base_model(**given)[0]
    np.savez(Path(folder) / OUTPUTS, logits=logits.numpy(), last_hidden_state=hidden.numpy())
