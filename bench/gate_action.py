"""The parts of the GitHub Action of the gate (.github/actions/gate) that are no shell.

``python -m bench.gate_action verdict gate.json`` prints the worst verdict of a run. ``comment gate.md`` writes the summary into
a comment of the pull request PULL_REQUEST, or replaces the one that an earlier run of the gate NAME wrote there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fixtures.core.errors import SuiteError, one_line
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.report.html import runs
from fixtures.timing.gate import IDENTICAL, NOT_SLOWER, SLOWER

#: The worst comes first.
ORDER = (SLOWER, INCONCLUSIVE, NOT_SLOWER, IDENTICAL)
#: The host takes 65,536 characters in a comment.
LONGEST = 60_000
PAGE = 100


def main(arguments: list[str] | None = None) -> int:
    """Print the verdict, or the address of the comment, and return 0; or print one sentence that says what is wrong: 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate_action", description=__doc__)
    parser.add_argument("what", choices=("verdict", "comment"))
    parser.add_argument("file", type=Path, help="the JSON of the run, or its summary in Markdown")
    asked = parser.parse_args(arguments)
    try:
        print(verdict(asked.file) if asked.what == "verdict" else comment(asked.file.read_text(encoding="utf-8")))
    except SuiteError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


def verdict(path: Path) -> str:
    """The worst verdict on a variant; empty if nothing was compared."""
    found = {row.get("gate") for row in runs.read(path).rows.values()}
    return next((word for word in ORDER if word in found), "")


def comment(summary: str) -> str:
    """Write ``summary`` into this gate's comment of the pull request and return its address; SuiteError if that fails."""
    repository, pull, name = (os.environ.get(each, "") for each in ("GITHUB_REPOSITORY", "PULL_REQUEST", "NAME"))
    if not pull:
        raise SuiteError("comment: this run is of no pull request")
    mark = f"<!-- encoder-parity: {name.replace('--', '-')} -->"
    body = {"body": _body(mark, summary)}
    comments = f"/repos/{repository}/issues/{pull}/comments"
    mine = next((one for one in _pages(comments) if one["user"]["type"] == "Bot" and one["body"].startswith(mark)), None)
    if mine is None:
        made = _call("POST", comments, body)
    else:
        made = _call("PATCH", f"/repos/{repository}/issues/comments/{mine['id']}", body)
    return str(made["html_url"])


def _body(mark: str, summary: str) -> str:
    """The comment: as many whole lines of the summary as fit, and a link to the run."""
    run = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(os.environ)
    if len(summary) > LONGEST:
        summary = summary[:LONGEST].rpartition("\n")[0] + "\n\nThe rest is in the summary of the run."
    return f"{mark}\n{summary}\n\n[the run]({run})\n"


def _pages(path: str) -> Iterator[Any]:
    """All entries of a list, the oldest first."""
    page: list[Any] = [None] * PAGE
    number = 0
    while len(page) == PAGE:
        number += 1
        page = _call("GET", f"{path}?per_page={PAGE}&page={number}")
        yield from page


def _call(method: str, path: str, content: dict[str, str] | None = None) -> Any:
    """The answer of the host's REST interface, whose address and token the runner gives; SuiteError if it refuses."""
    request = urllib.request.Request(  # noqa: S310 - the runner's own address
        os.environ["GITHUB_API_URL"] + path,
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        hint = "; the job needs `pull-requests: write`, which pull requests of forks never have" if error.code == 403 else ""
        raise SuiteError(f"comment: the host answers {error.code} {error.reason} to {method} {path}{hint}") from None
    except (OSError, ValueError) as error:
        raise SuiteError(f"comment: the host gives no answer to {method} {path} ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
