"""Tests that the suite detects faults, on a selection of them; ``tests.mutation.detection`` injects all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.options.settings import Settings
from fixtures.store.artifact import Request
from fixtures.store.store import Store
from tests.mutation.detection import CONFORMANCE, ONCE, PLUGIN, SUBJECTS, Finding, collect, read, sentence
from tests.mutation.faults.unseen import never, reason

#: Every fault once, on ONNX Runtime and one tokenizer, and the faults that only int8, f16 or PyTorch can have.
CHOSEN = (
    "onnxruntime-f32-fault", "int8_static-fault_mask", "int8_static-fault_zero", "int8_static-fault_per", "int8_static-fault_r",
    "int8_static-fault_prev", "int8_static-fault_other_row", "f16-fault_mask_o", "pytorch-f32-fault_dropout",
    "pytorch-f32-fault_finite", "transformers_fast", "onnxruntime-f32-single", "onnxruntime-f32-padded", "int8_static-padded",
)  # fmt: skip
QUICK = (
    *CONFORMANCE, "tests/conformance/test_tokenizers.py", *ONCE, "--models=bert-base-cased", "--size=tiny",
    "--tokenizers=transformers_fast", "--backends=onnxruntime,pytorch", "-k", f"not first_epoch and ({' or '.join(CHOSEN)})",
)  # fmt: skip


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory, settings: Settings, harness: Harness) -> list[Finding]:
    """The results of the suite's tests on QUICK, from a separate pytest process."""
    junit = tmp_path_factory.mktemp("detection") / "quick.xml"
    options = (f"--artifacts={harness.store.root}", *([f"--mrpc={settings.mrpc}"] if settings.mrpc else []))
    collect(junit, *QUICK, *options, workers=1, **PLUGIN)
    return read(junit, SUBJECTS["tiny"])


def test_every_fault_is_caught_or_declared_unseen(findings: list[Finding]) -> None:
    """A fault is in the table of undetectable faults if and only if no test caught it; either will do where machines differ."""
    faulty = [finding for finding in findings if finding.fault]
    assert len(faulty) > 25, [finding.cell for finding in findings]
    caught = {(f.fault, f.backend, f.precision): bool(f.failures) for f in faulty}
    missed = sorted(key for key, found in caught.items() if not found and key[2] and reason(*key) is None)
    assert not missed, f"nobody caught {missed}"
    seen = sorted(key for key, found in caught.items() if found and never(*key) is not None)
    assert not seen, f"declared unseen in tests/mutation/faults/unseen.py, and caught: {seen}"


def test_right_variants_beside_them_raise_no_alarm(findings: list[Finding]) -> None:
    """The same tests pass on unchanged builds."""
    right = [finding for finding in findings if not finding.fault and not finding.known]
    alarms = {finding.cell: finding.failures for finding in right if finding.failures}
    assert right
    assert not alarms


def test_what_hides_below_the_noise_is_found_by_its_name(findings: list[Finding]) -> None:
    """int8 without an attention mask is detected by its attention stage.

    End to end it agrees to 16 dB, more than some correct builds do.
    """
    found = {(f.fault, f.precision): sentence(f.failures[f.verdict]) for f in findings if f.fault and f.failures}
    assert re.search(r"attention: the (median|worst) (position|channel)", found["mask_ignored", "int8_static"])
    assert re.search(r"logits: the (median|worst) position", found["other_row", "int8_static"])


def _flipped(copy: Path, other: Path) -> None:
    largest = max((path for path in copy.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def _stale(copy: Path, other: Path) -> None:
    shutil.rmtree(copy)
    shutil.copytree(other, copy)


HARMS: dict[Callable[[Path, Path], None], str] = {
    _flipped: "does not match its sha256",
    _stale: "is that of another artifact",
}


@pytest.mark.phase("build")
@pytest.mark.variants(size="tiny")
def test_a_broken_artifact_is_never_served(harness: Harness, variant: Variant, tmp_path: Path) -> None:
    """The store refuses an artifact with a flipped bit, and one of another checkpoint under the right name."""
    artifact = harness.artifact(variant)
    other = harness.artifact(REGISTRY.reference(variant.model, variant.size))
    request = Request(artifact.manifest["name"], artifact.manifest["inputs"])

    def build(out: Path) -> dict[str, object]:
        shutil.copytree(artifact.path, out, dirs_exist_ok=True)
        return {"value": dict(artifact.meta), "seconds": 0.0, "peak_mib": 0.0}

    for harm, expected in HARMS.items():
        said: list[str] = []
        store = Store(tmp_path / harm.__name__, "run", said.append)
        copy = store.root / artifact.path.name
        shutil.copytree(artifact.path, copy)
        harm(copy, other.path)
        assert store.get(request, build).digest == artifact.digest
        assert len(said) == 1, f"{variant.id}, {harm.__name__}: {said}"
        assert expected in said[0], f"{variant.id}, {harm.__name__}: {said}"
