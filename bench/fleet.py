"""``python -m bench.fleet PLAN.toml`` runs the units of a plan, here or on a cluster, and writes one report.

Results are kept by unit and node, so that the command, given again, runs only what is missing.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures.core.errors import SuiteError, one_line
from fixtures.fleet import local, manifests, merge, node, ray_engine
from fixtures.fleet import plan as plans
from fixtures.fleet.board import Board
from fixtures.fleet.execute import Terms
from fixtures.fleet.results import Results
from fixtures.fleet.unit import Unit, expand
from fixtures.options.artifacts import REMOTE, read_remote
from fixtures.options.values import seconds, whole

HERE = "here"
#: What can be printed for other schedulers, by option.
PRINTED = {"matrix": manifests.matrix, "slurm": manifests.slurm, "kubernetes": manifests.kubernetes}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument(
        "plan", nargs="?", type=Path, metavar="PLAN.toml", help="which models, tasks, variants, stacks and CPUs"
    )
    parser.add_argument("--results", type=Path, metavar="DIR", help="where results are kept (default: PLAN-results)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where the report goes (default: PLAN-report)")
    parser.add_argument(
        "--ray", nargs="?", const=HERE, metavar="ADDRESS", help="run on this Ray cluster; without ADDRESS, on one started here"
    )
    parser.add_argument(
        "--wait", type=seconds, default=300.0, metavar="S", help="seconds to wait for a node of a class on --ray (default: 300)"
    )
    parser.add_argument(
        "--artifacts-remote", default=os.environ.get(REMOTE), metavar="URL",
        help="where the nodes share artifacts: the option of pytest, for every unit",
    )  # fmt: skip
    parser.add_argument("--only", metavar="NAME,...", help="run only these units (--list names them)")
    parser.add_argument(
        "--index", type=whole(0, 10**6), metavar="N", help="run only the unit of this number among them, from 0"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="print the units, and run nothing")
    what.add_argument("--merge", action="store_true", help="write the report of the results that are there, and run nothing")
    what.add_argument("--matrix", action="store_true", help="print a matrix for GitHub Actions")
    what.add_argument("--slurm", action="store_true", help="print a program that submits the units to Slurm, with submitit")
    what.add_argument("--kubernetes", action="store_true", help="print the manifest of an Indexed Job for each class of CPUs")
    what.add_argument("--labels", action="store_true", help="print the labels of this machine, for ray start --labels")
    parser.add_argument("--no-report", action="store_true", help="write no report, for jobs that run one unit each")
    parser.add_argument("--emulated", metavar="CPU", help="with --labels: those of a CPU emulated here")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every unit has a result, 1 if some are missing, 2 for wrong input, 130 if it was interrupted."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        if asked.labels:
            found = node.emulated(asked.emulated) if asked.emulated else node.this_node()
            print(",".join(f"{name}={value}" for name, value in found.labels.items()))
            return 0
        if asked.plan is None:
            parser.error("give a plan, such as examples/small.toml")
        return _plan(asked)
    except SuiteError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _plan(asked: argparse.Namespace) -> int:
    plan = plans.read(asked.plan)
    for name, make in PRINTED.items():
        if getattr(asked, name):
            print(make(plan, _chosen(expand(plan, elsewhere=True), asked), asked.plan))
            return 0
    units = _chosen(expand(plan), asked)
    if asked.list:
        print("\n".join(f"{unit.key}  {unit.cells:4} variants  {unit.name}" for unit in units))
        return 0
    results = Results(asked.results or Path(f"{asked.plan.stem}-results"))
    board = Board(units, results, plan.copies, plan.tries, say)
    absent = {} if asked.merge else _run(board, plan, units, asked)
    missing = board.missing(absent)
    if not asked.no_report:
        out = asked.output or Path(f"{asked.plan.stem}-report")
        print(merge.write(units, merge.collect(units, results), missing, out, say))
    for name, why in missing.items():
        say(f"missing: {name}: {why}")
    return 1 if missing else 0


def _chosen(units: list[Unit], asked: argparse.Namespace) -> list[Unit]:
    """The units that ``--only`` and ``--index`` leave."""
    by_name = {unit.name: unit for unit in units}
    if asked.only is not None:
        names = [name.strip() for name in asked.only.split(",")]
        for name in names:
            if name not in by_name:
                raise SuiteError(f"--only: the plan has no unit {name!r}; --list names them")
        units = [by_name[name] for name in names]
    if asked.index is not None:
        if asked.index >= len(units):
            raise SuiteError(f"--index {asked.index}: there are {len(units)} units; give a number from 0")
        units = [units[asked.index]]
    return units


def _run(board: Board, plan: plans.Plan, units: Sequence[Unit], asked: argparse.Namespace) -> dict[str, str]:
    """Run what is missing; returns, by class of CPUs, why this host has no node of it."""
    signal.signal(signal.SIGTERM, _interrupt)
    terms = Terms.of(plan, read_remote(asked.artifacts_remote))
    nodes, absent = node.here(unit.cpu for unit in units)
    say(board.progress())
    if asked.ray is None:
        local.run(board, nodes, terms)
    else:
        address = None if asked.ray == HERE else asked.ray
        with ray_engine.connected(address, nodes, say):
            ray_engine.run(board, terms, asked.wait if address else 0.0)
    return absent if asked.ray in (None, HERE) else {}


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Write a line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
