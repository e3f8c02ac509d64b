"""Differences between tokenizers are listed, and the table has a row for each tokenizer."""

from __future__ import annotations

import numpy as np

from fixtures.comparisons.tokenizers import differences, report
from fixtures.report.tables import tokenizers as tokenizer_table


def test_what_differs_is_listed() -> None:
    """The failure message has the pair, the tokens around the first difference and the lengths."""
    mask = [[1, 1, 1], [1, 1, 0]]
    tokens = ["[PAD]", "the", "cat", "##s", "dog"]
    expected, got = (
        {name: np.array(rows) for name, rows in (("input_ids", ids), ("attention_mask", mask))}
        for ids in ([[1, 2, 3], [1, 2, 0]], [[1, 2, 3], [1, 4, 0]])
    )
    pairs = [("the cats", ""), ("the cat", "")]
    lines = differences(pairs, expected, got, tokens)
    assert lines == ["pair 1, token 1: fast the cat, this the dog of 2 and 2; ('the cat', '')"]
    assert report("x", pairs, lines).startswith("x: 1 of 2 pairs differ from the fast tokenizer's:\n  pair 1")
    assert not differences(pairs, expected, expected, tokens)


def test_segments_and_lengths_count_as_differences() -> None:
    """Other segments, or a missing token at the end, count as a difference even if the ids are the same."""
    ids, mask = np.array([[1, 2, 3]]), np.array([[1, 1, 1]])
    whole = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.array([[0, 0, 1]])}
    other = {**whole, "token_type_ids": np.array([[0, 1, 1]])}
    shorter = {**whole, "attention_mask": np.array([[1, 1, 0]])}
    tokens = ["[PAD]", "the", "cat", "##s"]
    assert "token 1: fast the cat ##s/1, this the cat/1 ##s/1" in differences([("a", "b")], whole, other, tokens)[0]
    assert "token 2: fast the cat ##s/1, this the cat of 3 and 2" in differences([("a", "b")], whole, shorter, tokens)[0]


def test_the_table_sets_throughput_beside_the_fast_tokenizers() -> None:
    """The table has one row for each measured tokenizer, and a dash for a missing figure."""
    figures = {
        "minilm-l6-transformers_fast": {"tokens_per_second": 2e5, "share_pytorch_f32": 0.0123},
        "minilm-l6-transformers_slow": {"tokens_per_second": 5e4, "pair_us": 321.6, "differing": 2, "pairs": 408},
    }
    assert tokenizer_table.table({name: {"subject": "minilm-l6", **row} for name, row in figures.items()}).cells() == [
        ["minilm-l6-transformers_fast", "200,000", "1.00", "-", "-", "1.2", "-", "-"],
        ["minilm-l6-transformers_slow", "50,000", "0.25", "322", "-", "-", "-", "2 of 408"],
    ]
    assert tokenizer_table.measured(figures)
    assert not tokenizer_table.measured({"minilm-l6-transformers_fast": {"known": "reason"}})
