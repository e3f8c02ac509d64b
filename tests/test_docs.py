"""The README's generated blocks say what the registry and the tables say."""

from __future__ import annotations

from fixtures.docs import BLOCKS, README, rendered


def test_generated_blocks_are_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    missing = [name for name in BLOCKS if f"<!-- {name} -->" not in text]
    assert not missing
    assert rendered(text) == text, "run: python -m fixtures.docs"
