"""``python -m bench.report RUN.json [OTHER.json or FOLDER ...] -o DIR`` writes the report's page.

The page shows one run, runs of several machines, or a history. ``python -m bench.report RESULTS -o DIR`` writes a site instead,
over all runs of a folder of results (python -m bench.results append).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fixtures.core.errors import SuiteError, one_line
from fixtures.report.history import site, store
from fixtures.report.history.database import Database
from fixtures.report.html import runs, write


def main(arguments: list[str] | None = None) -> int:
    """Write the page and return 0, or print one sentence that says what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN.json", help="files of --benchmark-json, or folders of them; or a folder of results"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where index.html goes")
    asked = parser.parse_args(arguments)
    try:
        made = _write(asked.runs, asked.output)
    except SuiteError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    print(made)
    return 0


def _write(sources: list[str], out: Path) -> Path:
    """Write a site if there is one source and it is a folder of results; otherwise a page of runs."""
    if any(map(store.is_results, sources)):
        if len(sources) > 1:
            raise SuiteError("a folder of results stands alone: append other runs to it (python -m bench.results append)")
        return site.write(Database(sources[0]), out)
    return write.write(runs.read_all(map(Path, sources)), out, say=lambda text: print(text, file=sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
