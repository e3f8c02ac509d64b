"""Tests the parts of a report: the recommendation, the Pareto front, steps of a history, escaped text, progress."""

from __future__ import annotations

import datetime
import math
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.registry import load
from fixtures.core.verdicts import INCONCLUSIVE
from fixtures.pytest_plugin.countdown import EVERY, Countdown
from fixtures.report.html.choice import choose
from fixtures.report.html.history import series, steps
from fixtures.report.html.load import load as load_chart
from fixtures.report.html.runs import Run
from fixtures.report.html.vega import chart
from fixtures.report.html.view import views
from fixtures.report.html.write import slug
from fixtures.report.sections import legacy_lines
from fixtures.report.table import Column, Table, identity, plain
from fixtures.report.tables.load import tables as load_tables
from fixtures.timing.gate import NOT_SLOWER, SLOWER
from tests.support.nested import run
from tests.support.reports import small


def test_what_a_server_holds_is_a_chart_of_its_tests_and_two_tables() -> None:
    content = small()["encoder_parity"]
    run_ = Run(Path("sample.json"), DAY, content, {})
    made = load_chart(run_)
    assert made is not None
    assert [record["word"] for record in made.spec["data"]["values"]] == ["holds", "does not hold"]
    every, best = load_tables(content["load"])
    assert every.cells()[1][5:7] == ["-", "-"], "a server that was only screened has no rates"
    assert best.cells()[0][1:3] == ["1 session x 1 thread, row by row", "380.0 .. 400.0"]
    assert best.caption == "joules are not readable here: no counters"
    assert load_chart(Run(Path("sample.json"), DAY, {**content, "load": []}, {})) is None


DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MACHINE = {"architecture": "x86_64", "marker": "intel", "vendor": "", "cpu": "a CPU", "microarchitecture": "", "isa": (),
           "cores": 2, "quota": None, "governor": None, "emulated": False}  # fmt: skip


def made(figures: dict[str, dict[str, Any]], day: int = 0) -> Run:
    """A run of the model ``m`` with these ``figures`` by variant; latencies come from three processes within 2 %."""
    common = {"subject": "m", "precision": "f32", "recipe": "", "baseline": "m-pytorch", "verdict": "ok"}
    rows: dict[str, Any] = {
        f"m-{name}": {**common, "backend": name, "logits_db": 100.0, "size_mib": 10.0, **row} for name, row in figures.items()
    }
    rows = {i: {"visits_ms": [row["median_ms"] * (1 + 0.01 * k) for k in range(3)], **row} for i, row in rows.items()}
    rounds = {i: [row["median_ms"] / 1e3] * 40 for i, row in rows.items()}
    content: dict[str, Any] = {
        "machine": MACHINE, "setting": {"threads": 2, "batch": 1, "sequence_length": 128}, "gate": None, "versions": {},
        "weights": {}, "runtimes": {}, "tokenizers": {}, "rows": rows,
        **{name: [] for name in ("grid", "profile", "claims", "stacks", "graph", "peaks")},
    }  # fmt: skip
    return Run(Path(f"{day}.json"), DAY + datetime.timedelta(days=day), content, rounds)


def test_the_fastest_that_holds_and_the_smallest_that_holds_are_recommended() -> None:
    run_ = made({
        "pytorch": {"median_ms": 10.0, "score": 0.85},
        "wrong": {"median_ms": 1.0, "score": 0.60, "accuracy_violations": ["accuracy"]},
        "loses": {"median_ms": 1.0, "score": 0.80, "accuracy_word": "loses"},
        "broken": {"median_ms": 1.0, "score": 0.85, "known": "upstream"},
        "failed": {"median_ms": 1.0, "score": 0.85, "failed": "test_latency failed"},
        "disturbed": {"median_ms": 2.0, "score": 0.85, "unstable": "others used the CPUs", "disturbed": True},
        "quick": {"median_ms": 4.0, "score": 0.84}, "alike": {"median_ms": 4.05, "score": 0.83},
        "small": {"median_ms": 5.0, "score": 0.86, "size_mib": 3.0}, "unjudged": {"median_ms": 1.0, "logits_db": None},
    })  # fmt: skip
    found = choose(run_, "m")
    assert found is not None
    assert (found.fastest, found.tied, found.smallest) == ("m-quick", ["m-alike"], "m-small")
    assert found.front == ["m-disturbed", "m-small"], "m-quick is slower and worse than m-disturbed"
    assert (found.held, found.judged, found.trained) == (5, 10, True)
    assert "2.50 times as fast as PyTorch f32 [2.4" in found.facts("m-quick")
    assert "unstable: others used the CPUs" in found.facts("m-disturbed")
    assert choose(made({"pytorch": {"median_ms": 10.0, "agreement_violations": ["x"]}}), "m") is None


def test_a_variant_that_drifts_is_the_fastest_if_it_is_surely_faster_than_those_that_do_not() -> None:
    """On a machine whose speed drifts, most variants are unstable; their intervals contain that."""
    drifts = {"unstable": "visits differ by 37%"}
    found = choose(made({
        "pytorch": {"median_ms": 18.0, "visits_ms": [18.0, 20.0, 22.0], **drifts}, "steady": {"median_ms": 9.0},
        "drifts": {"median_ms": 2.8, "visits_ms": [2.8, 3.0, 3.8], **drifts},
        "as quick": {"median_ms": 2.9, "visits_ms": [2.9, 3.0, 3.9], **drifts},
        "perhaps": {"median_ms": 2.0, "visits_ms": [2.0, 9.0, 30.0], **drifts},
    }), "m")  # fmt: skip
    assert found is not None
    assert (found.fastest, found.tied) == ("m-drifts", ["m-as quick"])
    assert found.facts("m-drifts").endswith("unstable: visits differ by 37%")


def test_a_recommendation_says_what_is_known_of_its_accuracy() -> None:
    """``can't tell`` may be recommended, and the text says so; ``loses`` is not, even on the stand-in data."""
    limits = {"accuracy_loss": 0.002, "accuracy_loss_low": -0.01, "accuracy_loss_high": 0.015, "accuracy_margin": 0.0083}
    found = choose(made({
        "pytorch": {"median_ms": 10.0, "score": 0.85, "accuracy_word": "holds", **limits},
        "open": {"median_ms": 4.0, "score": 0.84, "accuracy_word": "inconclusive", "more_rows": 640, **limits},
        "loses": {"median_ms": 1.0, "score": 0.80, "accuracy_word": "loses", "accuracy_violations": [], **limits},
    }), "m")  # fmt: skip
    assert found is not None
    assert found.fastest == "m-open"
    assert (
        "accuracy 0.8400, can't tell whether more than 0.83 points are lost: -1.00 .. 1.50; 640 more labelled rows would tell"
    ) in found.facts("m-open")
    assert "accuracy 0.8500, holds: surely -1.00 .. 1.50 points lost, of 0.83 allowed" in found.facts("m-pytorch")


def test_what_is_deprecated_upstream_names_its_successor() -> None:
    cells = {"-".join(filter(None, cell)): low for cell, low in load().lowerings.items()}
    old = {name: low.legacy for name, low in cells.items() if low.legacy}
    assert old["torchscript-f32"] == ("torch.jit", "inductor-f32")
    assert {successor for _, successor in old.values()} <= set(cells) - set(old)
    fields = ("backend", "precision", "recipe")
    rows = {f"m-{name}": dict(zip(fields, cells[name].cell, strict=True)) for name in ("torchscript-f32", "tflite-f32")}
    assert legacy_lines({"rows": rows}) == [
        "legacy (m-torchscript-f32): torch.jit is deprecated upstream; its successor is inductor-f32"
    ]


def test_single_processes_have_a_ratio_and_no_interval() -> None:
    """In older files with one process for each variant, ratios have no interval, so there are no ties and no verdicts."""
    old = {"pytorch": {"median_ms": 10.0, "visits_ms": []}, "a": {"median_ms": 5.0, "visits_ms": []},
           "b": {"median_ms": 5.01, "visits_ms": []}}  # fmt: skip
    found = choose(made(old), "m")
    assert found is not None
    assert (found.fastest, found.tied) == ("m-a", [])
    assert "2.00 times as fast as PyTorch f32 · 100 dB" in found.facts("m-a")
    slower = {**old, "a": {"median_ms": 9.0, "visits_ms": []}}
    assert {step.word for step in steps([made(old), made(slower, day=1)])} == {INCONCLUSIVE}


def test_a_step_is_judged_as_the_gate_does() -> None:
    """A step is judged by ratios to PyTorch f32 of the same run: if the whole machine is slower, no variant is."""
    before = made({"pytorch": {"median_ms": 10.0}, "a": {"median_ms": 5.0}, "b": {"median_ms": 5.0}, "c": {"median_ms": 5.0}})
    after = made(
        {
            "pytorch": {"median_ms": 20.0}, "a": {"median_ms": 10.0}, "b": {"median_ms": 12.0},
            "c": {"median_ms": 12.0, "unstable": "others used the CPUs"},
        },
        day=1,
    )  # fmt: skip
    (group,) = series([before, after])
    said = {step.identifier: step for step in steps(group)}
    assert {i: step.word for i, step in said.items()} == {"m-a": NOT_SLOWER, "m-b": SLOWER, "m-c": INCONCLUSIVE}
    assert said["m-b"].ratio == pytest.approx(1.2, abs=0.01)
    assert not series([before]), "one run is no history"


def test_a_step_in_which_everything_moved_accuses_only_what_stands_out() -> None:
    """If twenty variants vary at random (4 %, normal) and one takes 1.5 times as long, only this one is called slower."""
    names = [f"v{i}" for i in range(20)]
    before = made({"pytorch": {"median_ms": 10.0}, **{name: {"median_ms": 5.0} for name in (*names, "slow")}})
    luck = statistics.NormalDist(0, 0.04)
    moved = {name: {"median_ms": 5.0 * math.exp(luck.inv_cdf((i + 0.5) / 20))} for i, name in enumerate(names)}
    after = made({"pytorch": {"median_ms": 10.0}, **moved, "slow": {"median_ms": 7.5}}, day=1)
    words = {step.identifier: step.word for step in steps([before, after])}
    assert [i for i, word in words.items() if word == SLOWER] == ["m-slow"]
    assert words["m-v19"] == INCONCLUSIVE, "8 % slower, as one in twenty is by luck"
    gated = made({"pytorch": {"median_ms": 10.0}, "slow": {"median_ms": 7.5, "gate": NOT_SLOWER}}, day=1)
    assert [step.word for step in steps([before, gated])] == [NOT_SLOWER], "the run's own gate measured both in turns"


def test_runs_of_one_machine_are_one_view_and_a_partial_run_replaces_nothing() -> None:
    full = made({"pytorch": {"median_ms": 10.0}, "a": {"median_ms": 5.0}})
    partial = made({"a": {"median_ms": 1.0}}, day=1)
    partial.content["grid"].append({"variant": "m-a"})
    (view,) = views([full, partial])
    assert view.rows == full.rows
    assert view.speed_ups["m-a"].estimate == pytest.approx(2.0)
    assert view.content["grid"] == [{"variant": "m-a"}]


def test_a_run_of_another_stack_adds_what_only_it_has_by_its_own_baseline() -> None:
    """On one page with the present stack, the added variant's speed-up is the one that its own run measured."""
    full = made({"pytorch": {"median_ms": 10.0}, "a": {"median_ms": 5.0}, "c": {"median_ms": 2.0}, "d": {"median_ms": 1.0}})
    other = made({"pytorch": {"median_ms": 30.0}, "a": {"median_ms": 1.0}, "b": {"median_ms": 10.0}}, day=1)
    other.content["versions"]["b-runtime"] = "1.0"
    (view,) = views([full, other])
    assert list(view.rows) == ["m-pytorch", "m-a", "m-c", "m-d", "m-pytorch of 1.json", "m-b"]
    assert {i: round(ratio.estimate, 6) for i, ratio in view.speed_ups.items()} == {
        "m-pytorch": 1, "m-a": 2, "m-c": 5, "m-d": 10, "m-pytorch of 1.json": 1, "m-b": 3,
    }  # fmt: skip
    assert view.path == full.path
    assert view.content["joined"] == {"1.json": "b-runtime - -> 1.0"}
    assert "m-b" not in views([full, made({"pytorch": {"median_ms": 30.0}, "b": {"median_ms": 10.0}}, day=1)])[0].rows, (
        "an old one"
    )


def test_a_layer_of_nothing_is_not_drawn() -> None:
    """A layer without data is not drawn, since Vega warns of an empty axis; a run without clean stretches has no intervals."""
    layers = [{"mark": "rule", "encoding": {"x": {"field": "low"}}}, {"mark": "point", "encoding": {"x": {"field": "speed"}}}]
    drawn = {low: chart([{"speed": 1.0, "low": low}], layers)["layer"] for low in (None, 0.9)}
    assert [layer["mark"] for layer in drawn[None]] == ["point"]
    assert [layer["mark"] for layer in drawn[0.9]] == ["rule", "point"]


def test_names_and_texts_are_only_names_and_texts() -> None:
    assert slug("../../etc/passwd <script>") == "etc-passwd-script"
    assert slug("...") == "chart"
    assert plain("a|b <img>\n[x](y) `c`") == r"a\|b &lt;img&gt; \[x\](y) \`c\`"
    table = Table({"a": {"n": 1.5}, "b": {"n": None}}, (Column("name", identity), Column("n", "n", "{:.1f}")))
    assert [[cell.text for cell in row] for row in table.sortable()] == [["a", "1.5"], ["b", "-"]]
    numbers = [row[1].number for row in table.sortable()]
    assert numbers[0] == 1.5
    assert numbers[1] is not None
    assert numbers[1] < 0, "what is missing comes last among the largest"


def test_what_remains_is_what_it_took_last_time() -> None:
    now = [0.0]
    known = {f"t[{i}]": 10.0 for i in range(20)}
    countdown = Countdown(known, workers=2, clock=lambda: now[0])
    countdown.expect(known)
    for i in range(10):
        countdown.spent(f"t[{i}]", 20.0)
        line = countdown.finished(f"t[{i}]")
        assert line is None, "not every test is worth a line"
    now[0] += EVERY
    assert countdown.finished("t[9]") == "10 of 20 done, about 2 min left; the last was t[9]", (
        "ten at half the pace by two workers"
    )
    fresh = Countdown({}, workers=1, clock=lambda: now[0])
    fresh.expect(known)
    fresh.spent("t[0]", 1.0)
    now[0] += EVERY
    assert fresh.finished("t[0]") == "1 of 20 done; the last was t[0]", "one test foretells nothing"


@pytest.mark.slow
def test_progress_is_silent_when_asked_and_reaches_the_terminal_from_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a line after every test (EVERY = 0), progress is printed, also under xdist, and not with -q."""
    chatty = tmp_path / "chatty.py"
    chatty.write_text("import fixtures.pytest_plugin.countdown as countdown\ncountdown.EVERY = 0.0\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    arguments = ("tests/meta/metrics/test_figures.py", "-p", "chatty", f"--artifacts={tmp_path / 'store'}")
    said = {name: run(*arguments, *more) for name, more in (("plain", ()), ("quiet", ("-q",)), ("workers", ("-n", "2")))}
    for found in said.values():
        assert found.returncode == 0, found.stdout[-2000:]
    lines = {name: re.findall(r"^.*\d+ of \d+ done.*the last was.*$", found.stdout, re.M) for name, found in said.items()}
    assert lines["quiet"] == []
    for name in ("plain", "workers"):
        assert len(lines[name]) >= 3, said[name].stdout[-2000:]
        assert all(line.startswith("[00:") for line in lines[name]), "a line of its own"
