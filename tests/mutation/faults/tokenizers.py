"""Faults of a tokenizer: its rules or vocabulary, or the layout of its ids, are subtly wrong."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.core.registry import REGISTRY, Tokenizer
from tests.mutation.faults.spec import PREFIX

Ids = dict[str, Any]


def _other_case(checkpoint: Path) -> None:
    """Applies the rules for a cased vocabulary to an uncased one, and the reverse."""
    path = checkpoint / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["normalizer"] = {**content["normalizer"], "lowercase": not content["normalizer"]["lowercase"]}
    path.write_text(json.dumps(content), encoding="utf-8")


def _cut(ids: Ids) -> Ids:
    return {name: array[:, :64] for name, array in ids.items()}


def _padded_left(ids: Ids) -> Ids:
    padding = (np.asarray(ids["attention_mask"]) == 0).sum(1)
    return {
        name: np.stack([np.roll(row, int(n)) for row, n in zip(np.asarray(array), padding, strict=True)])
        for name, array in ids.items()
    }


def _one_segment(ids: Ids) -> Ids:
    return {name: np.zeros_like(array) if name == "token_type_ids" else array for name, array in ids.items()}


@dataclass(frozen=True, kw_only=True)
class TokenizerFault:
    """A fault of a tokenizer: ``checkpoint(folder)`` alters a copy of its files, ``ids(arrays)`` its outputs."""

    name: str
    says: str
    checkpoint: Callable[[Path], None] = lambda folder: None
    ids: Callable[[Ids], Ids] = lambda ids: ids


FAULTS = (
    TokenizerFault(name="other_case", says="the vocabulary's case is mistaken", checkpoint=_other_case),
    TokenizerFault(name="truncated_at_64", says="input is silently truncated at 64 tokens", ids=_cut),
    TokenizerFault(name="padded_left", says="rows are padded on the left", ids=_padded_left),
    TokenizerFault(name="token_types_dropped", says="token types are dropped", ids=_one_segment),
)


def register(right: type[Tokenizer]) -> None:
    """Register an additional tokenizer for each fault, for models of BERT's family."""
    for fault in FAULTS:
        made = _faulty(right, fault)
        REGISTRY.tokenizers[made.name] = made


def _faulty(right: type[Tokenizer], fault: TokenizerFault) -> type[Tokenizer]:
    class Faulty(right):  # type: ignore[misc,valid-type]
        name = f"{right.name}-{PREFIX}{fault.name}"
        families = ("bert",)

        def load(self, checkpoint: Path, family: str, max_length: int, threads: int) -> None:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "checkpoint"
                shutil.copytree(checkpoint, copy, ignore=shutil.ignore_patterns("*.safetensors"))
                fault.checkpoint(copy)
                super().load(copy, family, max_length, threads)

        def outputs(self, encoded: Any) -> Mapping[str, Any]:
            return fault.ids(super().outputs(encoded))

    return Faulty
