"""Tests the parts of ``python -m tests.mutation.calibration``: checkpoints are made once, JUnit files are read, tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fixtures.options.checkpoints import NAME
from fixtures.report.docs_blocks import rendered
from tests.mutation.calibration import EMULATED, MRPC, STANDIN, SUBJECTS, Subject, checkpoint, chosen, main
from tests.mutation.calibration_page import alarms, checkpoints, margins, results, write

PAGE = Path("docs/calibration.md")
JUNIT = """<testsuites><testsuite>
<testcase name="test_two_shapes_run[one-onnxruntime-f32]"/>
<testcase name="test_agrees_with_the_reference[one-onnxruntime-f32-single]">
  <properties><property name="logits_db" value="120.5"/><property name="attention_margin" value="7.25"/></properties>
</testcase>
<testcase name="test_agrees_with_the_reference[one-onnxruntime-f32-padded]">
  <properties><property name="logits_db" value="119.5"/><property name="attention_margin" value="9"/></properties>
</testcase>
<testcase name="test_agrees_with_the_reference[one-pytorch-int8_dynamic-padded]">
  <properties><property name="logits_db" value="9.0"/></properties>
  <failure message="AssertionError: one-pytorch-int8_dynamic, padded: logits SQNR 9 dB &lt; 10 dB"/>
</testcase>
<testcase name="test_accuracy_holds[one-tflite-int8_static]"><skipped type="pytest.xfail" message="known"/></testcase>
</testsuite></testsuites>"""


def files(folder: Path, accuracy: float | None) -> tuple[Subject, Path, Path]:
    said, junit = folder / "one.json", folder / "one.xml"
    said.write_text(json.dumps({"accuracy": accuracy}), encoding="utf-8")
    junit.write_text(JUNIT, encoding="utf-8")
    return Subject("one", {"seed": 1}, STANDIN, 3, 5e-4, 2), said, junit


def test_a_failure_of_a_right_build_is_a_false_alarm(tmp_path: Path) -> None:
    found = results([files(tmp_path, 0.8125)])
    assert (found[0].variants, found[0].alarms) == (2, 1)
    table = checkpoints(found)
    assert "seed 1; stand-in, 3 x 0.0005, seed 2" in table
    assert [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]] == ["all 1", "", "-", "2", "4", "1"]
    assert "81.2" in table
    assert alarms(found).startswith("- one, pytorch-int8_dynamic: test_agrees_with_the_reference, one-pytorch")


def test_the_least_margin_of_a_precision_is_told_with_its_owner(tmp_path: Path) -> None:
    lines = margins(results([files(tmp_path, None)])).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "f32",
        "119.5",
        "one, onnxruntime",
        "7.2",
        "one, onnxruntime",
    ]
    assert "least attention_margin" in lines[0]


def test_a_run_that_tested_nothing_is_no_result(tmp_path: Path) -> None:
    subject, said, junit = files(tmp_path, None)
    with pytest.raises(SystemExit, match="has no test of two"):
        results([(Subject("two"), said, junit)])
    assert subject.name == "one"


def test_the_page_has_a_place_for_every_table(tmp_path: Path) -> None:
    found = results([files(tmp_path, 0.5)])
    for emulated in ("", *EMULATED):
        page = tmp_path / "page.md"
        page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
        write(page, found, emulated)
        suffix = f"_{emulated}" if emulated else ""
        marks = {f"{name}{suffix}": lambda: "" for name in ("conditions", "checkpoints", "alarms", "margins")}
        text = page.read_text(encoding="utf-8")
        assert text != rendered(text, marks)
        assert all(f"<!-- {name} -->" in text for name in marks), f"{PAGE} has no place for {sorted(marks)}"


def test_at_least_twelve_are_fine_tuned_as_differently_as_was_asked() -> None:
    trained = [subject for subject in SUBJECTS if subject.data]
    assert len(trained) >= 12
    assert {subject.data for subject in trained} == {MRPC, STANDIN}
    assert {1, 5} <= {subject.epochs for subject in trained}
    assert len({subject.name for subject in SUBJECTS}) == len(SUBJECTS)
    assert all(re.fullmatch(NAME, subject.name) for subject in SUBJECTS)


def test_what_takes_mrpc_is_left_out_without_it_and_large_ones_under_emulation(capsys: pytest.CaptureFixture[str]) -> None:
    names = {subject.name for subject in chosen("small-*,minilm-*", emulated=True, mrpc=None)}
    assert names == {"small-1", "small-2", "small-3"}
    assert "small-4: left out, it takes MRPC" in capsys.readouterr().err
    assert {s.name for s in chosen("minilm-*", emulated=False, mrpc=Path())} == {"minilm-1", "minilm-2", "minilm-3"}


def test_bad_options_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["-o", str(tmp_path / "none.md")], "there is no such page"),
        (["--only", "nothing", "--keep", str(tmp_path), "-o", str(PAGE)], "none of small-1"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


@pytest.mark.backend("pytorch")
def test_a_checkpoint_is_made_once(tmp_path: Path) -> None:
    """An untrained checkpoint is made in seconds, and a second call reuses it."""
    subject = Subject("drawn", {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32})
    made = checkpoint(subject, tmp_path, None)
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert json.loads((tmp_path / "drawn.json").read_text(encoding="utf-8")) == {"accuracy": None}
    assert checkpoint(subject, tmp_path, None) == made
    assert (made / "model.safetensors").stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn", "drawn.json"]
