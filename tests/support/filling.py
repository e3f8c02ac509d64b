"""A pytest plugin that fills the disk of the artifacts at a given point of the session (``-p tests.support.filling``).

``FILL`` names the point: ``collection``, ``setup`` of the first test, ``teardown`` of the last.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest


def fill(folder: Path) -> None:
    """Fill the disk until no byte is free."""
    with (folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def _fill(config: pytest.Config, point: str) -> None:
    if os.environ["FILL"] == point:
        fill(Path(config.getoption("artifacts")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    _fill(session.config, "collection")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _fill(item.config, "setup")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    _fill(item.config, "teardown")
