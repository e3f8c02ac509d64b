"""Tests which files a report refuses, and that no text of a file becomes markup."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.options.report_folder import prepare
from fixtures.report.earlier_schemas import upgraded
from tests.support.browser import opened, problems
from tests.support.nested import run
from tests.support.reports import Content, other_machine, report, small

#: The name of a row of the sample.
ROW = "sample-tiny-onnxruntime-f32"
#: Hostile text, which is put into every text field of a file.
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'|[a](javascript:alert(1))"


@pytest.fixture
def content() -> Content:
    """The contents of a file with a value in every field."""
    return small()


@pytest.fixture
def sample(content: Content, tmp_path: Path) -> Path:
    """The path of a file with these contents."""
    file = tmp_path / "sample.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_a_file_of_the_first_schema_has_its_metrics_by_name() -> None:
    """Accuracy and F1 had fields of their own when MRPC was the only task."""
    row = {
        "acc": 0.8,
        "f1": 0.85,
        "baseline_acc": 0.81,
        "baseline_f1": 0.86,
        "f1_loss": 0.01,
        "f1_loss_low": 0.0,
        "f1_loss_high": 0.02,
    }
    old = {"schema": 1, "rows": {ROW: row}, "data": {"kind": "MRPC", "train_pairs": 3668, "dev_pairs": 408}}
    made = upgraded(old)
    assert made["schema"] == 2
    assert made["data"]["task"] == "MRPC"
    assert (made["data"]["train_rows"], made["data"]["dev_rows"]) == (3668, 408)
    found = made["rows"][ROW]
    assert (found["metric"], found["score"], found["baseline_score"]) == ("accuracy", 0.8, 0.81)
    assert found["metrics"] == {"accuracy": 0.8, "f1": 0.85}
    assert found["metric_losses"] == {"f1": {"estimate": 0.01, "low": 0.0, "high": 0.02}}
    assert upgraded({"schema": 2, "rows": {}}) == {"schema": 2, "rows": {}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["encoder_parity"].pop("machine"), "the field 'encoder_parity.machine' cannot be used (field required)"),
        (lambda c: c.pop("encoder_parity"), "the field 'encoder_parity' cannot be used (field required)"),
        (
            lambda c: c["encoder_parity"].update(schema=99),
            "the field 'encoder_parity.schema' cannot be used (input should be 2)",
        ),
        (
            lambda c: c["encoder_parity"]["rows"][ROW].update(median_ms="fast"),
            f"the field 'encoder_parity.rows.{ROW}.median_ms' cannot be used",
        ),
        (lambda c: c["encoder_parity"]["rows"][ROW].update(flips=82.8), f"'encoder_parity.rows.{ROW}.flips' cannot be used"),
        (
            lambda c: c["encoder_parity"]["rows"][ROW].update(known="x", instead="y", link="javascript:alert(1)"),
            f"'encoder_parity.rows.{ROW}.link' cannot be used",
        ),
        (
            lambda c: c["encoder_parity"]["graph"][0]["layer"]["edges"].append([0, 10**9]),
            "'encoder_parity.graph.0.layer' cannot be used",
        ),
        (lambda c: c.update(datetime="yesterday"), "the field 'datetime' is no date"),
        (lambda c: c["benchmarks"][0]["stats"].update(data=[0.1, -1]), "'benchmarks.0.stats.data.1' cannot be used"),
    ],
)
def test_a_foreign_file_is_refused_by_its_field(
    content: Content, tmp_path: Path, change: Callable[[Content], Any], said: str
) -> None:
    change(content)
    file = tmp_path / "foreign.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    found = report(file, "-o", tmp_path / "out")
    assert found.returncode == 2, found.stderr
    assert found.stderr.startswith(f"error: {file}: ")
    assert said in found.stderr
    assert found.stderr.count("\n") == 1, "one sentence"
    assert not (tmp_path / "out").exists()


def test_what_is_no_run_at_all(sample: Path, tmp_path: Path) -> None:
    damaged, empty = tmp_path / "damaged.json", tmp_path / "empty"
    damaged.write_text(sample.read_text(encoding="utf-8")[:1000], encoding="utf-8")
    empty.mkdir()
    for path, said in (
        (damaged, "it is damaged or no JSON"),
        (tmp_path / "missing.json", "it cannot be read (No such file or directory)"),
        (empty, "there is no .json file in this folder"),
    ):
        found = report(path, "-o", tmp_path / "out")
        assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
        assert f"{path}: {said}" in found.stderr
    blocked = report(sample, "-o", damaged)
    assert blocked.returncode == 2
    assert f"{damaged}: the report cannot be written there" in blocked.stderr


@pytest.mark.slow
def test_what_is_no_report_is_never_replaced(sample: Path, tmp_path: Path) -> None:
    """The command never overwrites a folder that is not a report, such as a user's charts; it replaces an earlier report."""
    kept = tmp_path / "charts" / "mine.png"
    kept.parent.mkdir()
    kept.touch()
    found = report(sample, "-o", tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert "its charts is of no report, and would be replaced; give another folder" in found.stderr
    assert kept.exists()
    early = run("bench", f"--report={tmp_path}", "--collect-only")
    assert early.returncode == 4
    assert "is of no report" in early.stderr
    assert report(sample, "-o", tmp_path / "out").returncode == 0
    assert prepare(tmp_path / "out") == tmp_path / "out"


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    found = run("bench", f"--report={taken}", "--collect-only")
    assert found.returncode == 4
    assert f"{taken}: the report cannot be written there" in found.stderr


def hostile(content: Content) -> Content:
    """A file with markup in every text: names, versions, commands, words of figures, known failures."""
    other = copy.deepcopy(content)
    found = other["encoder_parity"]

    def renamed(identifier: str) -> str:
        return identifier.replace("sample-tiny", HOSTILE)

    texts = ("verdict", "unstable", "conditions", "known", "instead")
    found["rows"] = {
        renamed(i): {
            **row, "subject": HOSTILE, "baseline": renamed(row["baseline"]),
            **(dict.fromkeys(texts, HOSTILE) | {"link": "https://example.org/"} if "onnxruntime" in i else {}),
        }
        for i, row in found["rows"].items()
    }  # fmt: skip
    for case in other["benchmarks"]:
        if "variant" in case["extra_info"] and "id" in case["extra_info"]["variant"]:
            case["extra_info"]["variant"]["id"] = renamed(case["extra_info"]["variant"]["id"])
    for kind in ("grid", "profile", "graph"):
        for entry in found[kind]:
            entry["variant"] = renamed(entry["variant"])
    found["graph"][0]["layer"]["operators"][0] = found["graph"][0]["file"] = HOSTILE
    found["graph"][0]["operators"][HOSTILE] = 1
    found["profile"][0]["seconds"][HOSTILE] = 1.0
    found["claims"] = [dict.fromkeys(("id", "sentence", "figures", "platform", "here", "word"), HOSTILE)]
    found["machine"]["cpu"] = found["command"] = found["sample"] = HOSTILE
    found["versions"] = found["weights"] = {HOSTILE: HOSTILE}
    found["runtimes"] = {HOSTILE: {HOSTILE: HOSTILE}}
    found["data"]["kind"] = HOSTILE
    return other


@pytest.mark.slow
@pytest.mark.browser
def test_text_of_a_file_is_never_markup(content: Content, page: Callable[..., Path]) -> None:
    from fixtures.report.html import runs, vega, write

    index = page(hostile(content), other_machine(hostile(content)))
    charts = write.page(runs.read_all(index.parent.glob("run-*.json"))).charts()
    assert problems(index) == []
    with opened(index) as found:
        found.open_everything()
        assert found.page.evaluate("window.hacked === undefined")
        assert found.page.locator("img").count() == 0
        assert found.page.locator("script").count() == 6, "no script but the page's own"
        links = found.page.locator("a").evaluate_all("(found) => found.map((a) => a.getAttribute('href'))")
        assert {link.split(":")[0] for link in links if ":" in link} == {"https"}
        assert "<img src=x" in found.page.inner_text("#conditions"), "it is shown as what it is"
    pictures = [vega.pictures(chart)[0] for chart in charts[:4]]
    assert not [svg for svg in pictures if "<script" in svg or "<img" in svg], "a picture is opened in a browser too"
    summary = (index.parent / "summary.md").read_text(encoding="utf-8")
    assert "<img" not in summary
    assert "<script" not in summary
    assert "](javascript" not in summary.replace("\\]", "")
