"""``python -m bench.results`` adds runs to a folder of results and asks it.

``append RUN.json ...`` adds files of --benchmark-json. DuckDB runs a SELECT in quotes over the views ``results`` and ``cells``.
``best``, ``changed PACKAGE VERSION``, ``disagree`` and ``failures`` are questions with a name.
"""

from __future__ import annotations

import argparse
import csv
import json
import signal
import sys
from pathlib import Path
from typing import Any

from fixtures.core.errors import SuiteError, one_line
from fixtures.options.outputs import RESULTS
from fixtures.report.history import store
from fixtures.report.history.database import Database
from fixtures.report.history.questions import QUESTIONS, listed
from fixtures.report.html import runs
from fixtures.report.table import Table

APPEND = "append"


def main(arguments: list[str] | None = None) -> int:
    """Print the paths of added runs or an answer and return 0, or print one sentence that says what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.results", description=__doc__)
    names = "; ".join(" ".join([name, *map(str.upper, one.parameters)]) + f": {one.asks}" for name, one in QUESTIONS.items())
    parser.add_argument("question", help=f"a SELECT in quotes, or {APPEND}, or a name ({names})")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="what comes after the name")
    parser.add_argument(
        "--results", default=RESULTS, metavar="FOLDER", help=f"a folder, or s3://BUCKET/FOLDER (default: {RESULTS})"
    )
    parser.add_argument("--model", help="only this model, such as minilm-l6 (named questions)")
    parser.add_argument("--cpu", help="only CPUs whose name contains this (named questions)")
    parser.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    asked = parser.parse_intermixed_args(arguments)
    try:
        if asked.question == APPEND:
            print(*_append(asked.arguments, asked.results), sep="\n")
        else:
            _show(_answer(asked), asked.format)
    except SuiteError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


def _append(files: list[str], results: str) -> list[str]:
    """Add all runs or none: every file is read before the first is written."""
    if not files:
        raise SuiteError(f"{APPEND}: give files of --benchmark-json, or folders of them")
    return [store.append(run, results) for run in runs.read_all(map(Path, files))]


def _answer(asked: Any) -> Table:
    question = QUESTIONS.get(asked.question)
    if question is None:
        if asked.arguments or " " not in asked.question.strip():
            raise SuiteError(
                f"there is no question {asked.question!r}: give a SELECT in quotes, {APPEND}, or one of {', '.join(QUESTIONS)}"
            )
        return listed(Database(asked.results), asked.question)
    if len(asked.arguments) != len(question.parameters):
        wanted = " ".join(map(str.upper, question.parameters)) or "nothing"
        raise SuiteError(f"{asked.question}: give {wanted} after it, not {' '.join(asked.arguments) or 'nothing'}")
    own = dict(zip(question.parameters, asked.arguments, strict=True))
    return question.answer(Database(asked.results), {"model": asked.model, "cpu": asked.cpu, **own})


def _show(table: Table, form: str) -> None:
    if form == "markdown":
        print(table if table else table.caption or "nothing was found")
        return
    if table.caption:
        print(table.caption, file=sys.stderr)
    values = [[column.raw(identifier, row) for column in table.columns] for identifier, row in table.rows.items()]
    headers = [column.header for column in table.columns]
    if form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows([headers, *values])
    else:
        print(json.dumps([dict(zip(headers, row, strict=True)) for row in values], indent=1, default=str))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly when a reader such as head has enough
    sys.exit(main())
