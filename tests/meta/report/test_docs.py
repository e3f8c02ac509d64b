"""The documents' generated blocks say what the registry and the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.report.docs_blocks import BLOCKS, DOCUMENTS, rendered


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_generated_blocks_are_up_to_date(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert rendered(text) == text, "run: python -m fixtures.report.docs_blocks"


def test_every_block_is_in_a_document() -> None:
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    missing = [name for name in BLOCKS if not any(f"<!-- {name} -->" in text for text in texts)]
    assert not missing
