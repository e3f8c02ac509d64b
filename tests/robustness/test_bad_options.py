"""Tests every option with bad values: each gives an error of one sentence, or settings that can be used."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fixtures.comparisons.comparison import Baseline
from fixtures.core.errors import SuiteError, one_line
from fixtures.core.registry import REGISTRY
from fixtures.harness.harness import Harness
from fixtures.options.settings import GROUP, Settings, read_settings
from tests.support.nested import run

#: Names of a file, a folder and a missing path in the folder in which options are read.
FILE, FOLDER, MISSING, LOCKED, LOOP = PLACES = ("a-file", "a-folder", "not-there", "a-file/below", "a-loop")
ODD = (
    "", " ", ",", ", ,", "=", "==", "a=", "=b", "a=b", "-", "--", "%", "5%", "nan", "nan%", "inf", "-inf", "1e400", "-1",
    "0", "1", "4097", "1.5", "9" * 400, "9" * 5000, "x" * 300, "x" * 5000, "a/" * 3000, "\n", "a\nb", "\x00", "a\x00b",
    "\x1b[31mred", "é", "\udcff", "💥", "None", "*", "[", "~nobody-of-this-name", "tiny", "minilm-l6,minilm-l6",
    "minilm-l6, bert-base-cased", "pytorch", "f32", "onnxruntime-f32", "minilm-l6=a-file", "minilm-l6=a-folder",
    "minilm-l6=\x00", "new=a-folder", "no.json", "a-file.json", "cortex-a72", "@", "$HOME", *PLACES,
    *(f"./{name}" for name in PLACES), *(f"minilm-l6={name}" for name in PLACES), "/dev/null", "/dev/null/x",
    "/proc/self/mem",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_characters="/~.", codec=None), max_size=12)


def options(config: pytest.Config) -> list[argparse.Action]:
    """The options of the suite, as this run's parser has them."""
    parser = config._parser.optparser
    return next(list(group._group_actions) for group in parser._action_groups if group.title == GROUP)


@pytest.fixture
def reading(pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Settings]:
    """``reading(arguments)`` returns the settings of a command line in a folder with the PLACES, or raises UsageError."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(REGISTRY, "models", dict(REGISTRY.models))
    for name in os.environ:
        if name.startswith("ENCODER_PARITY_"):
            monkeypatch.delenv(name)
    (tmp_path / FILE).touch()
    (tmp_path / f"{FILE}.json").write_text("{}", encoding="utf-8")
    (tmp_path / FOLDER).mkdir()
    (tmp_path / LOOP).symlink_to(LOOP)
    group = options(pytestconfig)

    def read(arguments: list[str]) -> Settings:
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        for option in group:
            parser._add_action(option)
        found = vars(parser.parse_args(arguments))
        config = argparse.Namespace(args=[], getoption=lambda name: found[name.removeprefix("--").replace("-", "_")])
        return read_settings(config, cores=2, workers=1)  # type: ignore[arg-type]

    return read


def names(config: pytest.Config) -> list[str]:
    """The names of options that take a value."""
    return [option.option_strings[0] for option in options(config) if option.nargs != 0]


def refusal(make: Callable[[], object]) -> str:
    """The message of the usage error that ``make`` raises, or ""; an exception of another type fails the test."""
    try:
        make()
    except (pytest.UsageError, argparse.ArgumentError, SuiteError) as error:
        return str(error)
    return ""


def is_one_sentence(text: str) -> bool:
    """True for one line of 10 to 1300 characters, and for argparse's own messages, which quote the given value."""
    return text.startswith("argument --") or (10 < len(text) < 1300 and text.isprintable())


@examples(max_examples=1500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_values_of_any_two_options_are_more_than_a_sentence(
    pytestconfig: pytest.Config, reading: Callable[[list[str]], Settings], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(names(pytestconfig)), min_size=1, max_size=2))
    said = refusal(lambda: reading([f"{name}={data.draw(st.sampled_from(ODD) | TEXT)}" for name in chosen]))
    assert not said or is_one_sentence(said), repr(said)
    for path in Path.cwd().iterdir():
        if path.is_dir() and not path.is_symlink() and path.name != FOLDER:
            shutil.rmtree(path)  # --report makes its folder


def test_every_option_is_tried_with_every_odd_value(
    pytestconfig: pytest.Config, reading: Callable[[list[str]], Settings]
) -> None:
    known = names(pytestconfig)
    assert len(known) >= 20, "the group was found"
    for argument in (f"{name}={value}" for name in known for value in ODD):
        said = refusal(lambda argument=argument: reading([argument]))  # type: ignore[misc]
        assert not said or is_one_sentence(said), f"{argument[:60]!r}: {said!r}"


@examples(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.sampled_from(ODD) | TEXT)
def test_anything_may_be_compared_with(harness: Harness, reading: Callable[[list[str]], Settings], text: str) -> None:
    """Any value of ``--compare`` is accepted or refused in one line (the plugin prints it with ``one_line``)."""
    said = refusal(lambda: Baseline(text, harness))
    assert not said or is_one_sentence(one_line(said)), repr(said)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--models=bert-huge",), "--models: there is no 'bert-huge'; choose from bert-base-cased"),
        (("--backends=tvm",), "--backends: there is no 'tvm'; choose from"),
        (("--precisions=int3",), "--precisions: there is no 'int3'; choose from f64"),
        (("--mrpc=/nowhere",), "--mrpc /nowhere: there is no train.tsv"),
        (("--checkpoint=minilm-l6",), "write NAME=PATH_OR_HUB_ID"),
        (("--checkpoint=minilm-l6=./nowhere",), "has no config.json"),
        (("--checkpoint=new=some/hub-id",), "no model 'new'"),
        (("--seq-len=0",), "--seq-len: 0: give a number from 1 to 65536"),
        (("--threads=-1",), "--threads: -1: give a number from 1"),
        (("--artifacts-limit=nan",), "--artifacts-limit: nan: give the most GiB to keep, 0 or more"),
        (("--max-seconds=nan",), "--max-seconds/--budget: nan: give seconds, more than 0"),
        (("--accuracy-margin=nan",), "--accuracy-margin: nan: give a share such as 5% or 0.05"),
        (("--accuracy-margin=-1%",), "--accuracy-margin: -1%: give a share such as 5% or 0.05"),
        (("--accuracy-margin=101%",), "--accuracy-margin: 101%: nothing loses more than all; give a share such as 1% or 0.01"),
        (("--models=,",), "--models ',': it names none; choose from"),
        (("--traces={file}",), "{file} is a file; give a folder"),
        (("--save-outputs={file}",), "{file} is a file; give a folder"),
        (("--save-outputs={file}/below",), "it is no path that can be used here (Not a directory)"),
        (("--mrpc={file}",), "--mrpc {file}: it is no folder; give the one with GLUE's MRPC train.tsv and dev.tsv"),
        (("--expect-outputs={file}",), "there is no recording; give the folder of a run with --save-outputs"),
        (("--summary={folder}",), "it is a folder; give a file"),
        (("--report=~nobody-of-this-name",), "it is no path that can be used here"),
        (("--artifacts=" + "x" * 300,), "it is no path that can be used here (File name too long)"),
        (("--compare=" + "x" * 300,), "no variant, no checkout, no Python (path, folder or tox environment) and no .json"),
        (("--run-python=a\nb",), "--run-python a\\nb: no Python (path, folder or tox environment)"),
        (("--stack-python=a\x1b[31mb",), "--stack-python a\\x1b[31mb: no Python"),
        (("--checkpoint=a=b", "--checkpoint=minilm-l6={folder}"), "no model 'a' and no folder"),
    ],
)
def test_what_is_said(
    reading: Callable[[list[str]], Settings], harness: Harness, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    places = {"file": str(tmp_path / FILE), "folder": str(tmp_path / FOLDER)}
    given_ = [text.format(**places) for text in arguments]
    said = refusal(lambda: Baseline(reading(given_).comparing.against or "", harness))
    assert sentence.format(**places) in said


def test_the_terminal_shows_the_sentence_and_nothing_else(tmp_path: Path) -> None:
    """Real runs exit with code 4 and one line (argparse's errors have two more lines, with the files that it read)."""
    (tmp_path / FILE).touch()
    for arguments, lines, sentence in (
        ((f"--save-outputs={tmp_path / FILE}",), 1, "is a file; give a folder"),
        ((f"--mrpc={tmp_path / FILE}",), 1, "it is no folder"),
        (("--artifacts=/dev/null",), 1, "cannot write artifacts to /dev/null: Not a directory"),
        (("--compare=a\nb",), 1, "no variant, no checkout"),
        ((f"--compare={tmp_path / FILE}.json",), 1, ""),
        (("--artifacts-limit=much",), 4, "much: give the most GiB to keep, 0 or more"),
    ):
        found = run("bench", "--collect-only", "-q", f"--artifacts={tmp_path / 'store'}", *arguments)
        assert found.returncode == 4, found.stdout + found.stderr
        assert "ERROR: " in found.stderr or "error: " in found.stderr
        assert sentence in found.stderr
        assert found.stderr.strip().count("\n") < lines, found.stderr
        assert not {word for word in ("Traceback", "INTERNALERROR") if word in found.stdout + found.stderr}


def test_options_keep_their_older_names(reading: Callable[[list[str]], Settings]) -> None:
    """Older names of options still work, so that existing scripts do."""
    older = reading(["--against=onnxruntime-f32", "--gate=5%", "--budget=7"]).comparing
    newer = reading(["--compare=onnxruntime-f32", "--fail-if-slower=5%", "--max-seconds=7"]).comparing
    assert older == newer
    assert older.gate == 0.05
    assert reading(["--against=x", "--within=3%"]).comparing == reading(["--compare=x", "--ci-width=3%"]).comparing
    python = sys.executable
    assert reading([f"--on={python}"]).on == reading([f"--run-python={python}"]).on == Path(python)
    assert reading([f"--interpreter={python}"]).interpreter == reading([f"--stack-python={python}"]).interpreter
