"""``python -m bench.report RUN.json [OTHER.json or FOLDER ...] -o DIR`` writes the report's page.

The page shows one run, runs of several machines, or a history.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fixtures.core.errors import SuiteError, one_line
from fixtures.report.html import runs, write


def main(arguments: list[str] | None = None) -> int:
    """Write the page and return 0, or print one sentence that says what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json", help="files of --benchmark-json, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where index.html goes")
    asked = parser.parse_args(arguments)
    try:
        made = write.write(runs.read_all(asked.runs), asked.output, say=lambda text: print(text, file=sys.stderr))
    except SuiteError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
