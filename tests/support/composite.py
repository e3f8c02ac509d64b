"""Runs the steps of a composite GitHub Action that are scripts, with bash and the environment that a runner gives them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fixtures.store.source_code import ROOT
from tests.support.nested import surroundings

GATE = ROOT / ".github" / "actions" / "gate" / "action.yml"
#: As a runner calls it for ``shell: bash``.
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
TERM = re.compile(r"([\w.-]+) (==|!=) '([^']*)'")


def loaded(path: Path) -> dict[str, Any]:
    """The content of a YAML file of GitHub's."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@dataclass
class Done:
    """What a run of an action did: whether a step ``failed``, all that its steps printed, its outputs and summary."""

    failed: bool = False
    printed: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""


class Runner:
    """Runs the action in the file ``action`` with ``inputs`` in a ``workspace``; ``temp`` is the runner's folder.

    ``github`` has values of that context by their paths, such as ``event.pull_request.number``; others are empty. Of the
    actions that steps use, those in ``used`` are called by name with their inputs, and others are passed over.
    """

    def __init__(
        self,
        action: Path,
        workspace: Path,
        temp: Path,
        inputs: Mapping[str, str],
        github: Mapping[str, str],
        used: Mapping[str, Callable[[Mapping[str, str]], None]],
        environment: Mapping[str, str],
    ) -> None:
        self.action, self.workspace, self.temp, self.used = loaded(action), workspace, temp, used
        self.environment = surroundings(
            **environment, GITHUB_WORKSPACE=str(workspace), GITHUB_ACTION_PATH=str(action.parent), RUNNER_TEMP=str(temp),
            GITHUB_OUTPUT=str(temp / "output"), GITHUB_STEP_SUMMARY=str(temp / "summary"),
        )  # fmt: skip
        self.values = {f"github.{name}": value for name, value in github.items()}
        self.values |= {"runner.os": "Linux", "runner.arch": "X64", "github.token": "secret"}
        assert inputs.keys() <= self.action["inputs"].keys()
        for name, declared in self.action["inputs"].items():
            self.values[f"inputs.{name}"] = inputs.get(name, self.text(declared["default"]))

    def run(self) -> Done:
        """Run all steps that their conditions ask for."""
        done = Done()
        for step in self.action["runs"]["steps"]:
            if not self._wanted(step.get("if"), done.failed):
                continue
            if "uses" in step:
                name = step["uses"].partition("@")[0]
                if (used := self.used.get(name)) is not None:
                    used({key: self.text(value) for key, value in step.get("with", {}).items()})
            else:
                self._run(step, done)
        done.outputs = {name: self.text(output["value"]) for name, output in self.action["outputs"].items()}
        if (summary := self.temp / "summary").exists():
            done.summary = summary.read_text(encoding="utf-8")
        return done

    def text(self, value: str) -> str:
        """``value`` with its expressions evaluated; a value that no step has set is empty."""
        return EXPRESSION.sub(lambda found: self.values.get(found.group(1), ""), value)

    def _wanted(self, condition: str | None, failed: bool) -> bool:
        terms = condition.split(" && ") if condition else []
        if failed and "always()" not in terms:
            return False
        for term in terms:
            if term == "always()":
                continue
            found = TERM.fullmatch(term)
            assert found is not None, f"a condition that is not understood here: {term}"
            name, operator, expected = found.groups()
            if (self.values.get(name, "") == expected) != (operator == "=="):
                return False
        return True

    def _run(self, step: Mapping[str, Any], done: Done) -> None:
        assert step["shell"] == "bash"
        script, output = self.temp / "step.sh", self.temp / "output"
        script.write_text(step["run"], encoding="utf-8")
        output.write_text("", encoding="utf-8")
        own = {name: self.text(value) for name, value in step.get("env", {}).items()}
        found = subprocess.run(
            [*BASH, str(script)], cwd=self.workspace, env={**self.environment, **own}, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
        )  # fmt: skip
        done.printed += found.stdout
        done.failed = done.failed or found.returncode != 0
        for line in output.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            self.values[f"steps.{step['id']}.outputs.{name}"] = value
