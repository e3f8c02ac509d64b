"""Tests plans: what is refused and how, which units a plan makes, what decides a unit's key, and what is printed from it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import SuiteError
from fixtures.fleet import deciding, manifests
from fixtures.fleet.node import Node
from fixtures.fleet.plan import Plan, read
from fixtures.fleet.unit import Unit, expand
from fixtures.store.source_code import ROOT

CELLS = """[[cells]]
models = ["bert-base-cased", "roberta-base"]
tasks = ["mrpc"]
backends = ["onnxruntime"]
cpu = ["zen*", "neoverse*"]
"""
ARM = """[classes."neoverse*"]
runner = "ubuntu-24.04-arm"
constraint = "graviton"
node_selector = { "kubernetes.io/arch" = "arm64" }
"""


def plan(folder: Path, text: str) -> Plan:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return read(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cells = 1", "the field 'cells' cannot be used"),
        ("[[cells]]\ntasks = ['mrpc']", "the field 'cells.0.models' cannot be used: field required"),
        ("[[cells]]\nmodel = 'x'\nmodels = ['bert-base-cased']", "there is no field 'cells.0.model'; choose from kind, models"),
        ("[[cells]]\nmodels = ['brt']", "the field 'cells.0.models' has 'brt'; choose from bert-base-cased"),
        (CELLS + "precisions = ['f31']", "the field 'cells.0.precisions' has 'f31'; choose from"),
        (CELLS + "kind = 'speed'", "the field 'cells.0.kind' cannot be used: input should be 'bench' or 'conformance'"),
        (CELLS + "options = ['--models=x']", "has '--models=x', which the fleet sets itself"),
        (CELLS + "kind = 'conformance'\ncompare = 'onnxruntime-f32'", "'cells.0.compare' is for kind = 'bench'"),
        (CELLS.replace("zen*", "emulated-Haswell"), "has 'emulated-Haswell', where nothing is timed; use kind = 'conformance'"),
        (CELLS.replace("zen*", "emulated-486"), "has 'emulated-486'; choose from emulated-neoverse-n1"),
        (CELLS + "tests = ['test_nothing.py']", "has 'test_nothing.py'; choose from"),
        ("tries = 0\n" + CELLS, "the field 'tries' cannot be used: input should be greater than or equal to 1"),
        ("[[cells]\n", "it is no TOML"),
    ],
)
def test_a_wrong_plan_is_refused_with_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SuiteError) as error:
        plan(tmp_path, text)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_plan_ends_the_command_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.fleet", str(tmp_path / "none.toml")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 2
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1, found.stderr


def test_a_unit_is_one_model_task_stack_and_class_with_pytorch_f32_in_it(tmp_path: Path) -> None:
    units = expand(plan(tmp_path, CELLS + "precisions = ['int8_dynamic']\nsize = 'tiny'"), elsewhere=True)
    assert [(unit.model, unit.cpu) for unit in units] == [
        (model, cpu) for cpu in ("zen*", "neoverse*") for model in ("bert-base-cased", "roberta-base")
    ]
    assert all("pytorch" in unit.backends and "f32" in unit.precisions for unit in units)
    assert len({unit.name for unit in units}) == len({unit.key for unit in units}) == 4
    assert units[0].arguments() == [
        "-m", "pytest", "bench", "--models", "bert-base-cased", "--task", "mrpc", "--size", "tiny",
        "--backends", "onnxruntime,pytorch", "--precisions", "int8_dynamic,f32",
    ]  # fmt: skip


def test_the_same_cells_twice_are_one_unit_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    once = expand(plan(tmp_path, CELLS), elsewhere=True)
    assert [unit.key for unit in expand(plan(tmp_path, CELLS + CELLS), elsewhere=True)] == [unit.key for unit in once]
    other = CELLS + CELLS + "options = ['--batch=8']"
    with pytest.raises(SuiteError, match=r"two .* make the unit bench-bert-base-cased-mrpc-current-zenany"):
        expand(plan(tmp_path, other), elsewhere=True)


UNIT = Unit(
    "bench", "bert-base-cased", "tiny", "mrpc", "current", "*", ("pytorch",), ("f32",), None, ("--batch=8",),
    ("-m", "pytest", "bench"), {"code": "a", "data": {"dev": "b"}, "packages": {"pins": "c", "others": {}}},
)  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "conformance"}, {"model": "roberta-base"}, {"size": "full"}, {"task": "sst2"}, {"stack": "bridge"},
        {"cpu": "zen*"}, {"backends": ("pytorch", "openvino")}, {"precisions": ("f32", "f16")}, {"compare": "onnxruntime-f32"},
        {"options": ()}, {"target": ("-m", "pytest", "bench/test_quality.py")}, {"facts": {**UNIT.facts, "code": "x"}},
        {"facts": {**UNIT.facts, "data": {"dev": "x"}}},
        {"facts": {**UNIT.facts, "packages": {"pins": "c", "others": {"torch": "3"}}}},
    ],
    ids=str,
)  # fmt: skip
def test_everything_that_decides_the_result_decides_the_key(other: dict[str, Any]) -> None:
    assert dataclasses.replace(UNIT, **other).key != UNIT.key
    assert {field.name for field in dataclasses.fields(Unit)} == set(UNIT.fields()), "a new field needs a case above"


def test_nothing_else_decides_the_key(tmp_path: Path) -> None:
    """Neither how often and how long a unit is tried, nor the plan's name, comments and other cells."""
    first = expand(plan(tmp_path, CELLS), elsewhere=True)
    rest = "copies = 1\ntries = 9\nminutes = 1\ndisturbed = 'accept' # a comment\n"
    more = "[[cells]]\nmodels = ['minilm-l6']\n"
    second = expand(plan(tmp_path, rest + CELLS + more), elsewhere=True)
    assert [unit.key for unit in second[: len(first)]] == [unit.key for unit in first]
    assert dataclasses.replace(UNIT).key == UNIT.key


def test_a_node_with_other_facts_says_which() -> None:
    wanted = {"code": "a", "packages": {"others": {}}}
    assert deciding.differing(wanted, wanted) is None
    said = deciding.differing(wanted, {"code": "a", "packages": {"others": {"torch": "3"}}})
    assert said is not None
    assert "packages" in said
    assert "torch" in said
    assert "code" not in said


def test_facts_are_those_of_code_and_packages_here() -> None:
    found = deciding.facts("conformance", "current")
    assert found["packages"].keys() == {"pins", "python", "others"}
    assert found["code"] != deciding.facts("bench", "current")["code"]


def test_patterns_of_real_cpus_match_no_emulated_one() -> None:
    real, emulated = Node("a", "neoverse_v1"), Node("b", "emulated-neoverse-n1")
    assert (real.is_of("Neoverse*"), real.is_of("*"), real.is_of("zen*")) == (True, True, False)
    assert (emulated.is_of("*"), emulated.is_of("emulated-neoverse-n1")) == (False, True)
    assert Node.of({**real.labels, "ray.io/node-id": "1"}) == real
    assert Node.of({}) is None


def test_what_is_printed_for_other_schedulers_names_every_unit_as_often_as_it_has_copies(tmp_path: Path) -> None:
    found = plan(tmp_path, "copies = 2\n" + CELLS + ARM)
    units, path = expand(found, elsewhere=True), Path("plan.toml")
    jobs = json.loads(manifests.matrix(found, units, path))["include"]
    assert sorted(job["unit"] for job in jobs) == sorted(2 * [unit.name for unit in units])
    assert {job["runner"] for job in jobs if "neoverse" in job["unit"]} == {"ubuntu-24.04-arm"}
    program = manifests.slurm(found, units, path)
    compile(program, "submit.py", "exec")
    assert program.count('"graviton"') == 4
    assert "slurm_exclusive=True" in program
    items = json.loads(manifests.kubernetes(found, units, path))["items"]
    assert [item["spec"]["completions"] for item in items] == [4, 4]
    pod = items[1]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    names = pod["containers"][0]["command"][pod["containers"][0]["command"].index("--only") + 1].split(",")
    assert set(names) == {unit.name for unit in units if unit.cpu == "neoverse*"}


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_are_plans(path: Path) -> None:
    assert expand(read(path), elsewhere=True)
