"""``-p tests.faults.stopping``: a faulty variant that a test caught is not run again; that halves the time of a whole table."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.faults.spec import PREFIX

CAUGHT: set[str] = set()


def _faulty(item: pytest.Item) -> str:
    name = item.callspec.params.get("variant", "") if hasattr(item, "callspec") else ""
    return str(name) if PREFIX in str(name) else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _faulty(item) in CAUGHT:
        pytest.skip("caught already")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    if outcome.failed and (name := _faulty(item)):
        CAUGHT.add(name)
    return outcome
