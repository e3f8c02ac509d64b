"""Makes copies of this checkout's code, which tests may change."""

from __future__ import annotations

import shutil
from pathlib import Path

from fixtures.store.source_code import ROOT

CODE = ("conftest.py", "pytest.ini", "pyproject.toml", "fixtures", "tests", "bench")


def copied(root: Path) -> Path:
    """Copy the code of this checkout into the new folder ``root``."""
    root.mkdir()
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, root / name)
    return root


def edit(path: Path, old: str, new: str) -> None:
    """Replace ``old``, which must occur in the file."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")
