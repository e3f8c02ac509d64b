"""Tests how the machine is described from the files of Linux."""

from __future__ import annotations

import platform

import pytest

from fixtures.core import machine
from fixtures.core.machine import Machine, this_machine


def test_this_machine_is_described_and_survives_json() -> None:
    here = this_machine()
    assert here.architecture == platform.machine()
    assert here.cores >= 1
    assert here.vendor
    assert here.cpu
    assert Machine.of(here.fields()) == here
    assert here.cpu in here.line()
    assert "emulated" not in here.slug


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
    ],
)
def test_the_quota_of_a_cgroup(files: dict[str, str], quota: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_text", lambda path: files.get(path, ""))
    assert machine._quota() == quota


def test_a_line_says_quota_governor_and_emulation() -> None:
    made = Machine("aarch64", "arm", "ARM", "Neoverse-N1", "neoverse_n1", ("asimddp",), 2, 1.5, "performance", True)
    assert made.line() == (
        "Neoverse-N1 (aarch64, 2 cores, a quota of 1.5, governor performance; asimddp), emulated (never timed)"
    )
    assert made.slug == "aarch64-neoverse-n1-emulated"


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (8.0, 4), (2.5, 2), (0.5, 1)])
def test_a_quota_limits_the_cores_that_are_usable(quota: float | None, usable: int) -> None:
    made = Machine("aarch64", "arm", "ARM", "Neoverse-N1", "neoverse_n1", ("asimddp",), 4, quota, None, False)
    assert made.usable == usable
