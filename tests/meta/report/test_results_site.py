"""Tests the site over a folder of results, and the change points on it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from fixtures.report.history.change_points import change_points
from fixtures.report.history.database import Database
from fixtures.report.history.site import file_name
from fixtures.store.source_code import ROOT
from tests.support.browser import DESKTOP, PHONE, opened
from tests.support.composite import BASH, loaded
from tests.support.nested import surroundings
from tests.support.reports import Content, report, small
from tests.support.results import folder_of, variation, write

RUNS = 12
CI = ROOT / ".github" / "workflows" / "ci.yml"


def test_series_without_a_change_have_almost_none() -> None:
    """Fewer than one of a hundred normal series of 6 to 100 runs has a change point; a step of 15 % is found at its place."""
    draw = np.random.default_rng(0)
    for number in (6, 12, 20, 100):
        quiet = {str(i): np.exp(draw.normal(0, 0.03, number)).tolist() for i in range(200)}
        assert len(change_points(quiet)) < 0.02 * len(quiet), number
        after = np.arange(number) >= number // 2
        stepped = {str(i): np.exp(draw.normal(0, 0.03, number) + 0.14 * after).tolist() for i in range(200)}
        found = change_points(stepped)
        near = [name for name, steps in found.items() if any(abs(step.place - number // 2) <= 1 for step in steps)]
        assert len(near) > (0.75 if number == 6 else 0.97) * len(stepped), number


def test_what_is_no_change_point() -> None:
    level, odd = [1.0, 1.01, 0.99, 1.0, 1.01] * 4, [1.0, 1.01, 0.99, 1.0] * 5
    odd[10] = 1.5
    small_step = [one * (1.03 if place >= 10 else 1.0) for place, one in enumerate(level)]
    assert (
        change_points({"level": level, "one odd run": odd, "a step of 3 %": small_step, "few": [1.0, 1.0, 2.0, 2.0, 2.0]}) == {}
    )
    step = change_points({"equal runs": [1.0] * 6 + [1.2] * 6})["equal runs"]
    assert [(one.place, round(one.ratio, 6)) for one in step] == [(6, 1.2)]


def test_names_of_files_differ_where_names_do() -> None:
    names = ["minilm-l6", "a.b", "a-b", "a b", "../x", "x", "é", "ü", "A" * 300, "A" * 301]
    made = [file_name(name) for name in names]
    assert made[0] == "minilm-l6", "a plain name stays"
    assert len(set(made)) == len(names)
    assert all(len(name) < 120 and "/" not in name and not name.startswith(".") for name in made)


def history(cpu: str) -> list[Content]:
    """Twelve runs on one CPU; in the second half ONNX Runtime has another version and takes 1.3 times as long."""
    noise = np.random.default_rng(len(cpu)).normal(0, 0.01, RUNS)
    return [
        variation(
            small(), day, cpu, "1.0" if day < RUNS // 2 else "2.0", float(np.exp(shift)) * (1.0 if day < RUNS // 2 else 1.3)
        )
        for day, shift in enumerate(noise)
    ]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of a site over two CPUs."""
    out = tmp_path / "site"
    done = report(folder_of(tmp_path, *history("One"), *history("Two")), "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "index.html")
    return out


@pytest.mark.slow
def test_the_files_of_a_site(site: Path, tmp_path: Path) -> None:
    """Names depend on names only, badges are pictures and endpoints, and the same results give the same files again."""
    files = {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    names = {f"badges/{file_name(f'sample-tiny-{cpu}')}.{kind}" for cpu in ("One", "Two") for kind in ("svg", "json")}
    assert set(files) == {
        "index.html", "models/sample-tiny.html", *names, *(f"assets/{name}.js" for name in ("index", "page", "tables", "vega")),
    }  # fmt: skip
    picture, told = (files[f"badges/{file_name('sample-tiny-One')}.{kind}"].decode() for kind in ("svg", "json"))
    assert json.loads(told)["schemaVersion"] == 1
    assert json.loads(told)["label"] == "sample-tiny on One"
    shown = [element.text for element in xml.etree.ElementTree.fromstring(picture).iter() if element.tag.endswith("text")]  # noqa: S314
    assert shown == [json.loads(told)["label"], json.loads(told)["message"]]
    assert report(tmp_path / "results", "-o", site).returncode == 0
    assert files == {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    (tmp_path / "mine" / "models").mkdir(parents=True)
    refused = report(tmp_path / "results", "-o", tmp_path / "mine")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "its models is of no report" in refused.stderr
    both = report(tmp_path / "results", tmp_path / "run-0.json", "-o", tmp_path / "both")
    assert (both.returncode, both.stderr.count("\n")) == (2, 1), both.stderr


@pytest.mark.slow
def test_the_nightly_job_adds_the_runs_of_all_machines(tmp_path: Path) -> None:
    """The job's own script, on two nights; a runner without full sizes has one file."""
    (script,) = (step["run"] for step in loaded(CI)["jobs"]["results"]["steps"] if "bench.results" in step.get("run", ""))
    environment = surroundings(
        PYTHONPATH=str(ROOT), PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
    )  # fmt: skip
    for night in (0, 1):
        for cpu, name in (("One", "bench"), ("One", "full"), ("Two", "bench")):
            folder = tmp_path / f"bench-{cpu}"
            folder.mkdir(exist_ok=True)
            write(variation(small(), night, cpu, factor=0.5 if name == "bench" else 0.4), folder / f"{name}.json")
        done = subprocess.run(
            [*BASH, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
    assert Database(str(tmp_path / "results")).ask("SELECT count(DISTINCT run) FROM results").rows == [(6,)]
    assert (tmp_path / "site" / "index.html").exists()
    assert "| sample-tiny" in (tmp_path / "summary").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.browser
def test_the_pages_of_a_site(site: Path) -> None:
    for viewport in (DESKTOP, PHONE):
        with opened(site / "index.html", viewport) as page:
            assert page.page.inner_text("#shown") == "8 of 8 results."
            page.page.select_option("select[name=cpu]", label=page.page.locator("select[name=cpu] option").nth(1).inner_text())
            assert page.page.inner_text("#shown") == "4 of 8 results."
            assert "#cpu=One" in page.page.url, "a filter is part of the address"
            page.page.locator("#cells a").first.click()
            page.page.wait_for_selector("html[data-ready=yes]")
            page.open_everything()
            assert page.page.url.endswith("models/sample-tiny.html")
            moved = page.page.locator("table").filter(has_text="last run before").first.locator("tbody tr").all_inner_texts()
            assert len(moved) == 1, moved
            assert moved[0].startswith("onnxruntime-f32\tslower\t1.3")
            assert "onnxruntime 1.0 -> 2.0" in moved[0]
            assert "The gate's verdicts" in page.page.inner_text("main")
            assert not page.wider_than_the_screen()
            assert page.trouble == []


@pytest.mark.slow
@pytest.mark.browser
def test_ten_thousand_cells(tmp_path: Path) -> None:
    """The page has few elements whatever the number of cells; only those on screen are made, and filters look at all."""
    many = []
    for number in range(25):
        content = variation(small(), number, f"CPU {number:02}")
        rows = content["encoder_parity"]["rows"]
        for place in range(398):
            row = copy.deepcopy(rows["sample-tiny-onnxruntime-f32"])
            row["recipe"] = f"recipe_{place}"
            rows[f"sample-tiny-onnxruntime-f32-recipe_{place}"] = row
        many.append(content)
    out = tmp_path / "site"
    done = report(folder_of(tmp_path, *many), "-o", out)
    assert done.returncode == 0, done.stderr
    index = out / "index.html"
    assert index.stat().st_size < 2e6, "bytes of the page, without the scripts that all pages share"
    with opened(index) as page:
        assert page.page.inner_text("#shown") == "10000 of 10000 results."
        assert page.page.evaluate("document.querySelectorAll('*').length") < 2500
        page.page.select_option("select[name=cpu]", label=page.page.locator("select[name=cpu] option").nth(8).inner_text())
        assert page.page.inner_text("#shown") == "400 of 10000 results."
        page.page.goto(page.page.url)
        page.page.reload()
        page.page.wait_for_selector("html[data-ready=yes]")
        assert page.page.inner_text("#shown") == "400 of 10000 results.", "the address keeps the filter"
        assert page.trouble == []


@pytest.mark.slow
@pytest.mark.browser
def test_text_of_a_folder_is_never_markup(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=window.hacked=1>\"'"
    content = variation(small(), 0, hostile, hostile)
    content["encoder_parity"]["rows"]["sample-tiny-onnxruntime-f32"].update(verdict=hostile, recipe=hostile)
    out = tmp_path / "site"
    done = report(folder_of(tmp_path, content, variation(small(), 1, hostile)), "-o", out)
    assert done.returncode == 0, done.stderr
    for index in (out / "index.html", out / "models" / "sample-tiny.html"):
        with opened(index) as page:
            assert page.page.evaluate("window.hacked === undefined")
            assert "<img src=x" in page.page.inner_text("main"), "it is shown as what it is"
            assert page.page.locator("img:not([src^='../badges/'])").count() == 0
            assert page.trouble == []
    assert all("<img" not in path.read_text(encoding="utf-8") for path in (out / "badges").glob("*.svg"))
