"""The table of expected failures stays honest: every entry speaks of something, says why, and links upstream."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from fixtures.code import ROOT
from fixtures.errors import Crash, RemoteError
from fixtures.failures import ACCURACY, AGREEMENT, BUILD, TOKENIZER, KnownFailure, Situation, Subject
from fixtures.known_failures import KNOWN_FAILURES, covering
from fixtures.machine import this_machine
from fixtures.registry import REGISTRY
from fixtures.settings import Settings
from fixtures.spec import SIZES, Tokenization, Variant
from tests.nested import run

EVERY: list[Subject] = [
    *REGISTRY.trials.values(),
    *(found for model in REGISTRY.models for size in SIZES for found in REGISTRY.subjects(model, size)),
]
MRPC = Situation(this_machine(), "MRPC")


@pytest.mark.parametrize("entry", KNOWN_FAILURES, ids=lambda entry: f"{entry.variant}:{entry.stage}:{entry.test}")
def test_every_entry_matches_a_variant_and_says_why(entry: KnownFailure) -> None:
    assert entry.trouble is None, f"{entry.name}: {entry.trouble}"
    assert any(entry.covers(variant, entry.stage, entry.test.replace("*", "x")) for variant in EVERY), (
        f"{entry.name} matches no variant of the registry: correct the pattern or delete the entry"
    )


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"message": "unknown (engine"}, "its message 'unknown (engine' is no regular expression (missing )"),
        ({"message": ""}, "its message is no text"),
        ({"message": None}, "its message is no text"),
        ({"stage": "running"}, "its stage is none of build, agreement"),
        ({"exception": "RemoteError"}, "its exception 'RemoteError' is no class of exceptions"),
        ({"exception": RemoteError("x")}, "is no class of exceptions"),
        ({"exception": int}, "is no class of exceptions"),
        ({"link": ""}, "its link '' leads nowhere: give the https:// address"),
        ({"link": "javascript:alert(1)"}, "leads nowhere"),
        ({"link": "http://example.org/1"}, "leads nowhere"),
        ({"reason": " "}, "its reason is no text"),
        ({"remedy": None}, "its remedy is no text"),
        ({"variant": ""}, "its variant is no text"),
        ({"applies": True}, "its probe True cannot be called"),
        ({}, None),
    ],
)
def test_a_malformed_entry_says_what_is_wrong(changes: dict[str, object], said: str | None) -> None:
    found = entry(**changes).trouble
    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("message", 4, "ERROR: the known failure '*-pytorch-f32' at stage 'agreement' cannot be used: its message '(' is no"),
        ("applies", 1, "the known failure '*-pytorch-f32' at stage 'agreement': its probe raises ZeroDivisionError (division"),
    ],
)  # fmt: skip
def test_a_run_with_a_malformed_entry_names_it(settings: Settings, change: str, code: int, said: str) -> None:
    """Before anything runs, or in the test that asks its probe."""
    arguments = (
        "--models=minilm-l6",
        "--size=tiny",
        "--backends=pytorch",
        "--precisions=f32",
        f"--artifacts={settings.artifacts}",
    )
    plugin = "tests.malformed_entry"
    found = run("tests/test_agreement.py", *arguments, ENCODER_PARITY_PLUGINS=plugin, ENCODER_PARITY_MALFORMED=change)
    assert found.returncode == code, found.stdout + found.stderr
    assert said in found.stdout + found.stderr
    assert not {word for word in ("Traceback", "INTERNALERROR", "fixtures/failures") if word in found.stdout + found.stderr}


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
