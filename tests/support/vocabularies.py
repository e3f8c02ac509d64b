"""Trains a family's seeded tokenizer and returns its vocabulary, in a worker process that calls :func:`trained`."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.core.families import load_families
from fixtures.worker import synthetic_mrpc
from fixtures.worker.jobs.seeded_tokenizer import trained_tokenizer


def trained(say: Callable[[str], None], families: list[str]) -> dict[str, dict[str, int]]:
    """The vocabularies by family, and the ids of a sentence as ``ids``."""
    sentences = [text for first, second, _ in synthetic_mrpc.generate()["train"] for text in (first, second)]
    found = {}
    for family in families:
        tokenizer = trained_tokenizer(load_families()[family].tokens, sentences, 3000, lowercase=True)
        found[family] = {**tokenizer.get_vocab(), "ids": tokenizer(sentences[0])["input_ids"]}
    return found
