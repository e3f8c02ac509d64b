"""Tests bad files for --compare, --expect-outputs and bench.report: an error of one sentence names the file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fixtures.comparisons import cross_cpu
from fixtures.core.errors import SuiteError
from fixtures.core.machine import this_machine
from fixtures.core.spec import Shape, Variant
from fixtures.options.paths import RECORDING
from fixtures.report.html import runs, write
from fixtures.store.manifest import MANIFEST
from fixtures.timing.saved_run import SavedRun
from tests.support.folders import artifact
from tests.support.mutations import NO_JSON, changed, documents
from tests.support.reports import report, small

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
VARIANT = Variant("sample", "tiny", "onnxruntime", "f32")
BASE = Variant("sample", "tiny", "pytorch", "f32")


def refusal(make: Callable[[], object]) -> str | None:
    """The message of the error that ``make`` raises, or None; an exception of another type fails the test."""
    try:
        make()
    except SuiteError as error:
        return str(error)
    return None


def page(file: Path) -> None:
    """Does what ``python -m bench.report`` does, without the pictures."""
    write.render(write.page(runs.read_all([file])))


def test_the_small_file_is_a_whole_run(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(small()), encoding="utf-8")
    found = write.page(runs.read_all([file]))
    assert len(found.charts()) >= 8
    seconds = SavedRun.read(file, this_machine()).ratio(VARIANT, BASE, (1, 1, 128))[0]
    assert seconds.estimate == pytest.approx(0.5, rel=0.1)


@examples(max_examples=30, suppress_health_check=CHECKS)
@given(made=documents(small()))
def test_a_file_is_shown_or_refused_by_its_name(tmp_path: Path, made: bytes) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(made)
    said = refusal(lambda: page(file))
    assert said is None or (said.startswith(f"{file}: ") and "\n" not in said)


@examples(max_examples=8, suppress_health_check=CHECKS)
@given(made=documents(small(), most=3))
def test_so_is_one_of_several(tmp_path: Path, made: bytes) -> None:
    """The same for a history of three runs, one of which is changed."""
    (tmp_path / "a.json").write_text(json.dumps(small()), encoding="utf-8")
    (tmp_path / "b.json").write_bytes(made)
    later = changed(small(), [(("datetime",), "set", "2026-02-02T03:04:05")])
    (tmp_path / "c.json").write_text(json.dumps(later), encoding="utf-8")
    said = refusal(lambda: page(tmp_path))
    assert said is None or said.startswith(f"{tmp_path / 'b.json'}: ")


@examples(max_examples=400, suppress_health_check=CHECKS)
@given(made=documents({name: value for name, value in small().items() if name != "encoder_parity"}))
def test_a_stored_run_is_compared_with_or_refused_by_its_name(tmp_path: Path, made: bytes) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(made)

    def compare() -> None:
        ratio, trouble = SavedRun.read(file, this_machine()).ratio(VARIANT, BASE, (1, 1, 128))
        assert 0 < ratio.low <= ratio.high or (trouble is not None and ratio.high == math.inf)
        str(ratio)

    said = refusal(compare)
    assert said is None or said.startswith(f"--compare {file}: ")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A folder of --save-outputs with one recording."""
    shape = Shape(2, 2, 128, 512, 1000, 64, 0, ("input_ids", "attention_mask"))
    arrays = {"logits": np.ones((2, 2)), "last_hidden_state": np.ones((2, 3, 4))}
    inputs = {"input_ids": np.ones((2, 3), np.int64), "attention_mask": np.ones((2, 3), np.int64)}
    cross_cpu.save(
        tmp_path / "saved",
        VARIANT,
        artifact(tmp_path / "built", VARIANT.id),
        shape,
        this_machine(),
        {},
        inputs=inputs,
        outputs=arrays,
        layers={},
    )
    return tmp_path / "saved"


@examples(max_examples=300, suppress_health_check=CHECKS)
@given(data=st.data())
def test_a_recording_is_expected_or_refused_by_its_folder(recording: Path, data: st.DataObject) -> None:
    folder = recording / VARIANT.id
    name = data.draw(st.sampled_from((RECORDING, f"artifact/{MANIFEST}", "inputs.npz", "outputs.npz")))
    good = (folder / name).read_bytes()
    cut = data.draw(st.integers(0, 999))
    made = good[: len(good) * cut // 1000] if name.endswith("npz") else data.draw(documents(json.loads(good)))

    def expect() -> None:
        found = cross_cpu.read(recording, VARIANT)
        outputs, inputs = found.arrays("outputs"), found.arrays("inputs")
        cross_cpu.difference(outputs, outputs, inputs["attention_mask"], 60)

    (folder / name).write_bytes(made)
    try:
        said = refusal(expect)
        cross_cpu.recorded_on(folder)
    finally:
        (folder / name).write_bytes(good)
    assert said is None or (said.startswith(f"--expect-outputs {recording}: the recording of {VARIANT.id} is damaged"))
    assert refusal(expect) is None


def test_the_command_says_so_and_writes_nothing(tmp_path: Path) -> None:
    """``python -m bench.report`` on files that are not runs exits with 2 and one line, and writes nothing."""
    file, out = tmp_path / "a\nb.json", tmp_path / "out"
    for made in (NO_JSON[6], NO_JSON[-2], NO_JSON[-1]):
        file.write_bytes(made)
        found = report(file, "-o", out)
        assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
        assert found.stderr.startswith(f"error: {tmp_path}/a\\nb.json: it is damaged or no JSON")
        assert not out.exists()
    for arguments in (("~nobody-of-this-name/x.json", "-o", out), ("x" * 300, "-o", out), (file, "-o", "x" * 300), (tmp_path,)):
        found = report(*arguments)
        assert found.returncode == 2, found.stderr
        assert "Traceback" not in found.stderr
        assert "error: " in found.stderr
    assert not out.exists()
