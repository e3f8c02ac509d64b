"""Tests the forms that people have MRPC's rows in: other separators, quotes, names, labels, folders and files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from fixtures.core.errors import SuiteError
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options import mrpc
from fixtures.worker.jobs import mrpc as data
from fixtures.worker.jobs import mrpc_files
from tests.robustness.test_mrpc import HEADER, folder

ONE, TWO = "The company said it sold 5 shares .", "On Monday , shares were sold ."
ROWS = [(ONE, f"{TWO} {i}", i % 2) for i in range(16)]
HARD = [('He said " no " .', "A, B; C", 1), ('"', "17", 0), ("true", "1e5", 1), ("null", "", 0)]


def written(separator: str, rows: list[tuple[str, str, int]], header: str = HEADER, quoting: int = csv.QUOTE_MINIMAL) -> str:
    """A file as pandas writes it; ids are text, and empty in every other row."""
    made = io.StringIO()
    writer = csv.writer(made, delimiter=separator, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    names = header.split("\t")
    writer.writerow(names)
    for i, (first, second, label) in enumerate(rows):
        columns = {"label": label, "quality": label, "sentence1": first, "#1 string": first}
        columns |= {"sentence2": second, "#2 string": second}
        writer.writerow([columns.get(name.strip().lower(), "" if i % 2 else f"id {i}") for name in names])
    return made.getvalue()


def labelled(labels: tuple[str, str]) -> str:
    return "\n".join([HEADER, *(f"{labels[label]}\t1\t2\t{first}\t{second}" for first, second, label in ROWS)])


#: Files that people have, each with ROWS.
FORMS: dict[str, str] = {
    "as published": labelled(("0", "1")),
    "commas": written(",", ROWS),
    "semicolons": written(";", ROWS, "label\tsentence1\tsentence2"),
    "columns of the hub": written("\t", ROWS, "sentence1\tsentence2\tlabel\tidx"),
    "lower case": written("\t", ROWS, HEADER.lower()),
    "spaces in the header": written("\t", ROWS, " Quality \t#1 ID\t#2 ID\t #1 String\t#2 String "),
    "a mark before the header": written("\t", ROWS, HEADER).replace("Quality", "#Quality", 1),
    "every field in quotes": written("\t", ROWS, quoting=csv.QUOTE_ALL),
    "words": labelled(("not_equivalent", "equivalent")),
    "truths": labelled(("False", "True")),
    "floats": labelled(("0.0", "1.0")),
    "quoted labels": labelled(('"0"', '"1"')),
    "no header": labelled(("0", "1")).split("\n", 1)[1],
    "three columns, no header": "\n".join(f"{a}\t{b}\t{label}" for a, b, label in ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_people_have_is_read_as_the_same_rows(tmp_path: Path, form: str) -> None:
    mrpc.check(folder(tmp_path, FORMS[form], FORMS[form]))
    assert mrpc_files.read(tmp_path / "train.tsv") == ROWS


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_quotes_of_csv_are_not_the_sentences(tmp_path: Path, separator: str) -> None:
    """pandas doubles quotes and quotes fields with one; numbers and ``true`` stay text; lines may end inside quotes."""
    rows = [*ROWS, *HARD[:3], ("It ended\nhere .", "It\tdid .", 0)]
    (tmp_path / "rows.tsv").write_text(written(separator, rows), encoding="utf-8", newline="")
    assert mrpc_files.read(tmp_path / "rows.tsv") == rows
    (tmp_path / "rows.tsv").write_text(written(separator, [*rows, HARD[3]]), encoding="utf-8", newline="")
    with pytest.raises(mrpc_files.Malformed, match=r", line 23: #2 String is empty"):
        mrpc_files.read(tmp_path / "rows.tsv")


def test_quotes_of_sentences_stay_in_published_files(tmp_path: Path) -> None:
    """GLUE's files are not quoted: a sentence may begin and end with a quote, have one, or none that closes."""
    rows = [('" I agree . "', '"Unbalanced , he said .', 1), ('It is 5" long .', 'He said : " no "', 0), *ROWS]
    closed = [('" I agree . "', 'He said : " no "', 0), *ROWS]
    for published in (rows, closed):
        lines = (f"{label}\t1\t2\t{first}\t{second}" for first, second, label in published)
        (tmp_path / "rows.tsv").write_text("\n".join([HEADER, *lines]), encoding="utf-8")
        assert mrpc_files.read(tmp_path / "rows.tsv") == published


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:1], " has 1 rows, fewer than the 16 that are needed"),
        (ROWS[:3], " has 3 rows, fewer than the 16 that are needed"),
        (ROWS[1::2] * 2, " has only rows with the label 1, so that no accuracy on it says anything"),
    ],
)
def test_too_few_rows_or_one_label_are_refused(tmp_path: Path, rows: list[tuple[str, str, int]], said: str) -> None:
    with pytest.raises(SuiteError) as refused:
        mrpc.check(folder(tmp_path, FORMS["commas"], written("\t", rows)))
    assert str(refused.value) == f"--mrpc {tmp_path}: dev.tsv{said}; mend it, or give GLUE's MRPC as it was published"


def test_the_folder_may_be_glues_and_the_names_the_originals(tmp_path: Path) -> None:
    inner = tmp_path / "MRPC"
    inner.mkdir()
    folder(inner, FORMS["as published"], FORMS["words"])
    assert mrpc.files(tmp_path) == {"train": inner / "train.tsv", "dev": inner / "dev.tsv"}
    original = tmp_path / "original"
    original.mkdir()
    for split in ("train", "test"):
        (original / f"msr_paraphrase_{split}.txt").write_text(FORMS["as published"], encoding="utf-8-sig")
    assert mrpc.files(original) == {s: original / f"msr_paraphrase_{t}.txt" for s, t in (("train", "train"), ("dev", "test"))}
    mrpc.check(original)
    with pytest.raises(SuiteError, match=r"there is no train\.tsv; give the folder with GLUE's MRPC"):
        mrpc.files(tmp_path / "none")


def test_parquet_files_of_the_hub_are_read_in_a_worker_process(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    names = {"train": "train-00000-of-00001.parquet", "dev": "validation-00000-of-00001.parquet"}
    columns = dict(zip(("sentence1", "sentence2", "label"), map(list, zip(*ROWS, strict=True)), strict=True))
    for name in names.values():
        pyarrow.parquet.write_table(pyarrow.table({**columns, "idx": list(range(16))}), tmp_path / name)
    mrpc.check(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    worker = WorkerProcess("parquet", tmp_path / "log", threads=1)
    try:
        arguments = {"out": str(out), "folder": str(tmp_path)}
        worker.ask("call", timeout=120, target="fixtures.worker.jobs.mrpc:from_folder", arguments=arguments)
    finally:
        worker.close()
    assert data.read(out, "train") == data.read(out, "dev") == ROWS
    (tmp_path / names["dev"]).write_bytes((tmp_path / names["dev"]).read_bytes()[:-1])
    with pytest.raises(SuiteError, match=rf"{names['dev']} is no Parquet file or was cut short: copy it again; mend it"):
        mrpc.check(tmp_path)
