"""Tests the keys of artifacts: a change of code, a version, the interpreter or the CPU is noticed with a warm store."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.core import versions
from fixtures.core.spec import Variant
from fixtures.core.versions import closure, requirements
from fixtures.harness.harness import Harness
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.settings import Settings
from fixtures.store import source_code
from tests.support.checkouts import copied, edit
from tests.support.nested import command, run, surroundings

PYTORCH = Variant("bert-base-cased", "tiny", "pytorch", "f32")
INT8 = replace(PYTORCH, backend="onnxruntime", precision="int8_dynamic")


def files(module: str) -> set[str]:
    """The files of the suite that determine the behaviour of ``module``."""
    return {
        str(path.relative_to(source_code.ROOT / "fixtures"))
        for path in source_code.closure(source_code.ROOT / f"{module.replace('.', '/')}.py")
    }


def test_code_is_found_through_imports_inside_functions_too(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    for name, text in {
        "pack/first.py": "def f():\n    from pack import second\n",
        "pack/second.py": "import json\nimport pack.third as other\n",
        "pack/third.py": "from pack.first import f\n",
        "pack/stranger.py": "",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = source_code.closure(tmp_path / "pack" / "first.py", tmp_path)
    assert {path.stem for path in found} == {"first", "second", "third"}


def test_the_digest_is_of_code_and_not_of_comments(tmp_path: Path) -> None:
    """Another comment, docstring or layout has the same digest; another constant has not."""

    def digest(name: str, text: str) -> str:
        file = tmp_path / name / "module.py"
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
        return source_code.digest((), [file], tmp_path / name)

    plain = digest("plain", 'def f(x):\n    return "a", x + 1\n')
    assert plain == digest("commented", '"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    # why\n    return ("a", x + 1)\n')
    assert plain != digest("other", 'def f(x):\n    return "a", x + 2\n')
    assert plain != digest("text", 'def f(x):\n    return "b", x + 1\n')


@pytest.mark.parametrize(
    ("module", "decided_by"),
    [
        ("fixtures.worker.jobs.build", {"core/registry.py", "core/spec.py", "worker/jobs/build.py"}),
        (
            "fixtures.worker.jobs.checkpoint",
            {f"worker/{name}.py" for name in ("jobs/checkpoint_files", "jobs/_hub", "synthetic_mrpc")},
        ),
        (
            "fixtures.backends.pytorch",
            {"backends/_torch.py", "backends/_calibration.py", "core/hidden_states.py", "core/isa.py"},
        ),
        (
            "fixtures.backends.tflite",
            {"backends/_keras.py", "backends/_tflite.py", "core/hidden_states.py", "core/registry.py"},
        ),
        ("fixtures.worker.server", {"worker/static_shapes.py", "core/codec.py", "core/registry.py"}),
    ],
)
def test_what_decides_is_in_the_digest(module: str, decided_by: set[str]) -> None:
    assert decided_by <= files(module)


def test_neither_bounds_nor_another_backend_build_anew() -> None:
    found = files("fixtures.backends.pytorch") | files("fixtures.worker.jobs.build")
    assert not {"core/precisions.py", "backends/tflite.py", "report/results.py", "pytest_plugin/hooks.py"} & found


def test_versions_are_those_of_all_that_a_package_depends_on() -> None:
    found = closure(("onnxruntime",), requirements(("onnxruntime", "torch")))
    assert {"onnxruntime", "numpy", "protobuf", "flatbuffers"} <= set(found)
    assert "torch" not in found


def test_what_a_package_asks_for_elsewhere_is_none_of_its_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency for another platform is not in the key: tqdm needs colorama only on Windows."""
    lines = ['colorama; platform_system == "Windows"', "numpy>=1", 'protobuf; extra == "test"']
    assert versions._asked(lines) == ["numpy"]
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert versions._asked(lines) == ["colorama", "numpy"], "an old stack without packaging takes what is installed"


@pytest.mark.slow
@pytest.mark.backend("onnxruntime")
def test_a_key_names_versions_cpu_and_threads(harness: Harness, settings: Settings) -> None:
    """The key depends on versions, CPU and threads; an artifact built from another one is keyed by the content of that one."""

    def key(**changed: Any) -> str:
        made = Harness(settings, harness.store, print)
        for name, value in changed.items():
            setattr(made.toolchain, name, value)
        try:
            return made.order(INT8)[0].key
        finally:
            made.close()

    known, machine = harness.home.toolchain.requirements, harness.home.toolchain.machine
    keys = [
        key(),
        key(machine=replace(machine, microarchitecture="another")),
        key(machine=replace(machine, isa=machine.isa[1:])),
        key(threads=lambda heavy: 3),
        key(requirements={**known, "protobuf": ("0", [])}),  # writes the file, and onnx depends on it
        key(requirements={**known, "python": ("3.99", [])}),
    ]
    assert key() == keys[0]
    assert len(set(keys)) == len(keys), keys


@pytest.mark.slow
@pytest.mark.backend("pytorch")
def test_a_change_of_code_is_seen_under_a_warm_store(tmp_path: Path) -> None:
    """After a change of the code that reads outputs (logits are doubled), the reference is computed again."""
    checkout = copied(tmp_path / "checkout")

    def agreement() -> subprocess.CompletedProcess[str]:
        arguments = ("tests/conformance/test_agreement.py", "--models=bert-base-cased", "--size=tiny", "--backends=torchscript",
                     "--precisions=f32", f"--artifacts={tmp_path / 'store'}", "-k", "padded")  # fmt: skip
        return subprocess.run(
            command(*arguments), cwd=checkout, env=surroundings(), capture_output=True, text=True, timeout=300, check=False
        )

    first = agreement()
    assert first.returncode == 0, first.stdout[-3000:]
    references = set((tmp_path / "store").glob("*-reference-outputs-*"))
    edit(checkout / "fixtures" / "backends" / "pytorch.py", 'name = "pytorch"\n', _DOUBLED)
    second = agreement()
    assert second.returncode == 1, second.stdout[-3000:]
    assert "end to end, logits: the median position " in second.stdout, second.stdout[-3000:]
    assert len(set((tmp_path / "store").glob("*-reference-outputs-*")) - references) == 1, "no new reference was computed"


#: A change that makes only eager PyTorch wrong, which is the backend of the reference.
_DOUBLED = """name = "pytorch"

    def outputs(self, result: Any) -> Dict[str, Any]:
        found = super().outputs(result)
        return {**found, "logits": 2 * found["logits"]}
"""


@pytest.mark.slow
@pytest.mark.backend("pytorch")
def test_another_dev_set_is_no_reason_to_train_again(tmp_path: Path) -> None:
    """With another dev set, the model is not trained again, but its accuracy on the task is measured again."""
    small, worker = tmp_path / "small", WorkerProcess("encoder", tmp_path / "log", threads=1)
    try:
        worker.ask("call", timeout=120, target="tests.support.folders:encoder", arguments={"out": str(small)})
    finally:
        worker.close()
    row = "{label}\t1\t2\tThe company sold {n} shares on {day} .\tOn {day} {n} shares were sold by {who} .\n"
    for folder, day in (("first", "Monday"), ("second", "Friday")):
        (tmp_path / folder).mkdir()
        for split, when in (("train", "Tuesday"), ("dev", day)):
            rows = [row.format(label=n % 2, n=n, day=when, who=("it", "them")[n % 2]) for n in range(40)]
            header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
            (tmp_path / folder / f"{split}.tsv").write_text(header + "".join(rows), encoding="utf-8")
        # Whether it has learnt anything is not the question.
        run("bench/test_quality.py", f"--checkpoint=small={small}", f"--mrpc={tmp_path / folder}", "--backends=pytorch",
            "--precisions=f32", f"--artifacts={tmp_path / 'store'}", "-k", "accuracy")  # fmt: skip
    assert len(list((tmp_path / "store").glob("mrpc-*"))) == 2
    assert len(list((tmp_path / "store").glob("small-fine-tuned-*"))) == 1
