"""``python -m tests.support.fleet_cluster WHAT ...``: a Ray cluster of three nodes on this host, one of which is killed midway.

``stubs FOLDER`` runs units that take no time on two nodes of a class, kills the one that runs the first, which sleeps, and adds
a node of a class that a unit waits for. ``plan RESULTS REPORT PLAN`` runs a plan with ``bench.fleet``, on two nodes of this CPU
and one for each emulated CPU of the plan, and kills one of the first two in the middle of its second unit. Both print what
happened as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench import fleet
from fixtures.fleet import node as nodes
from fixtures.fleet import plan as plans
from fixtures.fleet import ray_engine
from fixtures.fleet.merge import collect, rows
from fixtures.fleet.node import Node
from fixtures.store.source_code import ROOT
from tests.support.fleet_units import TERMS, board, made


class Cluster:
    """A cluster whose nodes can be killed with all their processes, as if their machine had lost its power."""

    def __init__(self) -> None:
        os.environ.update(ray_engine.ENVIRONMENT)
        os.environ["PYTHONPATH"] = str(ROOT)
        import ray.cluster_utils

        self.cluster = ray.cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.nodes: dict[str, Any] = {}
        self.killed: list[str] = []

    def add(self, node: Node) -> None:
        resources = {ray_engine.MEASURE: 1}
        self.nodes[node.name] = self.cluster.add_node(num_cpus=1, resources=resources, labels=node.labels)

    def unit_of(self, name: str, argument: str) -> psutil.Process | None:
        """The process of the unit with ``argument`` in its command that runs on a node now."""
        raylet = psutil.Process(self.nodes[name].all_processes["raylet"][0].process.pid)
        try:
            return next((p for p in raylet.children(recursive=True) if argument in p.cmdline()), None)
        except psutil.Error:
            return None

    def kill_when_busy(self, names: list[str], argument: str = "--junitxml", after: int = 0) -> int:
        """Kill the first of ``names`` that runs a unit with ``argument``, after so many; returns the unit's process id."""
        seen: set[int] = set()
        while True:
            for name in names:
                if (found := self.unit_of(name, argument)) is not None:
                    seen.add(found.pid)
                    if len(seen) > after:
                        time.sleep(1.0)
                        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)
                        self.killed.append(name)
                        return found.pid
            time.sleep(0.05)


def stubs(folder: str) -> dict[str, Any]:
    """One node of two is killed in the middle of a unit, and a node of another class is added."""
    place = Path(folder)
    units = [made(place, 0, f"--once={place / 'once'}", "--sleep=120"), *(made(place, number) for number in range(1, 6))]
    units.append(made(place, 6, cpu="arm*"))
    cluster = Cluster()
    for number in (1, 2):
        cluster.add(Node(f"n{number}", "zen"))
    found = board(place, units, say=lambda text: print(text, file=sys.stderr))
    with ray_engine.connected(cluster.cluster.address, [], print):
        thread = threading.Thread(target=ray_engine.run, args=(found, TERMS, 60.0))
        thread.start()
        gone = cluster.kill_when_busy(["n1", "n2"], "--sleep=120")
        cluster.add(Node("n3", "arm9"))  # Ray starts nodes in the main thread only
        thread.join()
    cluster.cluster.shutdown()
    return {
        "killed": cluster.killed,
        "the killed unit lives": psutil.pid_exists(gone) and psutil.Process(gone).status() != psutil.STATUS_ZOMBIE,
        "done": {unit.name: sorted(found.done[unit.key]) for unit in units},
        "missing": found.missing({}),
        "rows": rows(collect(units, found.results)),
    }


def plan(results: str, report: str, path: str) -> dict[str, Any]:
    """A plan on two nodes of this CPU and on the emulated ones, and one of the two dies in its second unit."""
    cluster = Cluster()
    for name in ("n1", "n2"):
        cluster.add(Node(name, nodes.this_node().cpu))
    wanted = {cpu for cells in plans.read(Path(path)).cells for cpu in cells.cpu if cpu.startswith(nodes.EMULATED)}
    for number, cpu in enumerate(sorted(wanted), start=3):
        cluster.add(Node(f"n{number}", nodes.emulated(cpu.removeprefix(nodes.EMULATED)).cpu))
    thread = threading.Thread(target=cluster.kill_when_busy, args=(["n1", "n2"], "--junitxml", 3), daemon=True)
    thread.start()
    start = time.monotonic()
    code = fleet.main([path, "--results", results, "-o", report, "--ray", cluster.cluster.address, "--wait", "30"])
    cluster.cluster.shutdown()
    return {"code": code, "killed": cluster.killed, "seconds": time.monotonic() - start}


if __name__ == "__main__":
    SCENARIOS: dict[str, Callable[..., dict[str, Any]]] = {"stubs": stubs, "plan": plan}
    print(json.dumps(SCENARIOS[sys.argv[1]](*sys.argv[2:])))
