"""Tests the table of known failures: every entry matches a variant, gives a reason, and links to an upstream report."""

from __future__ import annotations

import dataclasses
import json
import re
import string
from pathlib import Path

import pytest

from fixtures.core.errors import Crash, RemoteError
from fixtures.core.machine import this_machine
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import SIZES, Tokenization, Variant
from fixtures.known_failures import KNOWN_FAILURES, covering
from fixtures.known_failures.entry import ACCURACY, AGREEMENT, BUILD, TOKENIZER, KnownFailure, Situation, Subject
from fixtures.options.settings import Settings
from fixtures.store.source_code import ROOT
from tests.support.nested import run

EVERY: list[Subject] = [
    *REGISTRY.trials.values(),
    *(found for model in REGISTRY.models for size in SIZES for found in REGISTRY.subjects(model, size)),
]
MRPC = Situation(this_machine(), "MRPC")


@pytest.mark.parametrize("entry", KNOWN_FAILURES, ids=lambda entry: f"{entry.variant}:{entry.phase}:{entry.test}")
def test_every_entry_matches_a_variant_and_says_why(entry: KnownFailure) -> None:
    assert entry.trouble is None, f"{entry.name}: {entry.trouble}"
    assert any(entry.covers(variant, entry.phase, entry.test.replace("*", "x")) for variant in EVERY), (
        f"{entry.name} matches no variant of the registry: correct the pattern or delete the entry"
    )


def test_no_entry_expects_of_a_checkpoint_what_its_accuracy_is() -> None:
    """Entries about accuracy are ``sometimes``, because the loss depends on the weights and on the number of rows."""
    judged = [entry for entry in KNOWN_FAILURES if entry.phase == ACCURACY]
    assert all(
        entry.sometimes and re.search(entry.message, "m: loses 3.43 [1.64, 5.34] points, margin 0.83") for entry in judged
    )
    assert not any(re.search(entry.message, "m: can't tell") for entry in judged)


def entry(**changes: object) -> KnownFailure:
    fields = {
        "variant": "minilm-l6-pytorch-*",
        "phase": ACCURACY,
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
        ({"phase": "running"}, "its phase is none of build, agreement"),
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
        ({"sometimes": True}, "its sometimes is no text"),
        ({"sometimes": "the weights", "crashes": True}, "it crashes, so that nobody can see it pass"),
        ({}, None),
    ],
)
def test_a_malformed_entry_says_what_is_wrong(changes: dict[str, object], said: str | None) -> None:
    found = entry(**changes).trouble
    assert found is None if said is None else found is not None and said in found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("message", 4, "ERROR: the known failure '*-pytorch-f32' at phase 'agreement' cannot be used: its message '(' is no"),
        ("applies", 1, "the known failure '*-pytorch-f32' at phase 'agreement': its probe raises ZeroDivisionError (division"),
    ],
)  # fmt: skip
def test_a_run_with_a_malformed_entry_names_it(settings: Settings, change: str, code: int, said: str) -> None:
    """A malformed entry is named before any test runs, or in the test that calls its probe."""
    arguments = (
        "--models=minilm-l6",
        "--size=tiny",
        "--backends=pytorch",
        "--precisions=f32",
        f"--artifacts={settings.artifacts.root}",
    )
    plugin = "tests.support.malformed_entry"
    found = run(
        "tests/conformance/test_agreement.py", *arguments, ENCODER_PARITY_PLUGINS=plugin, ENCODER_PARITY_MALFORMED=change
    )
    assert found.returncode == code, found.stdout + found.stderr
    assert said in found.stdout + found.stderr
    assert not {
        word for word in ("Traceback", "INTERNALERROR", "fixtures/known_failures/entry") if word in found.stdout + found.stderr
    }


@pytest.mark.slow
def test_what_fails_sometimes_passes_or_fails_as_it_says(settings: Settings, tmp_path: Path) -> None:
    """An entry with ``sometimes`` allows a pass, but only the described failure.

    Of three builds that the entry matches, one works and passes, one fails as described and is a known failure, and one fails
    in another way and fails the test.
    """
    found = run(
        "tests/conformance/test_agreement.py", "bench/test_quality.py", "--models=minilm-l6", "--size=tiny",
        "--backends=pytorch",
        "--precisions=f32,f16,bf16", "-k", "agree", f"--artifacts={settings.artifacts.root}", f"--report={tmp_path / 'page'}",
        ENCODER_PARITY_PLUGINS="tests.support.uncertain_entry",
    )  # fmt: skip
    assert found.returncode == 1, found.stdout + found.stderr
    assert re.search(r"5 passed, .*5 xfailed, 5 errors", found.stdout), found.stdout[-3000:]
    rows = json.loads((tmp_path / "page" / "run.json").read_text(encoding="utf-8"))["encoder_parity"]["rows"]
    verdicts = {name.rpartition("-")[2]: row["verdict"] for name, row in rows.items()}
    assert {name: verdict.partition(" (")[0] for name, verdict in verdicts.items()} == {
        "f32": "ok", "bf16": "known failure", "f16": "FAILED: RuntimeError: something else is wrong",
    }  # fmt: skip


def test_an_entry_speaks_of_a_users_model_as_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are about families and builds, so they also match a user's model with another name and size."""
    users = {
        f"users-{model.family}": dataclasses.replace(model, name=f"users-{model.family}") for model in REGISTRY.models.values()
    }
    monkeypatch.setattr(REGISTRY, "models", {**REGISTRY.models, **users})
    for entry in KNOWN_FAILURES:
        for subject in EVERY:
            if isinstance(subject, (Variant, Tokenization)) and entry.covers(subject, entry.phase, "test_x"):
                same = dataclasses.replace(subject, model=f"users-{REGISTRY.models[subject.model].family}", size="full")
                assert entry.covers(same, entry.phase, "test_x"), f"{entry.name} covers {subject.id}, and not {same.id}"


def test_an_entry_of_a_family_covers_no_other() -> None:
    only = entry(variant="*-pytorch-f32", families=("ibert",))
    assert only.covers(Variant("ibert-roberta-base", "tiny", "pytorch", "f32"), ACCURACY, "test_x")
    assert not only.covers(Variant("minilm-l6", "tiny", "pytorch", "f32"), ACCURACY, "test_x")
    assert only.subjects == "`*-pytorch-f32` of ibert"


def test_an_entry_covers_its_phase_and_a_build_entry_every_phase() -> None:
    variant = Variant("minilm-l6", "full", "pytorch", "f32")
    assert entry().covers(variant, ACCURACY, "test_x")
    assert not entry().covers(variant, AGREEMENT, "test_x")
    assert entry(phase=BUILD).covers(variant, AGREEMENT, "test_x")
    assert not entry(test="test_y").covers(variant, ACCURACY, "test_x")
    assert not entry().covers(Variant("minilm-l6", "tiny", "pytorch", "f32"), ACCURACY, "test_x")


def test_only_an_entry_of_their_own_phase_covers_tokenizers() -> None:
    made = Tokenization("minilm-l6", "full", "keras_hub")
    pattern = {"variant": "minilm-l6-keras_hub*"}
    assert entry(phase=TOKENIZER, **pattern).covers(made, TOKENIZER, "test_x")
    assert not entry(phase=BUILD, **pattern).covers(made, TOKENIZER, "test_x")
    assert not entry(phase=TOKENIZER, **pattern).covers(made, "latency", "test_x")


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


LETTERS = [prefix + letter for prefix in ("", "##") for letter in string.ascii_lowercase]


@pytest.mark.parametrize(
    ("tokens", "normalizer", "reason"),
    [
        (["[UNK]", *LETTERS], {"lowercase": True, "strip_accents": None}, "accents are kept"),
        (["[UNK]", *LETTERS], {"lowercase": True, "strip_accents": False}, "control characters end a word"),
        (["[UNK]", *LETTERS], {"lowercase": False, "strip_accents": None}, "control characters end a word"),
        (["[UNK]", *LETTERS], None, "control characters end a word"),
        (["[UNK]", *LETTERS[:26]], {"lowercase": True, "strip_accents": None}, "control characters end a word"),
        (["<unk>", *LETTERS], {"lowercase": True, "strip_accents": None}, "KerasHub's tokenizers of BERT are WordPiece"),
    ],
)
def test_what_keras_hub_does_otherwise_depends_on_the_vocabulary(
    tmp_path: Path, tokens: list[str], normalizer: dict[str, object] | None, reason: str
) -> None:
    model = {"type": "WordPiece", "vocab": {token: number for number, token in enumerate(tokens)}}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, "normalizer": normalizer}), encoding="utf-8")
    found = covering(
        Tokenization("minilm-l6", "full", "keras_hub"),
        TOKENIZER,
        "test_ids_equal_those_of_the_fast_tokenizer",
        lambda: dataclasses.replace(MRPC, checkpoint=lambda: tmp_path),
    )
    assert found is not None
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(("activation", "fails"), [("gelu", True), ("relu", True), ("gelu_new", False)])
def test_keras_hubs_activation_is_wrong_for_others_only(tmp_path: Path, activation: str, fails: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_act": activation}), encoding="utf-8")
    variant = Variant("minilm-l6", "full", "tensorflow", "f32", "library_default")
    situation = dataclasses.replace(MRPC, checkpoint=lambda: tmp_path)
    assert (covering(variant, AGREEMENT, "test_x", lambda: situation) is not None) is fails


def test_what_differs_between_two_cpus_depends_on_both() -> None:
    """An artifact built for a CPU with exact sums saturates on a CPU without them, not the other way round."""
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
    """Only the plugin skips or expects failures; a skip or xfail elsewhere would be a second table of known failures."""
    pattern = re.compile(r"pytest\.xfail\(|importorskip|mark\.(skip|xfail)\b")
    allowed = {"outcomes.py", Path(__file__).name}
    guilty = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("fixtures", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in allowed
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not guilty
