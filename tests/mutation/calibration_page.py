"""The tables of docs/calibration.md: what the conformance tests said of right builds, and what their figures left."""

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

#: How a figure is called that is a distance to its bound; negative is beyond.
MARGIN = "margin"
#: Figures against the float64 reference, where no bound is named.
PLAIN = {"logits_db": "worst logits, dB", "hidden_db": "worst hidden state, dB"}


@dataclass(frozen=True)
class Result:
    """What the tests said of one checkpoint, whose ``accuracy`` is None if it never learnt."""

    subject: Subject
    accuracy: float | None
    findings: tuple[Finding, ...]

    @property
    def right(self) -> list[Finding]:
        """Variants that are no known failure."""
        return [finding for finding in self.findings if not finding.known]

    @property
    def variants(self) -> int:
        return len(self.right)

    @property
    def failures(self) -> list[str]:
        """What each variant with a false alarm fails, in the words of the tests."""
        return [
            f"{'-'.join(filter(None, finding.cell))}: {test}, {sentence(text)[:120]}"
            for finding in self.right
            for test, text in finding.failures.items()
        ]

    @property
    def alarms(self) -> int:
        return sum(bool(finding.failures) for finding in self.right)


def results(files: Iterable[tuple[Subject, Path, Path]]) -> list[Result]:
    """Of each subject, what its JSON and its JUnit file say; SystemExit for a run that tested nothing."""
    found = []
    for subject, said, junit in files:
        findings = tuple(read(junit, subject.name))
        if not findings:
            raise SystemExit(f"{junit} has no test of {subject.name}")
        found.append(Result(subject, json.loads(said.read_text(encoding="utf-8"))["accuracy"], findings))
    return found


def checkpoints(found: Sequence[Result]) -> str:
    """One row for each checkpoint, and their sum."""
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
    """Every false alarm, or that there was none."""
    lines = [f"- {result.subject.name}, {failure}" for result in found for failure in result.failures]
    return "\n".join(lines) or "None."


def margins(found: Sequence[Result]) -> str:
    """For each precision the worst of every figure over all checkpoints, and whose it is."""
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
    """Renew the tables of ``page``: those of this machine, or of the CPU that was emulated."""
    suffix = f"_{emulated}" if emulated else ""
    blocks: dict[str, Callable[[], str]] = {
        f"conditions{suffix}": conditions,
        f"checkpoints{suffix}": functools.partial(checkpoints, found),
        f"alarms{suffix}": functools.partial(alarms, found),
        f"margins{suffix}": functools.partial(margins, found),
    }
    page.write_text(rendered(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
