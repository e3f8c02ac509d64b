"""Writes the tables of docs/calibration.md: false alarms of the conformance tests, and margins of their figures."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.core.precisions import PRECISIONS
from fixtures.report.docs_blocks import rendered
from fixtures.report.table import Column, Table, identity
from tests.mutation.calibration import Subject
from tests.mutation.detection import Finding, read, sentence
from tests.mutation.detection_page import conditions

#: Figures with this word in their name are distances from a bound; a negative one is beyond the bound.
MARGIN = "margin"
#: Figures against the float64 reference, which have no margin, and their column headings.
PLAIN = {"logits_db": "worst logits, dB", "hidden_db": "worst hidden state, dB"}


@dataclass(frozen=True)
class Result:
    """The results of the tests on one checkpoint; ``accuracy`` is None if it did not learn the task."""

    subject: Subject
    accuracy: float | None
    findings: tuple[Finding, ...]

    @property
    def right(self) -> list[Finding]:
        """The findings of variants that are not known failures."""
        return [finding for finding in self.findings if not finding.known]

    @property
    def variants(self) -> int:
        return len(self.right)

    @property
    def failures(self) -> list[str]:
        """One line for each failure: the variant, the test and the first 120 characters of its message."""
        return [
            f"{'-'.join(filter(None, finding.cell))}: {test}, {sentence(text)[:120]}"
            for finding in self.right
            for test, text in finding.failures.items()
        ]

    @property
    def alarms(self) -> int:
        return sum(bool(finding.failures) for finding in self.right)


def results(files: Iterable[tuple[Subject, Path, Path]]) -> list[Result]:
    """The result of each subject, from its JSON and its JUnit file; SystemExit for a run without tests."""
    found = []
    for subject, said, junit in files:
        findings = tuple(read(junit, subject.name))
        if not findings:
            raise SystemExit(f"{junit} has no test of {subject.name}")
        found.append(Result(subject, json.loads(said.read_text(encoding="utf-8"))["accuracy"], findings))
    return found


def checkpoints(found: Sequence[Result]) -> str:
    """A table with one row for each checkpoint, and a row with their sums."""
    rows: dict[str, dict[str, Any]] = {
        result.subject.name: {
            "made": result.subject.made, "accuracy": None if result.accuracy is None else 100 * result.accuracy,
            "variants": result.variants, "tests": sum(f.tests for f in result.right), "alarms": result.alarms,
        }
        for result in found
    }  # fmt: skip
    sums = {name: sum(row[name] for row in rows.values()) for name in ("variants", "tests", "alarms")}
    rows[f"all {len(found)}"] = {"made": "", "accuracy": None, **sums}
    columns = [
        Column("checkpoint", identity),
        Column("how it was made", "made"),
        Column("accuracy, %", "accuracy", "{:.1f}"),
        Column("variants", "variants", "{}"),
        Column("tests", "tests", "{}"),
        Column("false alarms", "alarms", "{}"),
    ]
    return Table(rows, columns).markdown()


def alarms(found: Sequence[Result]) -> str:
    """A list of all false alarms, or "None."."""
    lines = [f"- {result.subject.name}, {failure}" for result in found for failure in result.failures]
    return "\n".join(lines) or "None."


def margins(found: Sequence[Result]) -> str:
    """A table with the worst value of every figure over all checkpoints, by precision, with its checkpoint and backend."""
    every = [(result.subject.name, finding) for result in found for finding in result.right if finding.figures]
    names = [name for name in dict.fromkeys(n for _, f in every for n in f.figures) if MARGIN in name or name in PLAIN]
    rows = {}
    for precision in PRECISIONS:
        row: dict[str, object] = {}
        for name in names:
            had = [(f.figures[name], f"{s}, {f.backend}") for s, f in every if f.precision == precision and name in f.figures]
            if had:
                row[name], row[f"{name} of"] = min(had)
        if row:
            rows[precision] = row
    columns = [Column("precision", identity)]
    for name in names:
        columns += [Column(PLAIN.get(name, f"least {name}"), name, "{:.1f}"), Column("whose", f"{name} of")]
    return Table(rows, columns).markdown()


def write(page: Path, found: Sequence[Result], emulated: str) -> None:
    """Update the tables of ``page`` for this machine, or for the ``emulated`` CPU."""
    suffix = f"_{emulated}" if emulated else ""
    blocks: dict[str, Callable[[], str]] = {
        f"conditions{suffix}": conditions,
        f"checkpoints{suffix}": functools.partial(checkpoints, found),
        f"alarms{suffix}": functools.partial(alarms, found),
        f"margins{suffix}": functools.partial(margins, found),
    }
    page.write_text(rendered(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
