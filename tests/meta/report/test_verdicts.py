"""Tests the verdict in a row of a variant with failed tests: figure and bound, without text that the row already has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.core.errors import Crash, Hang, RemoteError, SuiteError
from fixtures.pytest_plugin.usage_errors import LONGEST_VERDICT, gist
from fixtures.report import results
from fixtures.report.sections import measured, table, verdict
from fixtures.report.table import plain
from fixtures.store.store import Store

ID = "minilm-l6-onnxruntime-int8_dynamic"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssertionError(f"{ID}: hidden-state SQNR 8.1 dB < 10 dB\nassert not ['hidden-state SQNR 8.1 dB < 10 dB']"),
         "hidden-state SQNR 8.1 dB < 10 dB"),
        (AssertionError(f"{ID}, padded: logits SQNR 8 dB < 10 dB; first beyond tolerance: layer 3; origin: {'x' * 99}"),
         "logits SQNR 8 dB < 10 dB; first beyond tolerance: layer 3"),
        (AssertionError(f"{ID}, 1 x 7: not finite"), "not finite"),
        (AssertionError(f"{ID} (/store/{ID}-0123): 1 BiasGelu|FastGelu|Gelu, not 2"), "1 BiasGelu|FastGelu|Gelu, not 2"),
        (AssertionError(f"{ID} is slower than the other: 1.20 [1.18, 1.22] times its time"),
         "is slower than the other: 1.20 [1.18, 1.22] times its time"),
        (AssertionError(f"{ID}-longer: not the same variant"), f"{ID}-longer: not the same variant"),
        (AssertionError("assert 1 == 2"), "assert 1 == 2"),
        (AssertionError(), "AssertionError"),
        (KeyError("logits"), "KeyError: 'logits'"),
        (SuiteError("no such folder /x: give one that exists"), "no such folder /x: give one that exists"),
        (RemoteError("ValueError: three heads do not fit\n\nTraceback (most recent call last):"), "three heads do not fit"),
        (RemoteError("RuntimeError: quantized nodes: MatMulInteger 0 of 14\n\nTraceback"),
         "RuntimeError: quantized nodes: MatMulInteger 0 of 14"),
        (Crash(f"{ID} was killed by SIGSEGV; its last lines:\n  last words"), "was killed by SIGSEGV"),
        (Hang(f"{ID} gave no answer within 300 s and was killed; it printed nothing"),
         "gave no answer within 300 s and was killed; it printed nothing"),
        (ExceptionGroup("2 distinct failures", [AssertionError(f"{ID}: logits 3 dB, bound 9 dB"), ValueError("x")]),
         "logits 3 dB, bound 9 dB"),
        ("[XPASS(strict)] the optimizer knows no such pattern", "[XPASS(strict)] the optimizer knows no such pattern"),
        (AssertionError(f"{ID}: a\x1b[31mb"), "a\\x1b[31mb"),
    ],
)  # fmt: skip
def test_a_failure_in_a_sentence(error: BaseException | str, said: str) -> None:
    assert gist(ID, error) == said


@pytest.mark.parametrize("text", ["x" * 1000, "word " * 200, "a clause; " * 100])
def test_a_long_one_is_cut(text: str) -> None:
    found = gist(ID, AssertionError(f"{ID}: {text}"))
    assert LONGEST_VERDICT - 20 < len(found) <= LONGEST_VERDICT
    assert text.startswith(found.removesuffix(" ..."))


@pytest.fixture
def row(tmp_path: Path) -> Callable[..., dict[str, object]]:
    """``row((test, text), ...)`` returns the row of the variant ID in a run in which these tests failed."""

    def of(*failures: tuple[str, str]) -> dict[str, object]:
        store = Store(tmp_path, "run", print)
        for test, text in failures:
            results.failed(store, ID, test, text)
        return results._noted(store, [ID]).get(ID, {})

    return of


def test_the_first_failure_and_how_many_more(row: Callable[..., dict[str, object]]) -> None:
    """A test that also fails in its teardown counts once; a failure that differs from the known one is not a known failure."""
    assert verdict(row(("a", "8.1 dB < 10 dB"))) == "FAILED: 8.1 dB < 10 dB"
    assert verdict(row(("b", "5 % > 4 %"), ("b", "in tear-down"))) == "FAILED: 8.1 dB < 10 dB (and 1 more)"
    assert verdict(row(("c", "x"))) == "FAILED: 8.1 dB < 10 dB (and 2 more)"
    assert verdict({"failed": "x", "known": "r", "agreement_violations": ["y"]}) == "FAILED: x"


def test_what_failed_before_it_was_measured_has_a_row_beside_what_was() -> None:
    """A variant whose build failed has a row beside measured variants; without any measured variant there is no table."""
    refused, met = {"failed": "RuntimeError: quantized nodes: MatMulInteger 0 of 14"}, {"known": "broken upstream"}
    content = {
        "rows": {
            name: {"baseline": "m-pytorch-f32", **row, "verdict": verdict(row)}
            for name, row in (("m-pytorch-f32", {"score": 0.8}), ("m-onnxruntime-int8", refused), ("m-tflite-f32", met))
        }
    }
    shown = measured(content["rows"])
    assert list(shown) == ["m-pytorch-f32", "m-onnxruntime-int8"]
    assert "FAILED: RuntimeError: quantized nodes: MatMulInteger 0 of 14" in table(shown).markdown(plain)
    assert not measured({name: content["rows"][name] for name in ("m-onnxruntime-int8", "m-tflite-f32")})
