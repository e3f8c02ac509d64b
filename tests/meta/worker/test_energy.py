"""Tests the reading of energy counters, on a folder like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.worker import energy


@pytest.fixture
def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(energy, "ROOT", tmp_path)
    return tmp_path


def write(zones: Path, zone: str, name: str, microjoules: int, wraps_at: int = 1000) -> None:
    folder = zones / zone
    folder.mkdir(exist_ok=True)
    for file, value in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", wraps_at)):
        (folder / file).write_text(f"{value}\n", encoding="utf-8")


def test_packages_are_added_and_a_counter_may_start_again(zones: Path) -> None:
    write(zones, "intel-rapl:0", "package-0", 900)
    write(zones, "intel-rapl:1", "package-1", 100)
    write(zones, "intel-rapl:0:0", "dram", 5)
    before, reason = energy.read()
    assert (set(before), reason) == ({"intel-rapl:0", "intel-rapl:1"}, None)
    write(zones, "intel-rapl:0", "package-0", 50)
    write(zones, "intel-rapl:1", "package-1", 300)
    assert energy.joules(before, energy.read()[0]) == pytest.approx((150 + 200) / 1e6)


def test_without_counters_there_is_a_reason_and_no_figure(zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert energy.read() == ({}, energy.NONE)
    assert energy.joules({}, {}) is None
    write(zones, "intel-rapl:0", "package-0", 900)

    def denied(self: Path, encoding: str) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", denied)
    assert energy.read() == ({}, energy.DENIED)
