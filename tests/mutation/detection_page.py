"""Writes the tables of docs/detection.md: the test that caught each fault, undetectable faults, margins of bounds."""

from __future__ import annotations

import datetime
import functools
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fixtures.core.machine import this_machine
from fixtures.core.precisions import PRECISIONS
from fixtures.core.versions import versions
from fixtures.report.docs_blocks import rendered
from fixtures.report.table import Column, Table, identity, plain
from tests.mutation.detection import BUILD, SUBJECTS, Finding, read, sentence
from tests.mutation.faults import FAULTS, tokenizers
from tests.mutation.faults.unseen import reason

SAYS = {fault.name: fault.says for fault in FAULTS} | {fault.name: fault.says for fault in tokenizers.FAULTS}
LETTERS = {"test_structure": "S", "test_extents": "X", "test_state": "T", "test_invariance": "I", "test_accuracy": "M"}
PACKAGES = (
    "torch",
    "transformers",
    "onnxruntime",
    "tensorflow",
    "ai-edge-litert",
    "openvino",
    "nncf",
    "torchao",
    "ctranslate2",
)
MISSED = "missed: it is as large as int8's own error on this model; the float build that such a cell starts from is caught"
Findings = Sequence[Finding]
#: The figure for the stage that is nearest to its bound: its distance from the bound in dB (``fixtures.harness.assessment``).
MARGIN = "stage_margin_db"


def letter(finding: Finding) -> str:
    """The letter of what caught the fault, as the legend of the page explains it; "-" if nothing did."""
    verdict = finding.verdict
    if not verdict:
        return "-"
    if verdict == BUILD:
        return "B"
    if finding.files[verdict] == "test_agreement":
        said = sentence(finding.failures[verdict])
        return "N" if " computes as if " in said and " dB < " not in said else "A"
    return LETTERS.get(finding.files[verdict], "I")


def faulty(findings: Iterable[Finding]) -> list[Finding]:
    """The findings of injected faults."""
    return [finding for finding in findings if finding.fault]


def right(findings: Iterable[Finding]) -> list[Finding]:
    """The findings of unchanged builds, without known failures."""
    return [f for f in findings if not f.fault and not f.harmless and f.precision and not f.known]


def harmless(findings: Iterable[Finding]) -> list[Finding]:
    """The findings of harmless changes."""
    return [finding for finding in findings if finding.harmless]


def grid(findings: Findings) -> str:
    """A table of faults by backends (or tokenizers); a cell has the letter of what caught the fault, with the precisions."""
    cells: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for finding in findings:
        cells[finding.fault or finding.harmless][finding.backend][letter(finding)].append(finding.precision)
    table = {
        SAYS[name]: {backend: "; ".join(map(_cell, sorted(found.items()))) for backend, found in row.items()}
        for name, row in cells.items()
    }
    backends = dict.fromkeys(finding.backend for finding in findings)
    return Table(table, [Column("fault", identity), *(Column(name, name) for name in backends)]).markdown()


def _cell(entry: tuple[str, list[str]]) -> str:
    code, precisions = entry
    return f"**{code}** {' '.join(precisions)}".strip()


def counts(tiny: Findings, full: Findings, tokenizers: Findings) -> str:
    """A table with the numbers of injected, caught and missed faults and of false alarms, by run."""
    rows = {}
    for name, found in (("tiny", tiny), ("full", full)):
        if not found:
            continue
        rows[SUBJECTS[name]] = _counted(faulty(found), right(found))
        rows[f"{SUBJECTS[name]}, changed without harm"] = _counted([], harmless(found))
    if tokenizers:
        rows["tokenizers"] = _counted(faulty(tokenizers), [])
    numbers = ("kinds", "injected", "caught", "not caught", "right variants", "their tests", "false alarms")
    return Table(rows, [Column("run", identity), *(Column(name, name, "{}") for name in numbers)]).markdown()


def _counted(injected: Findings, built: Findings) -> dict[str, int]:
    caught = sum(bool(finding.failures) for finding in injected)
    return {
        "kinds": len({finding.fault for finding in injected}), "injected": len(injected),
        "caught": caught, "not caught": len(injected) - caught, "right variants": len(built),
        "their tests": sum(finding.tests for finding in built), "false alarms": sum(bool(f.failures) for f in built),
    }  # fmt: skip


def unseen(effects: Findings, tiny: Findings, full: Findings) -> str:
    """A table of faults that no test caught, with their effect in PyTorch f32 and on labels, and the reason."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in faulty((*tiny, *full)):
        if not finding.failures:
            why = reason(finding.fault, finding.backend, finding.precision) or MISSED
            groups[finding.fault, why].append(finding)
    rows = {}
    for (fault, why), group in groups.items():
        precisions = list(dict.fromkeys(finding.precision for finding in group))
        built = [f for f in right(full) if not f.recipe and f.precision in precisions]
        rows[f"{SAYS[fault]} ({', '.join(precisions)})"] = {
            "tiny": _alone(effects, fault, "effect_db"), "full": _alone(full, fault, "hidden_db"), "reason": why,
            "with": _most([f for f in group if f in full]), "without": _most(built),
        }  # fmt: skip
    columns = [
        Column("fault, and where", identity),
        Column("alone, tiny, dB", "tiny", "{:.0f}"),
        Column("alone, minilm-l6, dB", "full", "{:.0f}"),
        Column("flips with it, %", "with", "{:.1f}"),
        Column("flips without, %", "without", "{:.1f}"),
        Column("why", "reason"),
    ]
    return Table(rows, columns).markdown()


def _alone(findings: Findings, fault: str, figure: str) -> float | None:
    """The SQNR (dB) of a fault in PyTorch f32, whose rounding noise is much smaller than the fault's effect."""
    cell = ("pytorch", "f32")
    return next((f.figures.get(figure) for f in findings if f.fault == fault and f.cell[:2] == cell), None)


def _most(findings: Findings) -> float | None:
    return max((100 * f.figures["flips"] for f in findings if "flips" in f.figures), default=None)


def effect(effects: Findings) -> str:
    """A table with the effect of each fault in PyTorch f32, in the order of the faults."""
    rows = {SAYS[finding.fault]: finding.figures for finding in faulty(effects) if finding.figures}
    columns = [
        Column("fault", identity),
        Column("on the probes, dB", "probes_db", "{:.0f}"),
        Column("where it shows most, dB", "effect_db", "{:.0f}"),
    ]
    return Table(rows, columns).markdown()


def sensitivity(findings: Findings) -> str:
    """A table by precision: the correct build that is nearest to a stage's bound, and the mildest fault beyond one."""
    rows = {}
    for name in PRECISIONS:
        built, beyond = (
            [f for f in some if f.precision == name and MARGIN in f.figures] for some in (right(findings), faulty(findings))
        )
        built, beyond = [f for f in built if not f.recipe], [f for f in beyond if f.figures[MARGIN] < 0]
        if built and beyond:
            worst, mildest = min(built, key=lambda f: f.figures[MARGIN]), max(beyond, key=lambda f: f.figures[MARGIN])
            rows[name] = {
                "worst": worst.figures[MARGIN], "who": worst.backend,
                "mildest": mildest.figures[MARGIN], "fault": f"{SAYS[mildest.fault]} ({mildest.backend})",
            }  # fmt: skip
    columns = [
        Column("precision", identity),
        Column("least margin of a right build, dB", "worst", "{:+.1f}"),
        Column("which", "who"),
        Column("mildest fault beyond a bound, dB", "mildest", "{:+.1f}"),
        Column("which", "fault"),
    ]
    return Table(rows, columns).markdown()


def words(findings: Findings) -> str:
    """A table with the message of the test that caught each fault of ONNX Runtime."""
    rows = {}
    for finding in (f for f in faulty(findings) if f.backend == "onnxruntime"):
        verdict = finding.verdict
        says = plain(sentence(finding.failures[verdict])[:140]) if verdict else "-"
        rows[f"{finding.precision}, {SAYS[finding.fault]}"] = {"test": f"`{verdict}`" if verdict else "-", "says": says}
    return Table(rows, [Column("precision and fault", identity), Column("test", "test"), Column("says", "says")]).markdown()


def conditions() -> str:
    """One line with date, machine and versions of the run."""
    machine, today = this_machine(), datetime.datetime.now(datetime.UTC).date()
    made = ", ".join(f"{name} {version}" for name, version in versions(PACKAGES).items())
    return f"Run on {today}: {machine.cpu}, {machine.cores} cores, Python {platform.python_version()}, {made}."


def write(page: Path, files: Mapping[str, Path]) -> None:
    """Update those tables that ``page`` has, from the JUnit files of runs of ``tests.mutation.detection``."""
    runs: dict[str, list[Finding]] = {name: [] for name in ("effects", "tokenizers", "full")} | {
        name: read(path, SUBJECTS["full" if name == "full" else "tiny"]) for name, path in files.items()
    }
    tiny, full = [f for name, found in runs.items() if name.startswith("tiny-") for f in found], runs["full"]
    blocks: dict[str, Callable[[], str]] = {
        "conditions": conditions,
        "counts": functools.partial(counts, tiny, full, runs["tokenizers"]),
        "tiny_faults": functools.partial(grid, faulty(tiny)),
        "full_faults": functools.partial(grid, faulty(full)),
        "tokenizer_faults": functools.partial(grid, faulty(runs["tokenizers"])),
        "effects": functools.partial(effect, runs["effects"]),
        "harmless": functools.partial(grid, harmless(tiny)),
        "unseen": functools.partial(unseen, runs["effects"], tiny, full),
        "words": functools.partial(words, tiny),
        "sensitivity_tiny": functools.partial(sensitivity, tiny),
        "sensitivity_full": functools.partial(sensitivity, full),
    }
    page.write_text(rendered(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
