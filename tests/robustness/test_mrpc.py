"""Tests errors in the user's MRPC files: each gives one sentence with file and line before any test runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.core.errors import SuiteError
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options import mrpc
from fixtures.worker.jobs import mrpc as data
from tests.support.nested import run

HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
GOOD = [f"{i % 2}\t{i}\t{i + 1}\tThe company sold {i} shares .\tOn Monday {i} shares were sold ." for i in range(40)]


def folder(place: Path, train: bytes | str, dev: bytes | str | None = None) -> Path:
    """Writes an MRPC folder with these files, and a good dev.tsv unless another is given."""
    for name, content in (("train.tsv", train), ("dev.tsv", "\n".join([HEADER, *GOOD]) if dev is None else dev)):
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return place


def row_17(row: str) -> str:
    """The text of a file whose 17th line is ``row``."""
    return "\n".join([HEADER, *GOOD[:15], row, *GOOD[15:]]) + "\n"


BAD: dict[str, tuple[bytes | str, str]] = {
    "missing columns": (row_17("1\t3\t4\tOne sentence ."), "line 17: it has 4 columns separated by tabs, the header has 5"),
    "one column more": (row_17(GOOD[3] + "\t?"), "line 17: it has 6 columns separated by tabs, the header has 5"),
    "commas": (row_17("1,3,4,One sentence .,Another ."), "line 17: it has 1 columns separated by tabs, the header has 5"),
    "label not a number": (row_17("yes\t3\t4\tOne .\tTwo ."), "line 17: Quality is 'yes', not 0 or 1"),
    "label 2": (row_17("2\t3\t4\tOne .\tTwo ."), "line 17: Quality is '2', not 0 or 1"),
    "no label": (row_17("\t3\t4\tOne .\tTwo ."), "line 17: Quality is '', not 0 or 1"),
    "empty sentence": (row_17("1\t3\t4\tOne .\t"), "line 17: #2 String is empty"),
    "blank sentence": (row_17("1\t3\t4\t  \tTwo ."), "line 17: #1 String is empty"),
    "Latin-1": (row_17("1\t3\t4\tCaf\xe9 .\tTwo .").encode("latin-1"), "line 17: byte "),
    "UTF-16": ("\n".join([HEADER, *GOOD]).encode("utf-16"), "line 1: byte 0 is not UTF-8"),
    "other header": (row_17("").replace("Quality", "rank"), "line 1: there is no column 'Quality'; the header has 'rank'"),
    "no header and no label": ("\n".join(row[1:] for row in GOOD), "line 1: there is no column '#1 String'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, kind: str) -> None:
    content, sentence = BAD[kind]
    with pytest.raises(SuiteError) as caught:
        mrpc.check(folder(tmp_path, content))
    assert str(caught.value).startswith(f"--mrpc {tmp_path}: train.tsv, {sentence}"), caught.value
    assert str(caught.value).endswith("; mend it, or give GLUE's MRPC as it was published")


@pytest.mark.parametrize(
    ("content", "sentence"), [("", "is empty"), ("\n\n", "is empty"), (f"{HEADER}\n\n", "has a header and no row")]
)
def test_a_file_without_rows_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(SuiteError, match=f": dev.tsv {sentence}; mend it"):
        mrpc.check(folder(tmp_path, row_17(GOOD[0]), content))


def test_the_user_sees_the_sentence_and_nothing_else(tmp_path: Path) -> None:
    found = run("tests", f"--artifacts={tmp_path / 'store'}", f"--mrpc={folder(tmp_path, BAD['label 2'][0])}")
    assert found.returncode == 4
    assert found.stderr.strip() == (
        f"ERROR: --mrpc {tmp_path}: train.tsv, line 17: Quality is '2', not 0 or 1; "
        "mend it, or give GLUE's MRPC as it was published"
    )


@pytest.mark.parametrize("name", [mrpc.ORIGINAL, mrpc.UNLABELLED])
def test_labelled_test_pairs_are_found_and_looked_through(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path, row_17(GOOD[0]))
    assert mrpc.further(place) is None
    (place / name).write_text("\N{ZERO WIDTH NO-BREAK SPACE}" + row_17(GOOD[1]), encoding="utf-8")
    assert mrpc.further(place) == place / name
    mrpc.check(place)
    (place / name).write_text(row_17("2\t3\t4\tOne .\tTwo ."), encoding="utf-8")
    with pytest.raises(SuiteError, match=rf": {name}, line 17: Quality is '2', not 0 or 1; mend it"):
        mrpc.check(place)


def test_glues_own_test_file_has_no_labels_and_is_passed_over(tmp_path: Path) -> None:
    place = folder(tmp_path, row_17(GOOD[0]))
    (place / mrpc.UNLABELLED).write_text("index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tOne .\tTwo .\n", encoding="utf-8")
    assert mrpc.further(place) is None
    mrpc.check(place)
    (place / mrpc.ORIGINAL).write_text(row_17(GOOD[1]), encoding="utf-8")
    assert mrpc.further(place) == place / mrpc.ORIGINAL


def test_quotes_carriage_returns_and_a_byte_order_mark_are_no_fault_and_change_nothing(tmp_path: Path) -> None:
    """Such files pass the check, and the worker process reads the same rows."""
    odd = '1\t3\t4\t"Unbalanced , he said .\tIt\'s 5" long ; NA , null and \N{LINE SEPARATOR} too .'
    text = "\N{ZERO WIDTH NO-BREAK SPACE}" + "\r\n".join([HEADER, odd, "", *GOOD])
    place = folder(tmp_path, text)
    mrpc.check(place)
    out = tmp_path / "out"
    out.mkdir()
    worker = WorkerProcess("data", tmp_path / "log", threads=1)
    try:
        arguments = {"out": str(out), "folder": str(place)}
        made = worker.ask("call", timeout=120, target="fixtures.worker.jobs.mrpc:from_folder", arguments=arguments)
    finally:
        worker.close()
    assert made["value"]["train_rows"] == len(GOOD) + 1
    rows = data.read(out, "train")
    assert rows[0] == (odd.split("\t")[3], odd.split("\t")[4], 1)
    assert [json.dumps(row) for row in rows[1:]] == [
        json.dumps((row.split("\t")[3], row.split("\t")[4], int(row[0]))) for row in GOOD
    ]
