"""Makes copies of this checkout's code, which tests may change."""

from __future__ import annotations

import shutil
from pathlib import Path

from fixtures.store.source_code import ROOT

_INVOKE = "        return self.session.run(OUTPUTS, prepared)\n"
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


def slow_down(root: Path) -> None:
    """Delay every inference of ONNX Runtime in the checkout ``root``, by several times what one of a tiny model takes."""
    edit(root / "fixtures" / "backends" / "_onnx.py", _INVOKE, f"        import time\n\n        time.sleep(0.05)\n{_INVOKE}")
