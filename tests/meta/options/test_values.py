"""Values of options: what is read, and what is refused in one sentence."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from fixtures.options.values import gibibytes, part, seconds, share, whole


def test_shares_are_percents_or_fractions() -> None:
    assert (share("5%"), share("0.05"), share("0"), part("100%")) == (0.05, 0.05, 0.0, 1.0)


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        *((share, text, "give a share such as 5% or 0.05") for text in ("", "five", "-1%", "nan", "2000%")),
        (part, "101%", "nothing loses more than all"),
        *((whole(1, 512), text, "give a number from 1 to 512") for text in ("0", "513", "1.5", "many")),
        *((seconds, text, "give seconds, more than 0") for text in ("0", "-1", "nan", "soon")),
        *((gibibytes, text, "give the most GiB to keep, 0 or more") for text in ("-1", "nan", "much")),
    ],
)
def test_what_cannot_be_meant_is_refused(read: Callable[[str], float], text: str, sentence: str) -> None:
    with pytest.raises(ArgumentTypeError, match=sentence) as refused:
        read(text)
    assert str(refused.value).startswith(f"{text}: ")
