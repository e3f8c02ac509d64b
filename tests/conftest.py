"""Hypothesis profiles: ``suite`` answers the same every time, ``thorough`` looks for more (--hypothesis-profile)."""

from datetime import timedelta

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", max_examples=200, deadline=timedelta(minutes=1))
settings.load_profile("suite")
