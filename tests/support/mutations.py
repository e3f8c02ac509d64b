"""Strategies for bad JSON: a good document with fields missing or of another type or size, or text that is not JSON."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
#: Values that hardly any field expects.
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 7, 10**400, -0.5, 1e308, float("nan"), float("inf"), "", "x", "1", "a\nb\x1b[31m\x00", "\ud800",
    "é" * 2000, "../../etc/passwd", "<script>", "javascript:alert(1)", [], [None], [[]], ["x"] * 3, {},
    {"x": None}, {"": {"": []}}, DEEP,
)  # fmt: skip
#: Bytes that are not a JSON document.
NO_JSON = (
    b"", b"\x00", b"null", b"[]", b'"text"', b"{", b"\xff\xfe{}", b'{"a": "\xe9"}', b"NaN", b"<html>", b"[" * 20_000,
    b'{"a": 1' + b"0" * 5000 + b"}",
)  # fmt: skip
Place = tuple[str | int, ...]


def paths(content: Any, here: Place = ()) -> list[Place]:
    """The path of every value in ``content``; only for the first three items of a list and the first forty of an object."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(content, dict):
        inside = list(content.items())[:40]
    elif isinstance(content, list):
        inside = list(enumerate(content[:3]))
    return [place for key, value in inside for place in [(*here, key), *paths(value, (*here, key))]]


def changed(content: Any, changes: list[tuple[Place, str, Any]]) -> Any:
    """A copy of ``content`` with all changes applied whose paths still exist."""
    made = copy.deepcopy(content)
    for place, kind, value in changes:
        holder = made
        try:
            for key in place[:-1]:
                holder = holder[key]
            if kind == "drop":
                del holder[place[-1]]
            elif kind == "rename" and isinstance(holder, dict):
                holder[str(value)] = holder.pop(place[-1])
            else:
                holder[place[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue
    return made


@st.composite
def documents(draw: st.DrawFn, content: Any, most: int = 2) -> bytes:
    """Strategy: ``content`` as bytes with up to ``most`` changes, or truncated, or bytes that are not JSON."""
    shape = draw(st.integers(0, 11))
    if shape == 0:
        return draw(st.sampled_from(NO_JSON) | st.binary(max_size=40))
    kinds = st.sampled_from(("drop", "rename", "set", "set", "set"))
    change = st.tuples(st.sampled_from(paths(content)), kinds, st.sampled_from(ODD))
    text = json.dumps(changed(content, draw(st.lists(change, min_size=1, max_size=most)))).encode()
    return text[: draw(st.integers(0, len(text)))] if shape == 1 else text
