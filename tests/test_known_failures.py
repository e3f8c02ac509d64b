"""The table of expected failures stays honest: every entry speaks of something, says why, and links upstream."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from fixtures.errors import Crash, RemoteError
from fixtures.failures import ACCURACY, AGREEMENT, BUILD, STAGES, TOKENIZER, KnownFailure, Situation, Subject
from fixtures.isolation import ROOT
from fixtures.known_failures import KNOWN_FAILURES, covering
from fixtures.machine import this_machine
from fixtures.registry import REGISTRY
from fixtures.spec import SIZES, Tokenization, Variant

EVERY: list[Subject] = [
    *REGISTRY.trials.values(),
    *(found for model in REGISTRY.models for size in SIZES for found in REGISTRY.subjects(model, size)),
]
MRPC = Situation(this_machine(), "MRPC")


@pytest.mark.parametrize("entry", KNOWN_FAILURES, ids=lambda entry: f"{entry.variant}:{entry.stage}:{entry.test}")
def test_every_entry_matches_a_variant_and_says_why(entry: KnownFailure) -> None:
    assert entry.stage in STAGES
    assert any(entry.covers(variant, entry.stage, entry.test.replace("*", "x")) for variant in EVERY), "it matches no variant"
    assert re.match(r"https://\S+/\S+", entry.link), "it has no upstream link"
    assert entry.reason
    assert entry.remedy
    re.compile(entry.message)


def entry(**changes: object) -> KnownFailure:
    fields = {
        "variant": "minilm-l6-pytorch-*",
        "stage": ACCURACY,
        "exception": RemoteError,
        "message": "unknown engine",
        "reason": "r",
        "remedy": "m",
        "link": "https://example.org/1",
    }
    return KnownFailure(**{**fields, **changes})  # type: ignore[arg-type]


def test_an_entry_covers_its_stage_and_a_build_entry_every_stage() -> None:
    variant = Variant("minilm-l6", "full", "pytorch", "f32")
    assert entry().covers(variant, ACCURACY, "test_x")
    assert not entry().covers(variant, AGREEMENT, "test_x")
    assert entry(stage=BUILD).covers(variant, AGREEMENT, "test_x")
    assert not entry(test="test_y").covers(variant, ACCURACY, "test_x")
    assert not entry().covers(Variant("minilm-l6", "tiny", "pytorch", "f32"), ACCURACY, "test_x")


def test_only_an_entry_of_their_own_stage_covers_tokenizers() -> None:
    made = Tokenization("minilm-l6", "full", "keras_hub")
    pattern = {"variant": "minilm-l6-keras_hub*"}
    assert entry(stage=TOKENIZER, **pattern).covers(made, TOKENIZER, "test_x")
    assert not entry(stage=BUILD, **pattern).covers(made, TOKENIZER, "test_x")
    assert not entry(stage=TOKENIZER, **pattern).covers(made, "latency", "test_x")


def test_an_entry_explains_its_own_failure_only() -> None:
    assert entry().explains(RemoteError("RuntimeError: unknown engine"))
    assert not entry().explains(RemoteError("RuntimeError: something else"))
    assert not entry().explains(Crash("unknown engine"))


def test_the_probe_is_asked_only_if_an_entry_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixtures.known_failures.KNOWN_FAILURES", (entry(applies=lambda s: s.data == "MRPC"),))
    variant = Variant("minilm-l6", "full", "pytorch", "f32")
    assert covering(variant, AGREEMENT, "t", lambda: pytest.fail("asked")) is None
    assert covering(variant, ACCURACY, "t", lambda: MRPC) is not None
    assert covering(variant, ACCURACY, "t", lambda: Situation(this_machine(), "stand-in")) is None


def test_what_differs_between_two_cpus_depends_on_both() -> None:
    """An artifact for a CPU with exact sums saturates on one without; never the other way, nor between equals."""
    here = this_machine()
    exact = dataclasses.replace(here, architecture="x86_64", isa=("avx2", "avx512_vnni"))
    saturating = dataclasses.replace(exact, isa=("avx2",))
    arm = dataclasses.replace(here, architecture="aarch64", isa=("asimddp", "asimdhp"))
    assert Situation(saturating, "", exact).saturates_here
    assert Situation(saturating, "", arm).saturates_here
    for machine, recorded in ((exact, saturating), (saturating, saturating), (arm, exact), (saturating, None)):
        assert not Situation(machine, "", recorded).saturates_here
    assert Situation(arm, "", exact).half_precision_differs
    assert Situation(exact, "", arm).half_precision_differs
    assert not Situation(arm, "", arm).half_precision_differs
    assert not Situation(arm, "").half_precision_differs
    assert Situation(arm, "", exact).crosses_architectures
    assert not Situation(exact, "", saturating).crosses_architectures
    assert not Situation(exact, "").crosses_architectures


@pytest.mark.parametrize(
    ("installed", "has"), [({"torch": "2.13.0+cpu"}, True), ({"torch": "2.10.0"}, False), ({"onnx": "2.13"}, False)]
)
def test_a_probe_may_ask_for_a_version(installed: dict[str, str], has: bool) -> None:
    assert Situation(this_machine(), "", versions=installed).has("torch >= 2.11") is has


def test_no_other_place_skips_or_expects_failure() -> None:
    """A bare skip or xfail elsewhere would be a second table."""
    pattern = re.compile(r"pytest\.xfail\(|importorskip|mark\.(skip|xfail)\b")
    allowed = {"plugin.py", Path(__file__).name}
    guilty = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("fixtures", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in allowed
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not guilty
