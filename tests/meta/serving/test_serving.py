"""Tests what pytest's process knows of a server: its options, its description, its table, and what is said without packages."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fixtures.core.errors import SuiteError
from fixtures.core.spec import Shape
from fixtures.options.serving import read_options
from fixtures.options.settings import Settings
from fixtures.report.html.schema_serve import Serve
from fixtures.report.tables.serve import BARE, EVENT, tables
from fixtures.serving import server
from fixtures.serving.described import IDS, NOTHING, Served
from fixtures.serving.driving import Driven
from fixtures.serving.server import Server

SHAPE = Shape(2, 2, 8, 16, 100, 32, 0, ("input_ids", "attention_mask"))
SERVED = Served(
    "onnxruntime", "/nowhere", {}, dataclasses.asdict(SHAPE), 1, "/nowhere", "bert", "mrpc", 32, most=4, seconds=5.0
)  # fmt: skip
BARE_ENTRY: dict[str, Any] = {
    "variant": "some-variant", "threads": 2, "seconds": 10.0, "rows": 128, "endpoint": BARE, "clients": 1, "per_second": 100.0,
    "p50_ms": 9.0, "p99_ms": 15.0, "more_ms": None, "of_bare": 1.0, "conditions": "clean",
}  # fmt: skip


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has no packages."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def test_a_server_is_described_in_a_file(tmp_path: Path) -> None:
    SERVED.write(tmp_path / "served.json")
    found = Served.read(tmp_path / "served.json")
    assert found.geometry == SHAPE
    assert dataclasses.replace(found, shape=SERVED.shape) == SERVED


def test_an_absent_python_is_said() -> None:
    with pytest.raises(SuiteError, match="--serve-python nowhere: no Python"):
        read_options({"serve_python": "nowhere", "serve_seconds": 1, "serve_clients": 2}.__getitem__)


def test_absent_packages_are_said(settings: Settings, bare_python: Path) -> None:
    lacking = dataclasses.replace(settings, serving=dataclasses.replace(settings.serving, python=bare_python))
    with pytest.raises(SuiteError, match=r"bentoml and locust not installed in .*: tox run -e serve"):
        server.python(lacking)


def test_a_server_runs_on_this_machine_only(settings: Settings) -> None:
    with pytest.raises(SuiteError, match="a server runs on this machine: leave out"):
        server.python(dataclasses.replace(settings, on=Path(sys.executable)))


def test_a_server_that_does_not_start_is_reported_with_its_last_lines(bare_python: Path, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"the server ended with code 1; its last lines:\n.*No module named"):
        Server(bare_python, SERVED, tmp_path / "server")


def test_percentiles_and_rates_are_those_of_answered_requests() -> None:
    driven = Driven(8, [float(ms) for ms in range(1, 101)], 2.0, {}, None)
    assert (driven.percentile(0.5), driven.percentile(0.99), driven.per_second) == (50.0, 99.0, 50.0)


def test_the_table_has_a_row_for_each_endpoint_and_number_of_clients() -> None:
    nothing = {**BARE_ENTRY, "endpoint": NOTHING, "of_bare": None}
    ids = {**BARE_ENTRY, "endpoint": IDS, "clients": 8, "more_ms": 1.25, "of_bare": 0.5}
    text = str(tables([BARE_ENTRY, nothing, ids, {**ids, "clients": 1}])[0])
    assert EVENT == "serve"
    assert len(text.strip().splitlines()) == 2 + 4
    assert "1.25" in text


def test_the_json_is_checked() -> None:
    assert Serve(**BARE_ENTRY).of_bare == 1.0
    with pytest.raises(ValidationError, match="p50_ms"):
        Serve(**{**BARE_ENTRY, "p50_ms": "fast"})
