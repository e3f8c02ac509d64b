"""Shortens a detection run: ``-p tests.mutation.faults.stopping``.

A faulty variant that a test caught is not run again, and the next variant of a runtime is opened in the worker process of the
previous one, which has already imported the runtime.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from fixtures.harness.pool import WorkerPool
from tests.mutation.faults.spec import PREFIX

CAUGHT: set[str] = set()


def _faulty(item: pytest.Item) -> str:
    name = item.callspec.params.get("variant", "") if hasattr(item, "callspec") else ""
    return str(name) if PREFIX in str(name) else ""


def pytest_configure(config: pytest.Config) -> None:
    WorkerPool._keeps = True  # type: ignore[assignment,method-assign]


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
