"""Tests the report's page in a real browser: a real run, two machines, a history, damaged and hostile files."""

from __future__ import annotations

import copy
import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import opened, problems
from tests.support.reports import PLAIN, QUICK, Content, other_machine, report

#: These tests run bench/, which takes minutes.
pytestmark = pytest.mark.slow


@pytest.mark.browser
def test_the_page_of_a_run_is_whole(made: Path) -> None:
    """On a desktop, on a phone and in the dark theme: every chart is drawn, every column sorts, nothing scrolls sideways.

    There is no console message and no network request.
    """
    assert problems(made / "index.html") == []


@pytest.mark.browser
def test_what_the_page_shows(made: Path) -> None:
    from playwright.sync_api import expect

    with opened(made / "index.html") as page:
        page.open_everything()
        text = page.page.inner_text("body")
        for heading in ("Recommendation", "Agreement and flips", "Batch by sequence", "Time by operator type", "Conditions"):
            assert page.page.get_by_role("heading", name=heading, exact=True).count() == 1, f"{heading} is missing"
        assert "fastest that holds" in text
        assert "times as fast as PyTorch f32" in text
        assert "one encoder layer in onnxruntime_fused-f32" in text
        assert "plain ONNX (opset 11) is slower than PyTorch f32" in text, "the claims' table"
        assert f"--report={made}" in text, "the exact command"
        table = page.page.locator("table.sortable").filter(has_text="speed-up").first
        head = table.get_by_role("columnheader", name="MiB")
        head.locator("[tabindex='0']").press("Enter")
        expect(head, "a column sorts by the keyboard too").to_have_attribute("aria-sort", "ascending")


def test_the_files_beside_the_page(made: Path) -> None:
    """Every chart has a picture in both formats, and the summary fits a comment and begins with the recommendation."""
    names = re.findall(r'data-chart="([^"]+)"', (made / "index.html").read_text(encoding="utf-8"))
    assert {path.name for path in (made / "charts").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("svg", "png")
    }
    assert all((made / "charts" / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in names)
    assert {"trade-off-minilm-l6", "latency-minilm-l6", f"layer-{PLAIN}", "agreement", "flips"} <= set(names)
    summary = (made / "summary.md").read_text(encoding="utf-8")
    assert len(summary) < 65_536
    assert "is the fastest that holds" in summary.split("###")[0]
    assert "| minilm-l6-pytorch-f32 |" in re.sub(r" +", " ", summary)
    assert f"report: {made / 'index.html'}" in (made / "log").read_text(encoding="utf-8")


@pytest.mark.browser
def test_two_machines_stand_side_by_side(content: Content, page: Callable[..., Path]) -> None:
    index = page(content, other_machine(content))
    assert problems(index) == []
    with opened(index) as found:
        beside = found.page.locator("#beside")
        assert beside.locator(".chart").count() == 1
        assert "Sample ARM (SAMPLE)" in beside.inner_text()
        assert "Sample data, not a measurement" in found.page.inner_text("main")
        assert found.page.locator(".card").count() == 2, "a recommendation for each machine"
    assert "Sample data, not a measurement" in (index.parent / "summary.md").read_text(encoding="utf-8")


def later(content: Content, slower: str) -> Content:
    """A run of the next day, in which one variant takes 1.5 times as long and onnxruntime has another version."""
    other = copy.deepcopy(content)
    when = datetime.datetime.fromisoformat(content["datetime"]) + datetime.timedelta(days=1)
    other["datetime"] = when.isoformat()
    other["encoder_parity"]["versions"]["onnxruntime"] = "9.9.9"
    row = other["encoder_parity"]["rows"][slower]
    row.update(median_ms=1.5 * row["median_ms"], visits_ms=[1.5 * ms for ms in row["visits_ms"]])
    return other


def even(content: Content) -> Content:
    """A copy of the run in which the visits of every variant differ by at most 2 %, independent of noise on this machine."""
    for row in content["encoder_parity"]["rows"].values():
        if row.get("visits_ms"):
            row.update(unstable=None, disturbed=False, visits_ms=[share * row["median_ms"] for share in (1.0, 1.01, 1.02)])
    return content


@pytest.mark.browser
def test_a_folder_of_runs_is_a_history(content: Content, tmp_path: Path) -> None:
    """A history shows the gate's verdict at each step (one variant is slower, the others are not) and changed packages."""
    content = even(content)
    folder = tmp_path / "runs"
    folder.mkdir()
    for number, one in enumerate((content, later(content, QUICK))):
        (folder / f"{number:04}.json").write_text(json.dumps(one), encoding="utf-8")
    done = report(folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    index = tmp_path / "out" / "index.html"
    assert done.stdout.strip() == str(index)
    assert problems(index) == []
    with opened(index) as found:
        text = found.page.locator("#history").inner_text()
        assert re.search(r"onnxruntime [\d.]+ -> 9\.9\.9", text)
        rows = found.page.locator("#history tbody tr").all_inner_texts()
        assert [row for row in rows if QUICK in row and "1.500" in row and "slower" in row.split("\t")[-1]], rows
        assert [row for row in rows if PLAIN in row and "1.000" in row and row.split("\t")[-1] != "slower"], rows
