"""Statistics, verdicts, conditions and stored runs: what stands between rounds and a failed merge."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.baseline import Baseline
from fixtures.comparing import share
from fixtures.conditions import disturbance, gather
from fixtures.errors import SuiteError
from fixtures.gate import CANNOT_TELL, NOT_SLOWER, SLOWER, judge
from fixtures.grid import fit
from fixtures.interpreter import named
from fixtures.isolation import Block
from fixtures.limit import flops
from fixtures.machine import this_machine
from fixtures.paired import Pair, alternate, replicate
from fixtures.ratio import LEAST, Ratio, ranked, replicated, unpaired
from fixtures.spec import Shape, Variant

QUIET = {"cpus": 2.0, "queued": 0.0, "foreign": 0.0, "steal": 0.0, "throttled": 0.0, "heated": 0.0}
BUSY = {**QUIET, "queued": 0.4, "foreign": 0.08}
BASE, OTHER = Variant("minilm-l6", "full", "pytorch", "f32"), Variant("minilm-l6", "full", "onnxruntime", "f32")


def noisy(generator: np.random.Generator, middle: float, strain: dict[str, float] = QUIET) -> Callable[[], Block]:
    """Turns of a process whose rounds take ``middle`` seconds, give or take 3 % and the odd tenfold outlier."""

    def turn() -> Block:
        rounds = middle * generator.lognormal(0, 0.03, 5) * generator.choice([1, 10], 5, p=[0.95, 0.05])
        return Block(rounds.tolist(), strain)

    return turn


def launches(seed: int, slow_down: float, spread: float = 0.01, strain: dict[str, float] = QUIET) -> Callable[[bool], Pair]:
    """Pairs of processes, each with its own luck of ``spread``."""
    generator = np.random.default_rng(seed)

    def launch(swap: bool) -> Pair:
        first, second = (0.01 * generator.lognormal(0, spread) for _ in range(2))
        return alternate(noisy(generator, first, strain), noisy(generator, slow_down * second, strain), wanted=5, settle=0)

    return launch


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """300 samples with heavy tails (Student's t, 3 degrees of freedom): a 95 % interval may miss 15, plus three deviations."""
    generator = np.random.default_rng(1)
    samples = generator.standard_t(3, (300, 25)) * 0.02 + math.log(1.05)
    missed = sum(not (found := ranked(list(sample))).low <= 1.05 <= found.high for sample in samples)
    assert missed <= 26
    assert ranked([0.0] * 5).high == math.inf, "five values have no 95 % interval"


def test_the_interval_over_processes_does_too() -> None:
    """600 times six pairs of processes, their log ratios with the odd outlier: at most 5 % missed, plus three deviations."""
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 0.01, (600, 6)) * generator.choice([1, 4], (600, 6), p=[0.95, 0.05])
    missed = sum(not (found := replicated(list(sample))).low <= 1.0 <= found.high for sample in noise)
    assert missed <= 46
    assert replicated([0.0] * 5).high == math.inf


def test_processes_with_luck_of_their_own_do_not_fool_the_gate() -> None:
    """200 comparisons of equals, stopped as soon as they are narrow: the gate at 2 % lets at most 1 % through."""
    verdicts = []
    for seed in range(200):
        found = replicate(launches(seed, 1.0, spread=0.01), within=0.0133, budget=1.0)
        verdicts.append(judge(found.ratio, 0.02, found.unstable).word)
    assert verdicts.count(SLOWER) <= 2


def test_sides_exchange() -> None:
    pair = alternate(noisy(np.random.default_rng(1), 0.01), noisy(np.random.default_rng(2), 0.02), wanted=3, settle=0)
    other = pair.mirrored()
    assert (other.logs, other.first, other.second) == ([-log for log in pair.logs], pair.second, pair.first)


def test_a_drift_cancels() -> None:
    """Both get slower by 1 % from turn to turn, and neither is slower than the other."""
    place = iter(range(10_000))

    def turn() -> Block:
        return Block([0.01 * 1.01 ** next(place)], QUIET)

    assert alternate(turn, turn, wanted=5, settle=0).logs == pytest.approx([0.0] * 5, abs=1e-9)


@pytest.mark.parametrize(("slow_down", "word"), [(1.0, NOT_SLOWER), (1.2, SLOWER)])
def test_the_gate_sees_what_is_there(slow_down: float, word: str) -> None:
    found = replicate(launches(1, slow_down), within=0.02, budget=10)
    assert found.ratio.half_width <= 0.02
    assert (found.unstable, found.retaken) == (None, 0)
    assert judge(found.ratio, 0.05, found.unstable).word == word


def test_disturbed_turns_do_not_count_and_make_no_verdict() -> None:
    found = replicate(launches(1, 2.0, strain=BUSY), within=0.01, budget=10)
    assert (found.processes, found.rounds) == (LEAST // 2, 0), "it gives up when nothing was ever quiet"
    assert found.unstable is not None
    assert "threads waited for a CPU" in found.unstable
    assert judge(found.ratio, 0.05, found.unstable).word == CANNOT_TELL


def test_a_budget_that_is_too_short_says_so() -> None:
    found = replicate(launches(1, 2.0), within=0.01, budget=0)
    assert found.unstable == "1 pairs of processes in 0 s, 6 are needed: give it more --budget"


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.06, 1.2, SLOWER),
        (1.04, 1.2, CANNOT_TELL),
        (0.9, 1.05, NOT_SLOWER),
        (0.5, 0.6, NOT_SLOWER),
        (0.0, math.inf, CANNOT_TELL),
    ],
)
def test_three_verdicts(low: float, high: float, word: str) -> None:
    assert judge(Ratio(1.0, low, high), 0.05, None).word == word


def test_a_ratio_of_ratios_has_both_errors() -> None:
    once = Ratio(1.1, 1.1 / 1.03, 1.1 * 1.03)
    twice = once.over(Ratio(1.1, 1.1 / 1.04, 1.1 * 1.04))
    assert twice.estimate == pytest.approx(1.0)
    assert math.log(twice.high) == pytest.approx(math.hypot(math.log(1.03), math.log(1.04)))
    assert once.over(Ratio(1.1, 0.0, math.inf)).high == math.inf


def test_rounds_of_two_stretches_give_a_wider_interval_if_they_wander() -> None:
    generator = np.random.default_rng(0)
    still = 0.01 * generator.lognormal(0, 0.02, 200)
    wandering = still * np.exp(np.cumsum(generator.normal(0, 0.01, 200)))
    assert unpaired(list(still), list(wandering)).half_width > 2 * unpaired(list(still), list(still)).half_width


def test_disturbed_stretches_are_retaken() -> None:
    blocks: Iterator[Block] = iter([Block([9.0], BUSY), Block([1.0], QUIET), Block([9.0], BUSY), Block([1.2], QUIET)])
    found = gather(lambda: next(blocks), wanted=2)
    assert (found.seconds, found.retaken, found.unstable) == ([1.0, 1.2], 2, None)


def test_what_never_was_quiet_says_so() -> None:
    found = gather(lambda: Block([1.0], BUSY), wanted=2)
    assert found.unstable == "6 of 6 stretches disturbed: threads waited for a CPU (40%)"
    assert found.seconds == [1.0] * 6
    assert disturbance(QUIET) is None
    assert disturbance({**QUIET, "queued": 0.2}) is None, "a runtime that queues behind its own threads"


@pytest.mark.parametrize("text", ["", "five", "-1%", "nan", "2000%"])
def test_a_threshold_that_is_none(text: str) -> None:
    with pytest.raises(SuiteError, match=r"give a share such as 5% or 0\.05"):
        share("gate", text)


def test_thresholds() -> None:
    assert (share("gate", "5%"), share("gate", "0.05"), share("gate", "0")) == (0.05, 0.05, 0.0)


def stored(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A file as pytest-benchmark writes it, with two cases, changed."""
    machine = this_machine().fields()
    info = {"threads": 2, "batch": 1, "sequence_length": 128}
    content: dict[str, Any] = {
        "machine_info": {"encoder_parity": machine},
        "benchmarks": [
            {"stats": {"data": [seconds] * 20}, "extra_info": {**info, "variant": variant.fields()}}
            for variant, seconds in ((BASE, 0.02), (OTHER, 0.01))
        ],
    }
    change(content)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_stored_run_gives_ratios(tmp_path: Path) -> None:
    baseline = Baseline.read(stored(tmp_path, lambda content: None), this_machine())
    ratio, trouble = baseline.ratio(OTHER, BASE, (2, 1, 128))
    assert (ratio.estimate, ratio.low, ratio.high, trouble) == (0.5, 0.5, 0.5, None)
    with pytest.raises(SuiteError, match=r"was measured with threads 2, batch 1, sequence_length 128; use the same now"):
        baseline.ratio(OTHER, BASE, (1, 1, 128))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["machine_info"]["encoder_parity"].update(cpu="Neoverse-N1"), "it was measured on Neoverse-N1, this is"),
        (lambda c: c.pop("machine_info"), r"the field 'machine_info.encoder_parity' is missing"),
        (lambda c: c["benchmarks"][0].pop("stats"), r"the field 'stats.data' is missing"),
        (lambda c: c.update(benchmarks=[]), "it holds no latency of this suite"),
        (lambda c: c.update(benchmarks=["?"]), "it holds no latency of this suite"),
    ],
)
def test_a_stored_run_that_will_not_do(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        Baseline.read(stored(tmp_path, change), this_machine())


def test_a_stored_run_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("<html>", encoding="utf-8")
    with pytest.raises(SuiteError, match="it cannot be read as JSON"):
        Baseline.read(tmp_path / "run.json", this_machine())


def test_an_interpreter_is_asked_whether_it_is_one(tmp_path: Path) -> None:
    assert named("--against", str(tmp_path / "nothing")) is None
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    fake.chmod(0o755)
    with pytest.raises(SuiteError, match="is no Python interpreter"):
        named("--against", str(fake))
    fake.chmod(0o644)
    with pytest.raises(SuiteError, match="is no Python interpreter"):
        named("--against", str(fake))


def test_the_arithmetic_of_bert_base() -> None:
    """22.4 GFLOP at 128 tokens: 2 x 85.0 M weights of the encoder x 128, and 4 x 12 x 128^2 x 768 for the attention."""
    bert = Shape(12, 12, 768, 3072, 30522, 512, 0, ("input_ids",))
    assert flops(bert, 1, 128) == pytest.approx(2 * 84.93e6 * 128 + 4 * 12 * 128**2 * 768 + 2 * 768**2, rel=1e-3)
    assert flops(bert, 8, 128) == pytest.approx(8 * flops(bert, 1, 128))


def test_growth_with_the_sequence_is_taken_apart() -> None:
    lengths = (8, 32, 128, 512)
    assert fit(lengths, [2 + 0.1 * n + 1e-4 * n * n for n in lengths]) == pytest.approx((2, 0.1, 1e-4), rel=1e-6)
