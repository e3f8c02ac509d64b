"""Tests which Python an option selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.core.errors import SuiteError
from fixtures.options.interpreters import named


def test_an_interpreter_is_asked_whether_it_is_one(tmp_path: Path) -> None:
    assert named("--compare", str(tmp_path / "nothing")) is None
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    fake.chmod(0o755)
    with pytest.raises(SuiteError, match="is no Python interpreter"):
        named("--compare", str(fake))
    fake.chmod(0o644)
    with pytest.raises(SuiteError, match="is no Python interpreter"):
        named("--compare", str(fake))
