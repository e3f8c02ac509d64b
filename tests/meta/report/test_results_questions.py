"""Tests the named questions, each on runs in which the answer is known."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.report.history.database import Database
from fixtures.report.history.questions import QUESTIONS
from tests.support.reports import Content, small
from tests.support.results import EXPLAINED, folder_of, results, variation

QUICK, BASE = "sample-tiny-onnxruntime-f32", "sample-tiny-pytorch-f32"


def third(content: Content, factor: float) -> Content:
    """The run with a third variant, ``factor`` times as slow as that of ONNX Runtime."""
    rows = content["encoder_parity"]["rows"]
    row = json.loads(json.dumps(rows[QUICK]))
    row.update(backend="openvino", median_ms=factor * row["median_ms"], visits_ms=[factor * ms for ms in row["visits_ms"]])
    rows["sample-tiny-openvino-f32"] = row
    return content


def known(content: Content) -> Content:
    """The run in which ONNX Runtime's variant is a known failure."""
    content["encoder_parity"]["rows"][QUICK].update(dict(zip(EXPLAINED, ("a bug", "https://example.org/1", "x"), strict=True)))
    return content


def answer(folder: Path, name: str, **parameters: Any) -> list[dict[str, str]]:
    """The cells of the answer, by header."""
    table = QUESTIONS[name].answer(Database(str(folder)), {"model": None, "cpu": None, **parameters})
    headers = [column.header for column in table.columns]
    return [dict(zip(headers, cells, strict=True)) for cells in table.cells()]


def test_the_best_variant_of_each_cpu(tmp_path: Path) -> None:
    """The newest run of each variant counts, and CPUs can be chosen by a part of their names."""
    older = third(variation(small(), 0, "One", factor=0.5), 0.1)
    newer = third(variation(small(), 1, "One", factor=0.5), 2.0)
    other = third(variation(small(), 0, "Two", factor=0.5), 0.5)
    found = answer(folder_of(tmp_path, older, newer, other), "best")
    assert [(row["CPU"], row["variant"], row["speed-up"]) for row in found] == [
        ("One", QUICK, "2.00"),
        ("Two", "sample-tiny-openvino-f32", "4.00"),
    ]
    assert [row["CPU"] for row in answer(tmp_path / "results", "best", cpu="two")] == ["Two"]


def test_speed_ups_of_two_stacks_are_not_ranked_against_each_other(tmp_path: Path) -> None:
    """An upgrade makes PyTorch f32, the unit of speed-ups, twice as fast; what was not measured since has a row of its own."""
    older = third(variation(small(), 0, "One", version="1.0", factor=0.5), 0.5)
    newer = variation(small(), 1, "One", version="2.0", factor=0.25)
    row = newer["encoder_parity"]["rows"][BASE]
    row.update(median_ms=row["median_ms"] / 2, visits_ms=[ms / 2 for ms in row["visits_ms"]])
    found = answer(folder_of(tmp_path, older, newer), "best")
    assert [(row["variant"], row["speed-up"], row["measured on"]) for row in found] == [
        (QUICK, "2.00", "2026-01-03"),
        ("sample-tiny-openvino-f32", "4.00", "2026-01-02"),
    ]
    assert found[0]["stack"] != found[1]["stack"]
    (tmp_path / "upgraded").mkdir()
    again = answer(folder_of(tmp_path / "upgraded", older, third(newer, 2.0)), "best")
    assert [(row["variant"], row["stack"]) for row in again] == [(QUICK, found[0]["stack"])], "all were measured since"


def test_a_known_failure_is_never_best(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, known(variation(small(), version="1.0")))
    assert [row["variant"] for row in answer(folder, "best")] == [BASE]


def test_an_unstable_variant_is_best_only_if_all_are_or_if_it_is_surely_faster(tmp_path: Path) -> None:
    content = third(variation(small(), factor=0.5), 0.5)
    rows = content["encoder_parity"]["rows"]
    rows["sample-tiny-openvino-f32"].update(unstable="other work", disturbed=True)
    folder = folder_of(tmp_path, content)
    assert [row["variant"] for row in answer(folder, "best")] == [QUICK]
    rows["sample-tiny-openvino-f32"].update(unstable="visits differ by 37%", disturbed=False)
    (tmp_path / "drift").mkdir()
    assert [row["variant"] for row in answer(folder_of(tmp_path / "drift", content), "best")] == ["sample-tiny-openvino-f32"]
    for row in rows.values():
        row["unstable"] = "other work"
    (tmp_path / "all").mkdir()
    assert [row["variant"] for row in answer(folder_of(tmp_path / "all", content), "best")] == ["sample-tiny-openvino-f32"]


def test_what_changed_since_a_version(tmp_path: Path) -> None:
    before, between = variation(small(), 0), variation(small(), 1)
    after = variation(small(), 2, version="2.0", factor=1.5)
    after["encoder_parity"]["rows"][QUICK]["size_mib"] = 8.0
    folder = folder_of(tmp_path, before, between, after)
    found = answer(folder, "changed", package="onnxruntime", version="1.0")
    assert [row["variant"] for row in found] == [QUICK], "PyTorch f32 is the unit, and nothing else of it changed"
    assert found[0]["time, after over before"] == "1.500"
    assert found[0]["verdict on time"] == "slower"
    assert found[0]["MiB"] == "16.0 -> 8.0"
    assert found[0]["versions that changed"] == "onnxruntime 1.0 -> 2.0"
    assert found[0]["runs of"] == "2026-01-03 -> 2026-01-04"
    assert answer(folder, "changed", package="onnxruntime", version="2.0") == [], "no run came after it"
    with pytest.raises(SuiteError, match=r"no run has onnxruntime 3; its runs have onnxruntime in 1\.0, 2\.0"):
        answer(folder, "changed", package="onnxruntime", version="3")


def test_where_cpus_disagree(tmp_path: Path) -> None:
    one = third(variation(small(), 0, "One", factor=0.5), 1.0)
    two = third(variation(small(), 0, "Two", factor=1.5), 1.0)
    alike = answer(folder_of(tmp_path, one, variation(small(), 0, "Three", factor=0.5)), "disagree")
    assert alike == []
    two["encoder_parity"]["rows"]["sample-tiny-openvino-f32"].update(
        agreement_violations=["logits"], verdict="FAILED: logits", median_ms=0.5, visits_ms=[0.5, 0.505, 0.51]
    )
    (tmp_path / "other").mkdir()
    found = answer(folder_of(tmp_path / "other", one, two), "disagree")
    assert [(row["variant"], row["differ in"]) for row in found] == [
        ("sample-tiny-openvino-f32", "verdict"),
        (QUICK, "speed"),
    ]
    assert (found[1]["one CPU"], found[1]["speed-up"]) == ("One", "2.00")
    assert (found[1]["other CPU"], found[1]["its speed-up"]) == ("Two", "0.67")
    assert found[0]["verdict there"] == "FAILED: logits"


def test_cpus_are_compared_at_equal_threads(tmp_path: Path) -> None:
    """What could not be compared is said, so that silence means agreement."""
    one, two = variation(small(), 0, "One", factor=0.5), variation(small(), 0, "Two", version="2.0", factor=1.5)
    one["encoder_parity"]["setting"]["threads"], two["encoder_parity"]["setting"]["threads"] = 2, 4
    apart = results("disagree", "--results", folder_of(tmp_path, one, two))
    said = "nothing can be compared, only 1 pair of results with unequal numbers of threads: measure with --threads N\n"
    assert apart.stdout == said
    alone = results("disagree", "--results", tmp_path / "results", "--cpu", "one")
    assert "no variant was measured on two CPUs" in alone.stdout
    again = variation(small(), 1, "Two", version="2.0", factor=1.5)
    again["encoder_parity"]["setting"]["threads"] = 2
    folder = folder_of(tmp_path, again)
    found = answer(folder, "disagree")
    assert [(row["one CPU"], row["other CPU"], row["differ in"]) for row in found] == [("One", "Two", "speed")]
    assert found[0]["batch x sequence"].endswith("2 threads")
    assert found[0]["versions that differ"] == "onnxruntime 1.0 -> 2.0"
    shown = results("disagree", "--results", folder)
    assert shown.stdout.startswith("not compared: 1 pair of results with unequal numbers of threads\n\n| variant ")
    other = results("disagree", "--results", folder, "--format", "json")
    assert len(json.loads(other.stdout)) == 1
    assert "not compared" in other.stderr


def test_known_failures_that_appeared_or_vanished(tmp_path: Path) -> None:
    """Each CPU has a history of its own."""
    runs = [
        known(variation(small(), 0, "One")), known(variation(small(), 1, "One")),
        variation(small(), 2, "One", version="2.0"), variation(small(), 0, "Two"), known(variation(small(), 3, "Two")),
    ]  # fmt: skip
    found = answer(folder_of(tmp_path, *runs), "failures")
    assert [(row["what"], row["CPU"], row["variant"], row["known failure"]) for row in found] == [
        ("vanished", "One", QUICK, "a bug"),
        ("appeared", "Two", QUICK, "a bug"),
    ]
    assert found[0]["versions that changed"] == "onnxruntime 1.0 -> 2.0"
    assert found[0]["runs of"] == "2026-01-03 -> 2026-01-04"


def test_the_command(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, variation(small(), factor=0.5))
    shown = results("best", "--results", folder)
    assert shown.returncode == 0, shown.stderr
    assert f"| {QUICK} |" in shown.stdout
    listed = results("best", "--results", folder, "--format", "csv", "--model", "sample-tiny")
    assert next(csv.DictReader(io.StringIO(listed.stdout)))["speed-up"] == "2.0"
    assert results("best", "--results", folder, "--model", "other").stdout == "nothing was found\n"
    statement = "SELECT versions['onnxruntime'] AS version, count(*) AS n FROM cells GROUP BY ALL"
    assert json.loads(results(statement, "--results", folder, "--format", "json").stdout) == [{"version": "1.0", "n": 2}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bset",), "there is no question 'bset'"),
        (("changed", "onnxruntime"), "changed: give PACKAGE VERSION after it, not onnxruntime"),
        (("best", "of", "all"), "best: give nothing after it, not of all"),
        (("append",), "append: give files of --benchmark-json"),
        (("SELECT x FROM results",), 'Referenced column "x" not found'),
    ],
)
def test_a_wrong_command_gives_one_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    found = results(*arguments, "--results", folder_of(tmp_path, variation(small())))
    assert (found.returncode, found.stderr.count("\n"), found.stdout) == (2, 1, ""), found.stderr
    assert said in found.stderr
