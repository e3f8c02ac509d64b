"""Tests that every tokenizer returns the ids and segments of transformers' fast one for the same sentence pairs."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fixtures.comparisons.tokenizers import Pair, TokenizerPool, differences, report, rows
from fixtures.core.spec import Tokenization

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
