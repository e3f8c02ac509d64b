"""Tests the folder of results: what is appended, by one process or several, and what damaged or foreign files give."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures.core.errors import SuiteError
from fixtures.report.history import store
from fixtures.report.history.database import Database
from fixtures.report.history.table import schema, table
from fixtures.report.html import runs
from fixtures.store.source_code import ROOT
from tests.support.nested import run
from tests.support.reports import small
from tests.support.results import folder_of, results, variation, write


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    """Files of four runs on three days; two have the same date."""
    contents = [variation(small(), day=day, cpu=cpu) for day, cpu in ((0, "One"), (0, "Two"), (1, "One"), (2, "One"))]
    return [write(content, tmp_path / f"{number}.json") for number, content in enumerate(contents)]


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_order_and_number_of_appends_do_not_matter(days: list[Path], tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    for path in days:
        store.append(runs.read(path), str(once))
    shuffled = [*days, *days, days[1]]
    random.Random(0).shuffle(shuffled)  # noqa: S311
    for path in shuffled:
        store.append(runs.read(path), str(again))
    assert contents_of(once) == contents_of(again)
    assert len(contents_of(once)) == 4
    assert {path.name for path in once.iterdir()} == {"date=2026-01-02", "date=2026-01-03", "date=2026-01-04"}


def test_the_layout_of_the_json_does_not_make_another_run(days: list[Path], tmp_path: Path) -> None:
    content = json.loads(days[0].read_text(encoding="utf-8"))
    other = tmp_path / "indented.json"
    other.write_text(json.dumps(dict(reversed(content.items())), indent=4), encoding="utf-8")
    assert runs.read(other).digest == runs.read(days[0]).digest
    assert runs.read(days[1]).digest != runs.read(days[0]).digest


def test_every_figure_of_a_run_is_a_row(tmp_path: Path) -> None:
    """Figures keep their names, intervals and verdicts; shapes on request have a setting of their own."""
    made = runs.read(write(small(), tmp_path / "run.json"))
    found = table(made).to_pylist()
    assert table(made).schema == schema()
    mine = {row["metric"]: row for row in found if row["variant"] == "sample-tiny-onnxruntime-f32" and row["part"] == "variant"}
    assert (mine["flips"]["value"], mine["flips"]["low"], mine["flips"]["high"]) == (0.01, 0.003, 0.025)
    assert (mine["accuracy_loss"]["word"], mine["ratio"]["word"]) == ("inconclusive", "not slower")
    assert (mine["f1_loss"]["low"], mine["accuracy"]["value"], mine["f1"]["value"]) == (-0.01, 0.8, 0.85)
    assert mine["throughput.per_second.sorted"]["value"] == 1200.0
    assert mine["holds"]["value"] == 0.0, "a known failure"
    assert (mine["size_mib"]["unit"], mine["logits_db"]["unit"], mine["median_ms"]["unit"]) == ("MiB", "dB", "ms")
    shapes = {(row["batch"], row["sequence_length"]) for row in found if row["part"] == "grid"}
    assert shapes == {(batch, length) for batch in (1, 8) for length in (8, 32, 128)}
    assert {row["model"] for row in found} == {"sample"}
    assert {row["size"] for row in found} == {"tiny"}


def test_a_kill_in_the_middle_leaves_no_half_file(days: list[Path], tmp_path: Path) -> None:
    """A process that appends all the time is killed at many moments: whatever is there is whole, and nothing else is read."""
    import pyarrow.parquet as pq

    folder = tmp_path / "results"
    program = (
        "import sys, pathlib\nfrom fixtures.report.html import runs\nfrom fixtures.report.history import store\n"
        "read = [runs.read(pathlib.Path(p)) for p in sys.argv[2:]]\nprint('ready', flush=True)\n"
        "while True:\n    for run in read: store.append(run, sys.argv[1])\n"
    )
    for moment in (0.0, 0.003, 0.01, 0.03):
        command = [sys.executable, "-c", program, str(folder), *map(str, days)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(moment)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        for path in folder.rglob("*.parquet"):
            assert pq.read_table(path).num_rows > 0
    for path in days:
        store.append(runs.read(path), str(folder))
    assert Database(str(folder)).ask("SELECT count(DISTINCT run) FROM results").rows == [(4,)]
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".parquet"}, "what was left behind is removed"


def test_only_what_a_killed_process_left_is_removed(days: list[Path], tmp_path: Path) -> None:
    """A file under construction is never read, stays while its writer lives, and goes with the next run that is added."""
    folder = tmp_path / "results"
    store.append(runs.read(days[0]), str(folder))
    program = (
        "import pathlib, sys\nfrom fixtures.report.history import unfinished\n"
        "with unfinished.created(pathlib.Path(sys.argv[1])) as (path, file):\n"
        "    file.write(b'PAR1, and no more'); file.flush(); print(path, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(folder / "date=2026-01-02")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        store.append(runs.read(days[1]), str(folder))
        assert left.exists()
        assert Database(str(folder)).ask("SELECT count(DISTINCT run) FROM results").rows == [(2,)]
        process.kill()
    assert left.exists()
    store.append(runs.read(days[2]), str(folder))
    assert not left.exists()


def test_two_processes_append_at_once(days: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "results"
    command = [sys.executable, "-m", "bench.results", "append", *map(str, days), "--results", str(folder)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0] == said[1]
    assert len(contents_of(folder)) == 4
    assert results("SELECT count(DISTINCT run) AS runs FROM results", "--results", folder, "--format=csv").stdout == "runs\n4\n"


def test_no_run_is_added_if_one_cannot_be_read(days: list[Path], tmp_path: Path) -> None:
    days[2].write_text("{", encoding="utf-8")
    found = results("append", *days, "--results", tmp_path / "results")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert f"{days[2]}: it is damaged or no JSON" in found.stderr
    assert not (tmp_path / "results").exists()


def test_a_run_of_the_first_schema_is_added_and_one_of_a_later_schema_refused(tmp_path: Path) -> None:
    old, new = small(), small()
    old["encoder_parity"]["schema"] = 1
    for row in old["encoder_parity"]["rows"].values():
        row["acc"] = row.pop("score")
        row["f1"] = row.pop("metrics")["f1"]
        for name in ("metric", "baseline_score", "baseline_metrics", "metric_losses"):
            row.pop(name)
    old["encoder_parity"]["data"] = {"kind": "MRPC", "train_pairs": 3668, "dev_pairs": 408}
    folder = folder_of(tmp_path, old)
    asked = Database(str(folder)).ask(
        "SELECT DISTINCT metric, value, task FROM results WHERE metric IN ('f1', 'score') ORDER BY 1"
    )
    assert asked.rows == [("f1", 0.85, "MRPC"), ("score", 0.8, "MRPC")]
    new["encoder_parity"]["schema"] = 99
    found = results("append", write(new, tmp_path / "new.json"), "--results", folder)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "the field 'encoder_parity.schema' cannot be used" in found.stderr


def damaged(folder: Path) -> str:
    path = next(folder.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-40])
    return f"{path}: it is damaged"


def flipped(folder: Path) -> str:
    """A byte of a column changes, and the footer stays: the checksum of the page shows it."""
    import pyarrow.parquet as pq

    path = next(folder.rglob("*.parquet"))
    content, first = bytearray(path.read_bytes()), pq.read_metadata(path).row_group(0).column(0)
    content[first.dictionary_page_offset + first.total_compressed_size - 1] ^= 0xFF
    path.write_bytes(content)
    return "the question cannot be answered"


def foreign(folder: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "date=2026-01-02" / "other.parquet"
    pq.write_table(pa.table({"run": ["a"], "price": [1.0]}), path)
    return f"{path}: the column 'ended' is not that of a run"


def retyped(folder: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = next(folder.rglob("*.parquet"))
    found = pq.read_table(path, partitioning=None)
    pq.write_table(found.set_column(found.schema.get_field_index("value"), "value", found["value"].cast(pa.string())), path)
    return f"{path}: the column 'value' is not that of a run"


def emptied(folder: Path) -> str:
    next(folder.rglob("*.parquet")).unlink()
    return f"{folder}: there is no run in this folder"


@pytest.mark.parametrize("harm", [damaged, flipped, foreign, retyped, emptied])
def test_a_folder_that_cannot_be_read_gives_one_sentence(tmp_path: Path, harm: object) -> None:
    assert callable(harm)
    folder = folder_of(tmp_path, variation(small()))
    said = harm(folder)
    found = results("SELECT * FROM results", "--results", folder)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert said in found.stderr


def test_a_missing_folder_gives_one_sentence(tmp_path: Path) -> None:
    found = results("best", "--results", tmp_path / "none")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert f"{tmp_path / 'none'}: it cannot be read" in found.stderr
    blocked = results("append", write(small(), tmp_path / "run.json"), "--results", tmp_path / "run.json")
    assert (blocked.returncode, blocked.stderr.count("\n")) == (2, 1), blocked.stderr
    assert "the run cannot be added there (Not a directory)" in blocked.stderr


def test_columns_of_an_earlier_version_may_be_missing(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = folder_of(tmp_path, variation(small()))
    path = next(folder.rglob("*.parquet"))
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["governor", "link"]), path)
    assert Database(str(folder)).ask("SELECT count(*) FROM results WHERE governor IS NULL").rows[0][0] > 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_parquet('{folder}/*/*.parquet')",
        "COPY results TO '{folder}/copy.csv'",
        "ATTACH '{folder}/other.db'",
        "DROP VIEW cells",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM results",
        "SELECT FROM WHERE",
    ],
)
def test_a_statement_reads_the_views_and_nothing_else(tmp_path: Path, statement: str) -> None:
    folder = folder_of(tmp_path, variation(small()))
    before = contents_of(tmp_path)
    with pytest.raises(SuiteError, match=r"cannot be answered|can only be read") as raised:
        Database(str(folder)).ask(statement.format(file=Path(__file__), folder=folder))
    assert "\n" not in str(raised.value)
    assert contents_of(tmp_path) == before


@pytest.mark.slow
def test_a_run_of_the_suite_adds_itself(tmp_path: Path) -> None:
    """``--results`` without ``--benchmark-json``; the folder answers what the run measured."""
    folder = tmp_path / "results"
    options = ("--models=bert-base-cased", "--size=tiny", "--backends=pytorch", "--precisions=f32")
    found = run("bench", *options, "-k", "agreement", f"--results={folder}", "--no-fine-tune")
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".parquet"]
    assert f"results: {files[0]}" in found.stdout
    asked = Database(str(folder)).ask("SELECT variant, value FROM results WHERE metric = 'logits_db'").rows
    assert [row[0] for row in asked] == ["bert-base-cased-tiny-pytorch-f32"]
    assert asked[0][1] > 100


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    found = run("bench", f"--results={taken}", "--collect-only")
    assert found.returncode == 4
    assert f"--results {taken}: {taken} is a file; give a folder" in found.stderr
