"""Tests that every tokenizer returns the ids and segments of transformers' fast one for the same sentence pairs."""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fixtures.comparisons.tokenizers import Pair, TokenizerPool, differences, report, rows
from fixtures.core.spec import Tokenization
from fixtures.report.tables import tokenizers as tokenizer_table

pytestmark = pytest.mark.phase("tokenizer")
#: A maximum length above that of every pair, even with a tiny vocabulary that splits words into letters: nothing is truncated.
UNCUT = 256
#: Tokens that remain for the two sentences of a truncated pair: fewer than most pairs have.
BUDGET = 28
WORDS = st.text(alphabet=string.ascii_letters + string.digits + string.punctuation, min_size=1, max_size=16)
SENTENCES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)


@pytest.fixture(scope="session")
def compare(
    tokenization: Tokenization, tokenizer_pool: TokenizerPool, vocabulary: list[str]
) -> Callable[[list[Pair], int], None]:
    """``compare(pairs, max_length)`` asserts that this tokenizer's ids are those of the fast one."""

    def check(pairs: list[Pair], max_length: int) -> None:
        expected = tokenizer_pool.reference(tokenization, max_length).encode(pairs)
        lines = differences(pairs, expected, tokenizer_pool.open(tokenization, max_length).encode(pairs), vocabulary)
        assert not lines, report(tokenization.id, pairs, lines)

    return check


@pytest.fixture(scope="session")
def special(tokenization: Tokenization, tokenizer_pool: TokenizerPool) -> int:
    """The number of special tokens of a pair: 3 for BERT, 4 for RoBERTa."""
    return int(tokenizer_pool.reference(tokenization, UNCUT).encode([("", "")])["attention_mask"].sum())


def test_ids_equal_those_of_the_fast_tokenizer(
    tokenization: Tokenization,
    tokenizer_pool: TokenizerPool,
    pairs: dict[str, list[Pair]],
    compare: Callable[[list[Pair], int], None],
) -> None:
    """All pairs of MRPC, dev before train, without truncation; only dev for tiny models, which have a toy vocabulary."""
    every = pairs["dev"] + (pairs["train"] if tokenization.size == "full" else [])
    longest = max(map(len, rows(tokenizer_pool.reference(tokenization, UNCUT).encode(every))))
    assert longest < UNCUT, f"{tokenization.id}: pairs have up to {longest} tokens: raise UNCUT, or they are cut"
    compare(every, UNCUT)


@given(drawn=st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=8))
@example(drawn=[("It was Inc.'s board, 'quoted'", 'the "U.S." paid $1,234.50 (12345 in all)')])
def test_plain_text_agrees(drawn: list[Pair], compare: Callable[[list[Pair], int], None]) -> None:
    """Ids agree on ASCII words, digits and punctuation in any order, separated by single spaces."""
    compare(drawn, UNCUT)


def test_truncation_to_an_even_number_agrees(
    pairs: dict[str, list[Pair]], special: int, compare: Callable[[list[Pair], int], None]
) -> None:
    """With an even number of tokens, the longer sentence of a pair loses tokens first, until both have half of them."""
    compare(_ascii(pairs["dev"]), special + BUDGET)


def test_truncation_to_an_odd_number_agrees(
    pairs: dict[str, list[Pair]], special: int, compare: Callable[[list[Pair], int], None]
) -> None:
    """With an odd number of tokens, every tokenizer gives the extra token to the same sentence."""
    compare(_ascii(pairs["dev"]), special + BUDGET + 1)


def _ascii(pairs: list[Pair]) -> list[Pair]:
    """The pairs of pure ASCII text, without accents and other special characters."""
    return [(a, b) for a, b in pairs if (a + b).isascii()]


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
