"""Tests the suite as users run it: its imports, the cost of collection, what it builds, messages for bad input."""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.options.settings import Settings
from fixtures.pytest_plugin.xdist import scope
from fixtures.store.source_code import ROOT
from tests.support.nested import MENDED, SOMETIMES, run, surroundings

FRAMEWORKS = ("torch", "tensorflow", "onnxruntime", "transformers", "onnx", "keras", "keras_hub")
#: Modules that take seconds to import.
LIBRARIES = (
    "scipy", "sklearn", "pandas", "pyarrow", "datasets", "huggingface_hub", "safetensors", "playwright", "matplotlib", "fsspec",
)  # fmt: skip


#: Limits for the cost of collection: Python calls for each collected test, including deselected ones (690 for each of 5,517
#: tests in 2026, a second in total), and modules in the process (1,305; pytest and its plugins alone have 534).
CALLS_A_TEST, MODULES = 1000, 1400
#: Code that collects under a profiler and prints the cost; pytest-benchmark runs git, hg and file to describe the checkout.
COLLECTING = """
import cProfile, hashlib, json, sys, pytest
started, hashed = [], []
asking = {"subprocess.Popen": lambda args: args[0], "os.posix_spawn": lambda args: args[0], "os.fork": lambda args: "fork"}
sys.addaudithook(lambda event, args: started.append(asking[event](args)) if event in asking else None)
digest = hashlib.file_digest
hashlib.file_digest = lambda file, *rest: hashed.append(file.name) or digest(file, *rest)
profile = cProfile.Profile()
code = profile.runcall(pytest.main, ["--collect-only", "-q", "--assert=plain", *sys.argv[1:]])
calls = sum(entry.callcount for entry in profile.getstats())
print(json.dumps({
    "code": int(code), "calls": calls, "modules": sorted(sys.modules), "started": started, "hashed": hashed,
}))
"""


def test_collecting_is_little_work_and_imports_no_framework(tmp_path: Path) -> None:
    """Collection imports no framework or data library, starts no worker process, hashes no file and builds nothing.

    The cost is counted in calls, since seconds depend on other work on the machine. The first session on a store asks a worker
    process for the providers of ONNX Runtime.
    """
    store = tmp_path / "store"
    assert run("tests/conformance/test_structure.py", "--collect-only", "-q", f"--artifacts={store}").returncode == 0
    before = {path.name for path in store.iterdir()} - {"locks", "tmp", "runs"}
    assert {name.partition("-")[0] for name in before} <= {"providers"}
    found = subprocess.run(
        [sys.executable, "-c", COLLECTING, "tests", "bench", "-p", "no:cacheprovider", f"--artifacts={store}"],
        cwd=ROOT, env=surroundings(), capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    *_, summary, told = found.stdout.strip().splitlines()
    work, collected = json.loads(told), re.search(r"(\d+) tests collected", summary)
    assert collected, found.stdout[-2000:]
    assert work["code"] == 0, found.stdout[-2000:]
    assert not {name.partition(".")[0] for name in work["modules"]} & {*FRAMEWORKS, *LIBRARIES}
    assert set(work["started"]) <= {"git", "hg", "file"}, work["started"]
    assert not work["hashed"]
    assert {path.name for path in store.iterdir()} - {"locks", "tmp", "runs"} == before
    assert len(work["modules"]) < MODULES, f"collecting imports {len(work['modules'])} modules"
    each = work["calls"] / int(collected[1])
    assert each < CALLS_A_TEST, f"collecting takes {each:.0f} calls a test"


def test_what_a_child_imports_is_python_3_8() -> None:
    """All code that worker processes import has Python 3.8 syntax and does not evaluate parametrized builtins."""
    packages = ("core", "models", "backends", "tokenizers", "worker")
    for path in (path for name in packages for path in sorted((ROOT / "fixtures" / name).rglob("*.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 8))
        frameworks = [
            node.lineno
            for node in tree.body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            and any(name.split(".")[0] in FRAMEWORKS for name in _imported(node))
        ]
        assert not frameworks, f"{path} imports a framework when it is loaded, line {frameworks}"
        since_3_9 = [
            part.lineno
            for node in tree.body
            if isinstance(node, ast.Assign)  # annotations are not evaluated
            for part in ast.walk(node.value)
            if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and hasattr(builtins, part.value.id)
        ]
        assert not since_3_9, f"{path}: {since_3_9}: Dict[...] and the like, of typing, in Python 3.8"


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]


@pytest.mark.slow
def test_two_workers_build_each_artifact_once(tmp_path: Path) -> None:
    """Two xdist workers build every folder in the store once; the run's journal has no other build."""
    arguments = ("--models", "distilbert-base-cased", "--size", "tiny", "--backends", "onnxruntime,onnxruntime_fused")
    found = run("tests/conformance/test_agreement.py", "-n", "2", *arguments, "--artifacts", str(tmp_path), timeout=600)
    assert found.returncode == 0, found.stdout[-3000:]
    built = re.search(r"built (\d+) artifacts", found.stdout)
    assert built, found.stdout[-3000:]
    stored = list(tmp_path.glob("*/artifact.json"))
    assert int(built[1]) == len(stored) >= 12
    names = [json.loads(path.read_text())["name"] for path in stored]
    built_once = [name for name in names if not name.endswith("-bounds")]  # bounds are built once for each arithmetic
    assert len(built_once) == len(set(built_once)) > len(names) / 2
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "runs").iterdir())
    again = run("tests/conformance/test_agreement.py", *arguments, "--artifacts", str(tmp_path), timeout=600)
    assert again.returncode == 0, again.stdout[-3000:]
    assert "built 0" not in again.stdout
    assert not re.search(r"built \d+ artifacts", again.stdout), "a later run built again"


def test_tiny_models_of_three_families_stand_for_the_others(tmp_path: Path) -> None:
    """By default one tiny model each of three families is tested; ``--whole-matrix`` adds all, and named ones are included."""
    collect = ("--collect-only", "-q", "tests/conformance/test_agreement.py", "--backends=pytorch", f"--artifacts={tmp_path}")
    models = [{found[1] for found in re.finditer(r"\[(\S+)-pytorch-f32-padded\]", run(*collect, *more).stdout)}
              for more in ((), ("--whole-matrix",), ("--models=bert-base-uncased,electra", "--size=tiny"))]  # fmt: skip
    assert models[0] == {"minilm-l6", "bert-base-cased-tiny", "distilbert-base-cased-tiny", "ibert-roberta-base-tiny"}
    assert models[1] == {"minilm-l6", *(f"{name}-tiny" for name in REGISTRY.models)}
    assert models[2] == {"bert-base-uncased-tiny", "electra-small-tiny"}


def test_one_model_stands_for_the_properties_of_a_runtime(tmp_path: Path) -> None:
    """Properties of a runtime are tested on the first tiny model; the other models are slow, unless an option names them."""
    collect = ("--collect-only", "-q", "tests/conformance/test_invariance.py", "--backends=pytorch", f"--artifacts={tmp_path}")
    of = [{found[1] for found in re.finditer(r"twice\S*\[(\S+)-pytorch-f32\]", run(*collect, *more).stdout)}
          for more in ((), ("-m", "slow"), ("--models=ibert-roberta-base", "--size=tiny"))]  # fmt: skip
    assert of[0] == {"bert-base-cased-tiny"}
    assert of[1] == {"minilm-l6", "distilbert-base-cased-tiny", "ibert-roberta-base-tiny"}
    assert of[2] == {"ibert-roberta-base-tiny"}


def test_settings_work_through_pytest_addopts(tmp_path: Path) -> None:
    options = "--models ibert-roberta-base --size tiny --precisions int8_static"
    found = run("--collect-only", "-q", "tests", f"--artifacts={tmp_path}", PYTEST_ADDOPTS=options)
    assert "ibert-roberta-base-tiny-pytorch-int8_static-quant_mode" in found.stdout
    assert "minilm-l6-pytorch-f32" not in found.stdout
    assert "onnxruntime-f32]" not in found.stdout


def test_cases_for_another_architecture_are_skipped_with_the_reason(tmp_path: Path) -> None:
    """-m arm on x86-64 (and -m intel on aarch64) measures nothing, prints the reason and exits with 0."""
    other = "arm" if os.uname().machine == "x86_64" else "intel"
    arguments = ("--backends", "onnxruntime", "--precisions", "f32", "--artifacts", str(tmp_path / "store"))
    found = run("bench", "-m", other, *arguments, f"--benchmark-json={tmp_path / 'out.json'}")
    assert found.returncode == 0, found.stdout[-3000:]
    assert f'-m "{other}" asks for another machine' in found.stdout
    assert "passed" not in found.stdout.splitlines()[-1]
    assert json.loads((tmp_path / "out.json").read_text())["benchmarks"] == []


def test_a_users_checkpoint_is_a_model_of_its_own(tmp_path: Path) -> None:
    """--checkpoint NAME=FOLDER adds a model; its tests are collected under its name."""
    config = {"model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8, "vocab_size": 99}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    (tmp_path / "mine" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "mine" / "tokenizer.json").write_text('{"model": {}}')
    store = str(tmp_path / "store")
    found = run("--collect-only", "-q", "tests", "--checkpoint", f"my-bert={tmp_path / 'mine'}", "--artifacts", store)
    for recipe in ("", "-library_default"):  # it has no tiny size that tests the recipe instead
        assert f"test_accuracy_holds[my-bert-pytorch-int8_dynamic{recipe}]" in found.stdout
    assert "test_accuracy_holds[my-bert-onnxruntime-int8_dynamic]" in found.stdout
    assert "minilm-l6-pytorch-f32" not in found.stdout
    (tmp_path / "mine" / "config.json").write_text(json.dumps({**config, "model_type": None, "max_position_embeddings": 64}))
    refused = run("--collect-only", "-q", "tests", "--checkpoint", f"my-bert={tmp_path / 'mine'}", "--artifacts", store)
    assert refused.returncode == 4
    assert "has a config.json without a model_type, which names its architecture" in refused.stderr


def test_a_worker_gets_all_tests_of_a_variant() -> None:
    ids = {v.id for v in REGISTRY.variants("minilm-l6", "tiny")}
    plain, opset = "minilm-l6-tiny-onnxruntime-f32", "minilm-l6-tiny-onnxruntime-f32-opset11"
    assert scope(f"tests/test_a.py::test_a[{plain}-single]", ids) == plain
    assert scope(f"tests/test_b.py::test_b[{opset}]", ids) == opset
    assert scope("tests/test_c.py::test_c", ids) == "tests/test_c.py"
    assert scope("tests/test_c.py::test_c[other]", ids) == "tests/test_c.py"


@pytest.mark.parametrize("name", sorted(REGISTRY.models))
def test_every_model_has_a_reference_and_a_baseline(name: str) -> None:
    variants: list[Any] = list(REGISTRY.variants(name, "tiny"))
    assert len({v.id for v in variants}) == len(variants)
    assert sum(REGISTRY.lowering(v).reference for v in variants) == 1
    assert REGISTRY.pytorch_f32(name, "tiny") in variants


@pytest.fixture
def here(settings: Settings) -> tuple[str, ...]:
    """Options that select agreement of one tiny model, with the data and the artifacts of this run."""
    data = [f"--mrpc={settings.mrpc}"] if settings.mrpc else []
    test = "tests/conformance/test_agreement.py::test_agrees_with_the_reference"
    return (test, "--models=minilm-l6", "--size=tiny", f"--artifacts={settings.artifacts.root}", *data)


@pytest.mark.slow
def test_a_backend_that_kills_its_process_costs_its_own_tests_only(here: tuple[str, ...]) -> None:
    """A backend whose process is killed in a build or an inference fails with the signal's name; all other tests run."""
    found = run(*here, "--backends=crashing,onnxruntime", "--precisions=f32", ENCODER_PARITY_PLUGINS="tests.support.crashing")
    assert found.returncode == 1, found.stdout[-3000:]
    assert "Crash: minilm-l6-tiny-crashing-f32-invoke was killed by SIGSEGV" in found.stdout, found.stdout[-3000:]
    assert re.search(r"Crash: \S+ was killed by SIGKILL \(out of memory\?\)", found.stdout), found.stdout[-3000:]
    assert "4 passed, 4 errors" in found.stdout


@pytest.mark.slow
def test_a_known_failure_that_works_fails_the_run(here: tuple[str, ...]) -> None:
    """A known failure that no longer occurs fails its strict xfail, which asks to delete the entry.

    Every cell with a known failure is built as if upstream had fixed it. If the failure depends on the weights, the test
    passes.
    """
    names = ["-".join(cell) for cell in MENDED.keys() - SOMETIMES]
    every = " or ".join("-".join(cell) for cell in MENDED)
    found = run(*here, "-k", every, ENCODER_PARITY_PLUGINS="tests.support.upstream_fixed", timeout=600)
    assert found.returncode == 1, found.stdout[-3000:]
    for name in names:
        assert (
            found.stdout.count(
                f"FAILED tests/conformance/test_agreement.py::test_agrees_with_the_reference[minilm-l6-tiny-{name}"
            )
            == 2
        )
    assert found.stdout.count("[XPASS(strict)]") >= 2 * len(names), found.stdout[-3000:]
    assert f"{2 * len(names)} failed, {2 * len(SOMETIMES)} passed" in found.stdout


def test_a_gelu_that_is_not_fused_fails_the_check_of_the_file(settings: Settings) -> None:
    """The file of the second cell, in which one of two GELUs is decomposed, fails the check although its outputs are equal."""
    found = run(
        "tests/conformance/test_structure.py", "--models=bert-base-cased", "--size=tiny", "--backends=onnxruntime_fused",
        "--precisions=f32", "-k=tiny and not library_default", f"--artifacts={settings.artifacts.root}",
        ENCODER_PARITY_PLUGINS="tests.support.unfused",
    )  # fmt: skip
    assert "1 failed, 9 passed" in found.stdout, found.stdout[-3000:]
    assert re.search(r"bert-base-cased-tiny-onnxruntime_fused-f32-one_gelu_in_pieces .*: 1 \S*BiasGelu\S*, not 2", found.stdout)
