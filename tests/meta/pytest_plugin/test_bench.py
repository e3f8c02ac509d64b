"""Tests the benchmarks as a user runs them, on a tiny model: comparisons, the gate, the grid, profiles, claims."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from fixtures.harness.harness import Harness
from tests.support.nested import run

#: These tests run bench/, which takes minutes.
pytestmark = pytest.mark.slow

Bench = Callable[..., CompletedProcess[str]]


@pytest.fixture
def bench(harness: Harness) -> Bench:
    """``bench(...)`` runs ``pytest bench`` on BERT's tiny size with this session's artifacts."""

    def call(*arguments: str, models: str = "bert-base-uncased", **environment: Any) -> CompletedProcess[str]:
        own = ("--size=tiny", f"--models={models}", f"--artifacts={harness.store.root}", "--seq-len=32")
        return run("bench", *own, *arguments, **environment)

    return call


def figures(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_a_variant_that_is_slower_fails_the_gate_and_one_that_is_faster_passes(bench: Bench, tmp_path: Path) -> None:
    """On a tiny model, eager PyTorch is several times slower than ONNX Runtime, even on a busy machine."""
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    options = ("--precisions=f32", "--fail-if-slower=20%", "--max-seconds=60")
    slow = bench("--backends=pytorch", "--compare=onnxruntime-f32", *options, f"--junitxml={junit}", f"--summary={summary}")
    if "can't tell" not in slow.stdout:  # the correct verdict on a busy machine
        assert slow.returncode == 1, slow.stdout[-3000:]
        assert "is slower than bert-base-uncased-tiny-onnxruntime-f32" in slow.stdout
        assert 'value="slower"' in junit.read_text(encoding="utf-8")
        assert "| slower" in summary.read_text(encoding="utf-8")
    assert "A/A, bert-base-uncased-tiny-onnxruntime-f32 beside itself: " in slow.stdout
    quick = bench("--backends=onnxruntime", "--compare=pytorch-f32", *options)
    assert quick.returncode == 0, quick.stdout[-3000:]


def test_the_same_file_and_versions_in_another_python_are_identical_and_not_measured(bench: Bench, tmp_path: Path) -> None:
    """The same interpreter under another path has the same artifact and packages, so nothing is measured."""
    stored = tmp_path / "run.json"
    found = bench(
        "--backends=onnxruntime", "--precisions=f32", "-k=not opset11", f"--compare={sys.executable}", "--fail-if-slower=5%",
        f"--benchmark-json={stored}",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    assert "onnxruntime 1." in found.stdout
    row = figures(stored)["encoder_parity"]["rows"]["bert-base-uncased-tiny-onnxruntime-f32"]
    assert (row["gate"], row.get("ratio"), row.get("processes")) == ("identical", None, None)
    assert figures(stored)["encoder_parity"]["sanity"] == [], "nothing was measured"


def test_without_a_gate_there_is_no_verdict(bench: Bench, tmp_path: Path) -> None:
    stored = tmp_path / "run.json"
    found = bench(
        "--backends=onnxruntime", "--precisions=f32", "-k=opset11", "--compare=onnxruntime-f32", "--max-seconds=5",
        f"--benchmark-json={stored}",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    content = figures(stored)["encoder_parity"]
    row = content["rows"]["bert-base-uncased-tiny-onnxruntime-f32-opset11"]
    assert (content["gate"], row.get("gate"), content["sanity"]) == (None, None, [])
    assert row["processes"] >= 1
    lines = [line for line in found.stdout.splitlines() if line.startswith(("| variant", "| bert-base-uncased-tiny"))]
    assert not any(word in line for line in lines for word in ("verdict", "slower", "can't tell")), lines


def test_a_stored_run_is_compared_by_ratios_and_never_fails(bench: Bench, tmp_path: Path) -> None:
    """If a stored run says that the variant was a hundred times as fast, the verdict is can't tell, with the figure."""
    stored = tmp_path / "before.json"
    first = bench(
        "--backends=onnxruntime,pytorch", "--precisions=f32", "-k=test_latency and not opset11", f"--benchmark-json={stored}"
    )
    assert first.returncode == 0, first.stdout[-3000:]
    names = {case["extra_info"]["variant"]["id"] for case in figures(stored)["benchmarks"]}
    assert names == {"bert-base-uncased-tiny-onnxruntime-f32", "bert-base-uncased-tiny-pytorch-f32"}

    other = figures(stored)
    for case in other["benchmarks"]:
        info = case["extra_info"]
        factor = 0.01 if "onnxruntime" in info["variant"]["id"] else 1.0
        info["visits"] = [{"median_ms": factor * luck * info["median_ms"]} for luck in (0.99, 1.0, 1.01)]
        info["unstable"] = None
    stored.write_text(json.dumps(other), encoding="utf-8")
    again = bench(
        "--backends=onnxruntime",
        "--precisions=f32",
        "-k=not opset11",
        f"--compare={stored}",
        "--fail-if-slower=20%",
        "--max-seconds=60",
    )
    assert again.returncode == 0, again.stdout[-3000:]
    assert "before.json (both in units of bert-base-uncased-tiny-pytorch-f32)" in again.stdout
    assert "can't tell" in again.stdout

    other["machine_info"]["encoder_parity"]["cpu"] = "another CPU"
    stored.write_text(json.dumps(other), encoding="utf-8")
    refused = bench("--backends=onnxruntime", "--precisions=f32", f"--compare={stored}")
    assert refused.returncode == 4
    assert "it was measured on another CPU, this is" in refused.stderr


def test_what_nobody_can_be_compared_with(bench: Bench) -> None:
    found = bench("--backends=onnxruntime", "--precisions=f32", "--compare=nonsense")
    assert found.returncode == 4
    assert (
        "--compare nonsense: no variant, no checkout, no Python (path, folder or tox environment) and no .json" in found.stderr
    )
    assert bench("--fail-if-slower=5%").returncode == 4


def test_rows_are_timed_in_three_passes_and_shown(bench: Bench, tmp_path: Path) -> None:
    """The figures are in the JSON and in the tables of terminal and page, with what padding to the maximum costs."""
    found = bench(
        "-k=rows and not opset11", "--backends=onnxruntime,tensorflow_xla", "--precisions=f32", f"--report={tmp_path}",
        f"--benchmark-json={tmp_path / 'rows.json'}",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    content = figures(tmp_path / "rows.json")
    rows = {name: row["throughput"] for name, row in content["encoder_parity"]["rows"].items()}
    one, static = (rows[f"bert-base-uncased-tiny-{backend}-f32"] for backend in ("onnxruntime", "tensorflow_xla"))
    assert (one["static"], static["static"]) == (False, True)
    for figure in (one, static):
        assert (figure["batch"], figure["longest"]) == (32, 128)
        assert 2 * 32 <= figure["samples"]["sorted"] == figure["samples"]["unsorted"] <= 256
        assert set(figure["per_second"]) == set(figure["padding"]) == {"unsorted", "sorted", "maximum"}
        assert 0 < figure["padding"]["sorted"] <= figure["padding"]["unsorted"] <= figure["padding"]["maximum"] < 1
        assert figure["tokenised_per_second"] > 0
    (case,) = [case for case in content["benchmarks"] if case["extra_info"]["rows_of"]["backend"] == "onnxruntime"]
    rates, extra = one["per_second"], case["extra_info"]
    assert extra["maximum_costs"] == pytest.approx(rates["unsorted"] / rates["maximum"])
    assert sorted(case["stats"]["data"]) == pytest.approx(sorted(extra["seconds"]["unsorted"]))
    shown = html.unescape((tmp_path / "index.html").read_text(encoding="utf-8"))
    for text in (found.stdout, shown):
        assert "task rows: samples a second on evaluated rows of stand-in in batches of 32" in text
        assert "bert-base-uncased-tiny: padding to 128 tokens costs " in text


def test_grid_profiles_and_claims_run_on_request_only(bench: Bench, tmp_path: Path) -> None:
    """``-m`` selects grid, profiles and claims, here in one call; a plain ``pytest bench`` runs none of them."""
    plain = bench("--collect-only", "-q")
    assert not [
        line for line in plain.stdout.splitlines() if "::" in line and any(w in line for w in ("grid", "claim", "profile"))
    ]

    stored = tmp_path / "run.json"
    found = bench(
        "-m", "grid or profile or claims", "--backends=onnxruntime", "--precisions=f32", "--threads=1",
        "-k", "(test_grid or test_profile) and not opset11 or size-bert-onnx or plain-onnx-slower-on-arm",
        f"--traces={tmp_path}", f"--benchmark-json={stored}",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    got = figures(stored)["encoder_parity"]
    cells = {(cell["batch"], cell["sequence_length"]) for cell in got["grid"]}
    assert {(1, 8), (8, 32), (32, 512)} <= cells
    assert {"MatMul", "LayerNormalization"} <= set(got["profile"][0]["seconds"])
    assert json.loads((tmp_path / "bert-base-uncased-tiny-onnxruntime-f32.json").read_text(encoding="utf-8"))
    assert {claim["word"] for claim in got["claims"]} == {"inconclusive", "other platform"}, "a tiny model has no such size"
    assert "us a token" in found.stdout


def test_tensorflow_shows_its_operations(bench: Bench, tmp_path: Path) -> None:
    """TensorFlow's profile is read from its own file format; XLA's has no operations and is not requested."""
    stored = tmp_path / "run.json"
    found = bench(
        "-m=profile", "--backends=tensorflow,tensorflow_xla", "--precisions=f32", "-k=not default",
        f"--traces={tmp_path}", f"--benchmark-json={stored}",
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    (profile,) = figures(stored)["encoder_parity"]["profile"]
    assert any("MatMul" in operation for operation in profile["seconds"])


def test_a_failure_says_figure_and_bound_in_every_table(bench: Bench, tmp_path: Path) -> None:
    """If three tests of a variant fail, terminal, JSON, Markdown and page show figure and bound of the first one.

    The outputs of the variant are rounded to float16.
    """
    found = bench(
        "tests/conformance/test_agreement.py", "--backends=pytorch", "--precisions=f32",
        "-k=fault_half_outputs and (test_quality or test_agrees)", f"--benchmark-json={tmp_path / 'run.json'}",
        f"--summary={tmp_path / 'summary.md'}", f"--report={tmp_path / 'page'}",
        ENCODER_PARITY_PLUGINS="tests.mutation.faults.plugin",
    )  # fmt: skip
    assert "3 failed" in found.stdout, found.stdout[-3000:]
    (row,) = figures(tmp_path / "run.json")["encoder_parity"]["rows"].values()
    figure = r"FAILED: layer \d feed-forward: the (median|worst) (position|channel) \d\d\.\d dB < 1\d\d\.\d dB.*\(and \d more\)"
    assert re.fullmatch(figure, row["verdict"]), row["verdict"]
    verdict = row["verdict"].partition(";")[0]
    for where in (found.stdout, *(path.read_text(encoding="utf-8") for path in (tmp_path / "summary.md", *_pages(tmp_path)))):
        assert verdict in html.unescape(where).replace("\\", "")


def _pages(folder: Path) -> list[Path]:
    return [folder / "page" / "index.html", folder / "page" / "summary.md"]
