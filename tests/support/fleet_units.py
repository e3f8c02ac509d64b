"""``python -m tests.support.fleet_units ENGINE FOLDER COUNT [OPTION ...]``: runs units that take no time, here or on Ray.

ENGINE is ``local`` or ``ray``. Prints, as JSON, the seconds of running them and the number with a result; used by the tests of
interruption, and to measure what scheduling costs a unit (docs/guides/fleet.md).
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fixtures.fleet import local, ray_engine
from fixtures.fleet.board import Board
from fixtures.fleet.execute import Terms
from fixtures.fleet.node import Node
from fixtures.fleet.results import Results
from fixtures.fleet.unit import Unit
from tests.support.reports import small

TERMS = Terms(seconds=60.0, patience=0.0, accept_disturbed=True)
NODES = [Node(f"n{number}", "zen") for number in range(1, 4)]


def made(folder: Path, number: int = 0, *options: str, cpu: str = "*", kind: str = "conformance") -> Unit:
    """A unit of one cell, whose command is :mod:`tests.support.fleet_unit` with ``options``."""
    content = folder / "content.json"
    if not content.exists():
        content.write_text(json.dumps(small()), encoding="utf-8")
    return Unit(
        kind=kind, model="bert-base-cased", size="tiny", task=f"task-{number}", stack="current", cpu=cpu,
        backends=("torchscript",), precisions=("f32",), options=(f"--content={content}", *options),
        target=("-m", "tests.support.fleet_unit"),
    )  # fmt: skip


def board(folder: Path, units: list[Unit], copies: int = 1, tries: int = 3, say: Callable[[str], None] = print) -> Board:
    """The board of ``units``, whose results are in ``folder/results``."""
    return Board(units, Results(folder / "results"), copies, tries, say)


def main(engine: str, folder: str, count: str, *options: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have ignored it
    units = [made(Path(folder), number, *options) for number in range(int(count))]
    found = board(Path(folder), units, say=lambda text: None)
    start = time.monotonic()
    if engine == "local":
        local.run(found, NODES[:1], TERMS)
        end = time.monotonic()
    else:
        with ray_engine.connected(None, NODES, lambda text: None):
            start = time.monotonic()
            ray_engine.run(found, TERMS, patience=0.0)
            end = time.monotonic()
    print(json.dumps({"seconds": end - start, "done": len(found.done_units), "missing": found.missing({})}))


if __name__ == "__main__":
    main(*sys.argv[1:])
