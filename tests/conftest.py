"""Hypothesis profiles: ``suite`` answers the same every time, ``thorough`` looks for more (--hypothesis-profile)."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

from fixtures.plugin import WORKSHOP

settings.register_profile(
    "suite",
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("emulated", settings.get_profile("suite"), max_examples=2)
settings.register_profile("thorough", max_examples=200, deadline=timedelta(minutes=1))
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """An emulator takes as long for two examples as its host for two hundred."""
    if config.stash[WORKSHOP].target.emulated and not config.getoption("--hypothesis-profile"):
        settings.load_profile("emulated")
