"""Statistics, verdicts, conditions and stored runs: what stands between rounds and a failed merge."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from fixtures.comparisons.comparison import Baseline, Result
from fixtures.core.errors import SuiteError
from fixtures.core.machine import this_machine
from fixtures.core.spec import Shape, Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Block
from fixtures.metrics.intervals import MIN_PAIRS, Ratio, paired_t_interval, welch_interval
from fixtures.options.comparison import read_options, share
from fixtures.options.interpreters import named
from fixtures.report.tables.gate import heading, table
from fixtures.report.tables.grid import fit
from fixtures.timing import stopping
from fixtures.timing.gate import CANNOT_TELL, IDENTICAL, NOT_SLOWER, SLOWER, doubt, judge
from fixtures.timing.interleaved import (
    JITTER,
    OFFSET,
    SETTLE,
    TURN_SECONDS,
    Comparison,
    Pair,
    alternate,
    orders,
    replicate,
    turn,
)
from fixtures.timing.noise import disturbance, gather
from fixtures.timing.roofline import flops
from fixtures.timing.saved_run import SavedRun
from fixtures.timing.stopping import LOOKS, judged, narrow

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
        one, two = noisy(generator, first, strain), noisy(generator, slow_down * second, strain)
        return alternate(one, two, wanted=5, rest=at_once)

    return launch


def at_once(seconds: float, jitter: float) -> None:
    """A pause that takes no time."""


def test_the_interval_over_processes_holds_the_truth_as_often_as_it_says() -> None:
    """600 times six pairs of processes, their log ratios with the odd outlier: at most 5 % missed, plus three deviations."""
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 0.01, (600, 6)) * generator.choice([1, 4], (600, 6), p=[0.95, 0.05])
    missed = sum(not (found := paired_t_interval(list(sample))).low <= 1.0 <= found.high for sample in noise)
    assert missed <= 46
    assert paired_t_interval([0.0]).high == math.inf


def test_the_interval_over_visits_does_too() -> None:
    """6,000 times three visits of one variant and three of another that scatters four times as much: Welch's interval misses
    5.6 % of them (of 200,000), plus three deviations; one that pools the variances misses 8.3 %."""
    generator = np.random.default_rng(3)
    first, second = generator.normal(0, 0.01, (6000, 3)), generator.normal(0, 0.04, (6000, 3))
    pairs = zip(first, second, strict=True)
    missed = sum(not (found := welch_interval(list(one), list(two))).low <= 1.0 <= found.high for one, two in pairs)
    assert missed <= 6000 * 0.056 + 3 * math.sqrt(6000 * 0.056)
    assert welch_interval([0.0], [0.0, 0.0]).high == math.inf
    assert welch_interval([0.0] * 3, [0.0] * 3) == Ratio(1.0, 1.0, 1.0)


def test_sides_exchange() -> None:
    one, two = noisy(np.random.default_rng(1), 0.01), noisy(np.random.default_rng(2), 0.02)
    pair = alternate(one, two, wanted=3, rest=at_once)
    other = pair.mirrored()
    assert (other.logs, other.first, other.second) == ([-log for log in pair.logs], pair.second, pair.first)


def test_a_drift_cancels() -> None:
    """Both get slower by 1 % from turn to turn, and neither is slower than the other."""
    place = iter(range(10_000))

    def turn() -> Block:
        return Block([0.01 * 1.01 ** next(place)], QUIET)

    assert alternate(turn, turn, wanted=5, rest=at_once).logs == pytest.approx([0.0] * 5, abs=1e-9)


def test_each_side_begins_in_one_of_every_two_pairs_at_random_in_which() -> None:
    drawn = orders(np.random.default_rng(1))
    blocks = [(next(drawn), next(drawn)) for _ in range(200)]
    assert set(blocks) == {(False, True), (True, False)}
    assert 70 <= blocks.count((True, False)) <= 130, "a fair coin, four deviations"


def test_pauses_and_turns_are_of_no_fixed_length(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    asked: list[float] = []
    monkeypatch.setattr("fixtures.timing.interleaved.time.sleep", slept.append)

    class Recording:
        def rounds(self, seconds: float, at_least: int, discard: int) -> Block:
            asked.append(seconds)
            return Block([0.01] * (at_least + discard), QUIET)

    recording: Any = Recording()
    alternate(turn(recording), turn(recording), wanted=20)
    for least, jitter, found in ((SETTLE, OFFSET, slept[:1]), (SETTLE, JITTER, slept[1:]), (TURN_SECONDS, JITTER, asked)):
        assert all(least <= seconds <= least + jitter for seconds in found)
    assert max(asked) - min(asked) > JITTER / 2
    assert max(slept[1:]) - min(slept[1:]) > JITTER / 2


@pytest.mark.parametrize(("slow_down", "word"), [(1.0, NOT_SLOWER), (1.2, SLOWER)])
def test_the_gate_sees_what_is_there(slow_down: float, word: str) -> None:
    found = replicate(launches(1, slow_down), judged(0.05), budget=10)
    assert (found.unstable, found.retaken) == (None, 0)
    assert judge(found.ratio, 0.05, found.unstable, found.quiet).word == word


def test_without_a_gate_it_is_measured_until_the_interval_is_narrow() -> None:
    found = replicate(launches(1, 1.2), narrow(0.02), budget=10)
    assert found.ratio.half_width <= 0.02
    assert found.quiet >= MIN_PAIRS
    assert replicate(launches(1, 1.2), narrow(0.0), budget=1000).quiet == LOOKS[-1], "it ends"


def test_slower_wants_six_pairs_however_clear_three_are() -> None:
    """Two modes by process: three pairs of the same ratio have no variance and say nothing."""
    equal: Callable[[bool], Pair] = lambda swap: Pair([math.log(1.3)])  # noqa: E731
    found = replicate(equal, judged(0.05), budget=10)
    assert (found.quiet, judge(found.ratio, 0.05, None, found.quiet).word) == (MIN_PAIRS, SLOWER)
    assert judge(found.ratio, 0.05, None, MIN_PAIRS - 1).word == CANNOT_TELL
    quicker = replicate(lambda swap: equal(swap).mirrored(), judged(0.05), budget=10)
    assert (quicker.quiet, judge(quicker.ratio, 0.05, None, quicker.quiet).word) == (LOOKS[0], NOT_SLOWER)


def test_disturbed_turns_do_not_count_and_make_no_verdict() -> None:
    found = replicate(launches(1, 2.0, strain=BUSY), judged(0.05), budget=10)
    assert (found.processes, found.rounds) == (LOOKS[0], 0), "it gives up when nothing was ever quiet"
    assert found.unstable is not None
    assert "threads waited for a CPU" in found.unstable
    assert judge(found.ratio, 0.05, found.unstable, found.quiet).word == CANNOT_TELL


def test_a_budget_that_is_too_short_says_so() -> None:
    found = replicate(launches(1, 2.0), judged(0.05), budget=0)
    assert found.unstable == "1 pairs of processes in 0 s, 3 are needed: give it more --budget"


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
    assert judge(Ratio(1.0, low, high), 0.05, None, MIN_PAIRS).word == word


def test_no_variant_is_slower_where_other_is_slower_than_itself() -> None:
    """A/A beyond the gate: the machine cannot compare, and what it says of a variant means nothing."""
    reason = doubt(Ratio(1.12, 1.06, 1.18), 0.05, MIN_PAIRS)
    slower = judge(Ratio(1.2, 1.1, 1.3), 0.05, None, MIN_PAIRS)
    assert slower.unless(reason).word == CANNOT_TELL
    assert "OTHER beside itself came out at 1.120 [1.060, 1.180]" in slower.unless(reason).why
    assert doubt(Ratio(0.9, 0.85, 0.94), 0.05, MIN_PAIRS) is not None, "on either side"
    assert doubt(Ratio(1.02, 1.01, 1.03), 0.05, MIN_PAIRS) is None
    assert slower.unless(None) == slower
    assert judge(Ratio(1.0, 0.9, 1.02), 0.05, None, MIN_PAIRS).unless(reason).word == NOT_SLOWER


def content(gate: float | None, *sanity: dict[str, Any]) -> dict[str, Any]:
    """A run of one variant that was compared, one that is identical and one that was not compared."""
    measured = {"against": "x", "ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3, **({} if gate is None else {"gate": SLOWER})}
    same = {"against": "x", "gate_conditions": IDENTICAL, **({} if gate is None else {"gate": IDENTICAL})}
    return {"gate": gate, "sanity": list(sanity), "rows": {"a": measured, "b": same, "c": {"median_ms": 1.0}}}


def test_without_a_gate_there_is_a_ratio_and_no_verdict() -> None:
    bare, gated = (str(table(content(gate))) for gate in (None, 0.05))
    assert "1.100 .. 1.300" in bare
    assert "verdict" not in bare
    assert SLOWER not in bare
    assert "| slower" in gated
    assert all("| b " in one and "| c " not in one for one in (bare, gated))
    assert "slower: the interval" not in heading(content(None))


def test_other_beside_itself_stands_above_the_table() -> None:
    known = {"what": "numpy 1", "ratio": 1.001, "low": 0.99, "high": 1.012, "unstable": None}
    unknown = {"what": "numpy 1", "ratio": None, "low": None, "high": None, "unstable": "never quiet"}
    assert "A/A, numpy 1 beside itself: 1.001 [0.990, 1.012]" in heading(content(0.05, known))
    assert "A/A, numpy 1 beside itself: never quiet" in heading(content(0.05, unknown))


def test_a_ratio_of_ratios_has_both_errors() -> None:
    once = Ratio(1.1, 1.1 / 1.03, 1.1 * 1.03)
    twice = once / Ratio(1.1, 1.1 / 1.04, 1.1 * 1.04)
    assert twice.estimate == pytest.approx(1.0)
    assert math.log(twice.high) == pytest.approx(math.hypot(math.log(1.03), math.log(1.04)))
    assert (once / Ratio(1.1, 0.0, math.inf)).high == math.inf


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


def test_with_a_gate_a_comparison_ends_when_its_verdict_is_known() -> None:
    """A wide interval that lies within the gate is enough, after three pairs; without a gate it is not, after any number."""
    asked = {"against": "x", "gate": "5%", "within": None, "budget": 1.0, "summary": None}
    wide = Ratio(0.9, 0.8, 1.04)
    assert stopping.of(read_options(asked.get)).now(wide, LOOKS[0])
    assert not stopping.of(read_options({**asked, "gate": "1%"}.get)).now(wide, LOOKS[0])
    bare = stopping.of(read_options({**asked, "gate": None}.get))
    assert not any(bare.now(wide, pairs) for pairs in range(LOOKS[-1]))


def test_a_width_and_a_gate_are_two_questions() -> None:
    asked = {"against": "x", "gate": "5%", "within": "1%", "budget": 1.0, "summary": None}
    with pytest.raises(SuiteError, match="a comparison with a gate ends when its verdict is known; give one of them"):
        read_options(asked.get)


def test_thresholds() -> None:
    assert (share("gate", "5%"), share("gate", "0.05"), share("gate", "0")) == (0.05, 0.05, 0.0)


def stored(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A file as pytest-benchmark writes it, with two cases of three visits each, changed."""
    machine = this_machine().fields()
    info = {"threads": 2, "batch": 1, "sequence_length": 128}
    content: dict[str, Any] = {
        "machine_info": {"encoder_parity": machine},
        "benchmarks": [
            {
                "stats": {"data": [middle / 1e3] * 20},
                "extra_info": {
                    **info,
                    "variant": variant.fields(),
                    "visits": [{"median_ms": middle * luck, "rounds": 20} for luck in (0.9, 1.0, 1 / 0.9)],
                },
            }
            for variant, middle in ((BASE, 20.0), (OTHER, 10.0))
        ],
    }
    change(content)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_stored_run_is_judged_by_the_spread_between_its_processes(tmp_path: Path) -> None:
    """Three visits that differ by 10 %: the interval is wide, however alike the rounds of each are."""
    import scipy.stats  # half a second, which collecting need not pay

    baseline = SavedRun.read(stored(tmp_path, lambda content: None), this_machine())
    ratio, trouble = baseline.ratio(OTHER, BASE, (2, 1, 128))
    expected = scipy.stats.ttest_ind(*np.log([[9, 10, 10 / 0.9], [18, 20, 20 / 0.9]]), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((0.5, math.exp(low), math.exp(high)))
    assert trouble is None
    with pytest.raises(SuiteError, match=r"was measured with threads 2, batch 1, sequence_length 128; use the same now"):
        baseline.ratio(OTHER, BASE, (1, 1, 128))


@pytest.mark.parametrize("visits", [None, [], [{"median_ms": 10.0}] * 2])
def test_a_stored_run_without_several_processes_tells_nothing(tmp_path: Path, visits: list[Any] | None) -> None:
    def without(content: dict[str, Any]) -> None:
        info = content["benchmarks"][1]["extra_info"]
        info.pop("visits") if visits is None else info.update(visits=visits)

    ratio, trouble = SavedRun.read(stored(tmp_path, without), this_machine()).ratio(OTHER, BASE, (2, 1, 128))
    assert trouble == f"run.json has {len(visits or [])} processes of {OTHER.id}, 3 are needed: measure it again"
    assert judge(ratio, 0.05, trouble, 0).word == CANNOT_TELL


def against(text: str = "pytorch-f32", **artifacts: Any) -> Baseline:
    """What ``--against`` names, in a harness that has only what ``artifacts`` says."""
    return Baseline(text, cast("Harness", SimpleNamespace(**artifacts)))


def test_on_a_stored_run_nothing_is_slower(tmp_path: Path) -> None:
    """Ten times as slow as then, in any number of processes: can't tell, with the figure and the way to be sure."""
    other = against(str(stored(tmp_path, lambda content: None)), target=this_machine())
    pairs = [Pair([math.log(10)])] * LOOKS[-1]
    found = Result(Ratio(10.0, 9.0, 11.0), "run.json", Comparison(Ratio(10.0, 9.0, 11.0), pairs, None, 1.0), None)
    said = found.verdict(0.05, other.unconfirmed())
    assert said.word == CANNOT_TELL
    assert "at least 800.0% slower" in said.why
    assert "compare live" in said.why
    assert found.verdict(0.05, against().unconfirmed()).word == SLOWER, "another variant is alive beside it"


def built(digest: str, **versions: str) -> Any:
    """A harness where these versions run, whose artifacts all have that content."""
    made = SimpleNamespace(digest=digest, meta={})
    return SimpleNamespace(artifact=lambda variant: made, runs_by=lambda variant: versions)


@pytest.mark.parametrize(
    ("digest", "versions", "same"),
    [("a", {"numpy": "1"}, True), ("b", {"numpy": "1"}, False), ("a", {"numpy": "2"}, False)],
)
def test_what_would_run_the_same_file_by_the_same_code_and_packages_is_identical(
    digest: str, versions: dict[str, str], same: bool
) -> None:
    other = against(**vars(built("a", numpy="1")))
    other.harness = built(digest, **versions)
    assert other.identical(OTHER) is same


def test_another_backend_is_not_identical_though_the_file_is() -> None:
    assert not against(**vars(built("a", numpy="1"))).identical(OTHER)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["machine_info"]["encoder_parity"].update(cpu="Neoverse-N1"), "it was measured on Neoverse-N1, this is"),
        (lambda c: c.pop("machine_info"), r"the field 'machine_info.encoder_parity' is missing"),
        (lambda c: c["benchmarks"][0]["extra_info"].update(visits=7), r"the field 'visits' cannot be used"),
        (lambda c: c["benchmarks"][0]["extra_info"].update(visits=[{"median_ms": 0}]), r"no median in ms"),
        (lambda c: c["benchmarks"][0]["extra_info"].update(visits=["x"]), r"no median in ms"),
        (lambda c: c.update(benchmarks=[]), "it holds no latency of this suite"),
        (lambda c: c.update(benchmarks=["?"]), "it holds no latency of this suite"),
    ],
)
def test_a_stored_run_that_will_not_do(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        SavedRun.read(stored(tmp_path, change), this_machine())


def test_a_stored_run_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("<html>", encoding="utf-8")
    with pytest.raises(SuiteError, match="it cannot be read as JSON"):
        SavedRun.read(tmp_path / "run.json", this_machine())


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
