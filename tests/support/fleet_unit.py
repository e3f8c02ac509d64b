"""``python -m tests.support.fleet_unit``: stands for pytest in a unit of a fleet, and copies the JSON of a run in no time.

Options beside those of the fleet: ``--content=FILE`` is copied. ``--pid=FILE`` receives the process id. ``--sleep=S`` sleeps
before the end; with ``--once=FILE`` only if FILE does not exist yet, which is then created. ``--exit=CODE`` ends so.
``--remote=FILE`` receives the address of the remote of artifacts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

#: fixtures.options.artifacts.REMOTE, whose module would take long to import
REMOTE = "ENCODER_PARITY_ARTIFACTS_REMOTE"
CASE = '<testsuites><testsuite><testcase classname="tests.test_stub" name="test_it">{}</testcase></testsuite></testsuites>'


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--benchmark-json", "--junitxml", "--content", "--pid", "--once", "--remote"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--exit", type=int, default=0)
    asked, _ = parser.parse_known_args()
    if asked.pid:
        asked.pid.write_text(str(os.getpid()), encoding="utf-8")
    if asked.remote:
        asked.remote.write_text(os.environ.get(REMOTE, ""), encoding="utf-8")
    if asked.once is None or not asked.once.exists():
        if asked.once:
            asked.once.touch()
        time.sleep(asked.sleep)
    if asked.exit <= 1:
        shutil.copy(asked.content, asked.benchmark_json)
        asked.junitxml.write_text(CASE.format('<failure message="1 is not 2"/>' if asked.exit else ""), encoding="utf-8")
    print("it has ended")
    return int(asked.exit)


if __name__ == "__main__":
    sys.exit(main())
