"""Tests the GitHub Action of the gate: what its YAML says, its comment, and its scripts as a runner runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fixtures.harness.harness import Harness
from fixtures.store.source_code import ROOT
from tests.support.checkouts import copied, slow_down
from tests.support.composite import EXPRESSION, GATE, Done, Runner, loaded
from tests.support.host import PULL_REQUEST, Host, serving
from tests.support.nested import surroundings
from tests.support.reports import small
from tests.support.results import write

ACTION = loaded(GATE)
STEPS = ACTION["runs"]["steps"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: What a person outside of the repository may have written: a script must take it from the environment.
FOREIGN = re.compile(r"\$\{\{[^}]*\b(inputs\.|github\.event\.|github\.head_ref|github\.base_ref)[^}]*\}\}")

#: Options for a comparison of seconds.
QUICK = "--size tiny --precisions f32 --seq-len 32 --max-seconds 60"


def test_every_input_is_used_and_every_output_is_set() -> None:
    text = GATE.read_text(encoding="utf-8").partition("\nruns:")[2]
    unused = [name for name in ACTION["inputs"] if not re.search(rf"\binputs\.{name}(?![\w-])", text)]
    unknown = set(re.findall(r"\binputs\.([\w-]+)", text)) - ACTION["inputs"].keys()
    assert (unused, unknown) == ([], set())
    scripts = {step["id"]: step["run"] for step in STEPS if "id" in step}
    for step, output in re.findall(r"steps\.(\w+)\.outputs\.([\w-]+)", GATE.read_text(encoding="utf-8")):
        assert f'echo "{output}=' in scripts[step], f"the step {step} does not set {output}"


def test_scripts_take_values_from_the_environment_only() -> None:
    """An expression inside a script is text of somebody else in a program; each variable that a step gets is used."""
    for step in STEPS:
        if "run" in step:
            assert not EXPRESSION.search(step["run"]), step
            unused = [
                name for name in step["env"] if name not in step["run"] and name not in ("GITHUB_TOKEN", "PULL_REQUEST", "NAME")
            ]
            assert unused == [], step["name"]
    for path in WORKFLOWS:
        for job in loaded(path)["jobs"].values():
            found = [step["run"] for step in job["steps"] if FOREIGN.search(step.get("run", ""))]
            assert found == [], path.name


def test_workflows_give_the_action_inputs_that_it_has() -> None:
    used = [step for path in WORKFLOWS for job in loaded(path)["jobs"].values() for step in job["steps"]
            if step.get("uses", "") == "./.github/actions/gate"]  # fmt: skip
    assert used, "the repository's own gate is this action"
    assert all(step.get("with", {}).keys() <= ACTION["inputs"].keys() for step in used)


def ask(what: str, file: Path, host: Host | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m bench.gate_action`` as the action does."""
    given = {**(host.environment if host else {}), "GITHUB_TOKEN": "secret", "PULL_REQUEST": PULL_REQUEST, "NAME": "gate"}
    command = [sys.executable, "-m", "bench.gate_action", what, str(file)]
    return subprocess.run(
        command, cwd=ROOT, env=surroundings(**{**given, **environment}), capture_output=True, text=True, timeout=60, check=False
    )


def test_the_verdict_is_the_worst_one(tmp_path: Path) -> None:
    content = small()
    rows = list(content["encoder_parity"]["rows"].values())

    def verdict(*words: str | None) -> str:
        for row, word in zip(rows, words, strict=True):
            row["gate"] = word
        found = ask("verdict", write(content, tmp_path / "gate.json"))
        assert found.returncode == 0, found.stderr
        return found.stdout.rstrip("\n")

    assert verdict("identical", None) == "identical"
    assert verdict("not slower", "inconclusive") == "inconclusive"
    assert verdict("slower", "inconclusive") == "slower"
    assert verdict(None, None) == ""


def test_a_later_run_replaces_the_comment_of_this_gate_and_no_other(tmp_path: Path) -> None:
    summary = tmp_path / "gate.md"
    with serving() as host:
        for number in range(120):
            host.add(f"comment {number}", "User")
        host.add("<!-- encoder-parity: gate -->\nquoted by a person", "User")
        host.add("<!-- encoder-parity: other -->\nof another gate")
        for text in ("the first", "the second"):
            summary.write_text(text, encoding="utf-8")
            assert ask("comment", summary, host).stdout == "https://example.org/comment/123\n"
        assert len(host.comments) == 123
        assert host.comments[-1]["body"].startswith("<!-- encoder-parity: gate -->\nthe second\n")
        assert "[the run](https://example.org/owner/name/actions/runs/1)" in host.comments[-1]["body"]
        assert host.comments[-2]["body"].endswith("of another gate")
        summary.write_text("a long line\n" * 10_000, encoding="utf-8")
        assert ask("comment", summary, host).returncode == 0
        assert len(host.comments[-1]["body"]) < 65_536
        assert "a long line\n\nThe rest is in the summary of the run." in host.comments[-1]["body"]


def test_a_comment_that_is_refused_gives_one_sentence(tmp_path: Path) -> None:
    summary = tmp_path / "gate.md"
    summary.write_text("text", encoding="utf-8")
    with serving() as host:
        host.writable = False
        refused = ask("comment", summary, host)
        wrong = ask("comment", summary, host, GITHUB_TOKEN="other")  # noqa: S106
        without = ask("comment", summary, host, PULL_REQUEST="")
    silent = ask("comment", summary, host)
    said = [found.stderr for found in (refused, wrong, without, silent)]
    assert [(found.returncode, found.stderr.count("\n")) for found in (refused, wrong, without, silent)] == [(2, 1)] * 4, said
    assert "answers 403 Forbidden to POST" in said[0]
    assert "`pull-requests: write`" in said[0]
    assert "this run is of no pull request" in said[2]
    assert "gives no answer" in said[3]


def git(folder: Path, *arguments: str) -> None:
    """Runs git in ``folder`` as an author without a name on any host."""
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True, capture_output=True, timeout=60)  # noqa: S607


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A repository with a copy of the suite, whose commit is the branch ``base`` and also the head."""
    made = copied(tmp_path / "workspace")
    git(made, "init", "--initial-branch", "head")
    git(made, "add", ".")
    git(made, "commit", "--message", "base")
    git(made, "branch", "base")
    return made


def act(workspace: Path, inputs: Mapping[str, str], host: Host | None = None) -> Done:
    """Run the action in ``workspace``; a host has a pull request to the branch ``base``, checked out by git."""
    temp = workspace.parent / "temp"
    temp.mkdir(exist_ok=True)

    def checkout(given: Mapping[str, str]) -> None:
        shutil.rmtree(workspace / given["path"], ignore_errors=True)
        git(workspace, "worktree", "add", "--force", "--detach", str(workspace / given["path"]), given["ref"])

    used: dict[str, Callable[[Mapping[str, str]], None]] = {"actions/checkout": checkout}
    github = {"base_ref": "base", "event.pull_request.number": PULL_REQUEST} if host else {}
    return Runner(GATE, workspace, temp, inputs, github, used, host.environment if host else {}).run()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "this is no pull request: give the input base"),
        ({"base": "main"}, "this repository is not the suite: give requirements, base-requirements or compare"),
        ({"compare": "onnxruntime-f32", "base-requirements": "a.txt"}, "give compare or base-requirements, not both"),
        ({"base": "main\nroot=/", "requirements": "a.txt"}, "an input has several lines"),
        ({"base-requirements": "none.txt", "python": sys.executable}, "there is no file none.txt"),
    ],
)
def test_inputs_that_name_no_pair_give_one_sentence(tmp_path: Path, inputs: dict[str, str], said: str) -> None:
    (tmp_path / "workspace").mkdir()
    done = act(tmp_path / "workspace", inputs)
    assert done.failed
    assert f"::error title=gate::{said}" in done.printed
    assert "Traceback" not in done.printed


@pytest.mark.slow
@pytest.mark.backend("onnxruntime")
def test_a_pull_request_that_changes_nothing_passes_and_one_that_slows_fails(workspace: Path, harness: Harness) -> None:
    """One variant of the tiny model, in a repository with two commits; both sides have the packages of this Python."""
    inputs = {
        "python": sys.executable, "models": "bert-base-cased", "backends": "onnxruntime", "fail-if-slower": "20%",
        "comment": "true", "options": f"{QUICK} --artifacts '{harness.store.root}' -k 'not opset11'",
    }  # fmt: skip
    with serving() as host:
        same = act(workspace, inputs, host)
        assert (same.failed, same.outputs["verdict"]) == (False, "identical"), same.printed[-3000:]
        slow_down(workspace)
        git(workspace, "commit", "--all", "--message", "slower")
        slower = act(workspace, inputs, host)
        assert len(host.comments) == 1, "the second run replaces the comment of the first"
    if slower.outputs["verdict"] != "inconclusive":  # the correct verdict on a busy machine
        assert (slower.failed, slower.outputs["verdict"]) == (True, "slower"), slower.printed[-3000:]
    table = (Path(slower.outputs["report"]) / "gate.md").read_text(encoding="utf-8")
    assert "bert-base-cased-tiny-onnxruntime-f32" in table
    assert slower.summary.endswith(table)
    assert table.strip() in host.comments[0]["body"]
    content = json.loads((Path(slower.outputs["report"]) / "gate.json").read_text(encoding="utf-8"))
    assert content["encoder_parity"]["gate"] == 0.2
    assert (Path(slower.outputs["report"]) / "gate.xml").exists()


@pytest.mark.slow
@pytest.mark.backend("onnxruntime")
def test_another_repository_compares_with_a_variant(tmp_path: Path, harness: Harness) -> None:
    """The code is the action's; what selects nothing that can be compared fails."""
    workspace = tmp_path / "workspace"
    (workspace / "fixtures").mkdir(parents=True)
    (workspace / "fixtures" / "__init__.py").write_text(
        "raise ImportError('the module of another repository')", encoding="utf-8"
    )
    inputs = {
        "python": sys.executable, "compare": "pytorch-f32", "models": "bert-base-cased", "fail-if-slower": "90%",
        "backends": "onnxruntime", "options": f"{QUICK} --artifacts '{harness.store.root}' -k onnxruntime-f32",
    }  # fmt: skip
    done = act(workspace, inputs)
    assert not done.failed, done.printed[-3000:]
    assert done.outputs["verdict"] in ("not slower", "inconclusive")
    none = act(workspace, {**inputs, "options": inputs["options"].replace("onnxruntime-f32", "nothing")})
    assert none.failed
