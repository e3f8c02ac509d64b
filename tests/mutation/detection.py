"""Measures which test catches which fault and updates docs/detection.md: ``python -m tests.mutation.detection``.

The suite's tests run in a separate pytest process on every faulty cell (``tests.mutation.faults``) and on the correct cells;
their results are read from its JUnit file. ``--keep DIR`` keeps these files, and a later call makes only the missing ones.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.core.registry import load
from tests.mutation.faults import states
from tests.mutation.faults.spec import HARMLESS, PREFIX
from tests.support.nested import run

SUBJECTS = {"tiny": "bert-base-cased-tiny", "full": "minilm-l6"}
PLUGIN = {"ENCODER_PARITY_PLUGINS": "tests.mutation.faults.plugin"}
CONFORMANCE = tuple(
    f"tests/conformance/test_{name}.py" for name in ("structure", "agreement", "extents", "state", "invariance", "accuracy")
)
ONCE = ("-p", "tests.mutation.faults.stopping")
ON_TINY = (*ONCE, "--models=bert-base-cased", "--size=tiny")
#: One run for each backend, with all precisions, on a tiny BERT. (FULL has the int8 builds of the fine-tuned default model,
#: whose labels can flip.)
TINY = {
    f"tiny-{name}": (*CONFORMANCE, *ON_TINY, f"--backends={name}", "-k", "not first_epoch")
    for name, backend in load().backends.items()
    if not backend.optional_provider  # which few builds of a runtime have
    and not backend.tools  # a compiler takes half a minute a fault
    and name != "executorch"  # a fault takes up to 50 s
}  # fmt: skip
TOKENIZERS = ("tests/conformance/test_tokenizers.py", *ON_TINY, "-k", "not first_epoch")
CELLS = ("onnxruntime-int8_dynamic", "onnxruntime-int8_static")
#: Faults that are looked for on tiny models only, as they do not depend on the weights: state, extents of a batch and
#: of the vocabulary.
ON_TINY_ONLY = (*(fault.name for fault in states.FAULTS), "rare_unknown", "large_batch_unmasked", "from_33_first")
FULL = (
    *CONFORMANCE, *ONCE, "--models=minilm-l6", "--size=full",
    "-k", f"({' or '.join(CELLS)}) and not ({' or '.join(('test_the_longest', 'reduce_range', *ON_TINY_ONLY))})",
)  # fmt: skip
#: The run that measures the effect of every fault in PyTorch f32.
EFFECTS = ("tests/mutation/effects.py", *ON_TINY, "-k", "pytorch-f32-fault and not first_epoch")
RUNS = {"effects": EFFECTS, "tokenizers": TOKENIZERS, **TINY, "full": FULL}
#: The page with all runs.
PAGE = Path("docs/detection.md")
CASE = re.compile(r"(?P<test>\w+)\[(?P<variant>.+?)(-(single|padded))?\]$")
BUILD = "build"


@dataclass
class Finding:
    """The results of the tests for one variant or tokenizer.

    ``failures``: the message of each test that failed (``build`` if the build failed before any test ran). ``files``: the
    module of each such test. ``figures``: the figures that the tests recorded. ``fault``: the injected fault, empty for a
    correct variant. ``harmless``: the injected harmless change.
    """

    backend: str
    precision: str
    fault: str
    recipe: str = ""
    harmless: str = ""
    failures: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    known: bool = False
    tests: int = 0

    @property
    def cell(self) -> tuple[str, str, str]:
        return self.backend, self.precision, self.recipe

    @property
    def verdict(self) -> str:
        """The first test that failed, or an empty string."""
        return next(iter(self.failures), "")


def read(junit: Path, subject: str) -> list[Finding]:
    """The findings of a run on ``subject``, in the order of the file."""
    found: dict[str, Finding] = {}
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - pytest's own file
        match = CASE.match(case.get("name", ""))
        if match is None or not match["variant"].startswith(f"{subject}-"):
            continue
        finding = found.setdefault(match["variant"], _named(match["variant"].removeprefix(f"{subject}-")))
        _note(finding, match["test"], case)
    return [finding for finding in found.values() if finding.tests]


def _named(name: str) -> Finding:
    backend, _, rest = name.partition("-")
    if rest.startswith(PREFIX) or not rest:  # a tokenizer
        return Finding(backend, "", rest.removeprefix(PREFIX))
    precision, _, recipe = rest.partition("-")
    fault, harmless = (recipe.removeprefix(kind) if recipe.startswith(kind) else "" for kind in (PREFIX, HARMLESS))
    return Finding(backend, precision, fault, recipe, harmless)


def _note(finding: Finding, test: str, case: ElementTree.Element) -> None:
    for entry in case.iter("property"):
        name, value = entry.get("name", ""), entry.get("value", "")
        if re.fullmatch(r"-?(\d+(\.\d+)?(e-?\d+)?|inf)|nan", value):  # the worse of single rows and a padded batch
            finding.figures[name] = min(float(value), finding.figures.get(name, float("inf")))
    verdict = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
    if verdict is not None and verdict.tag == "skipped":
        finding.known |= verdict.get("type") == "pytest.xfail"
        return
    finding.tests += 1
    if verdict is not None:
        text = (verdict.get("message") or "").replace("&#10;", "\n")
        failed = BUILD if verdict.tag == "error" else test
        finding.failures.setdefault(failed, text)
        finding.files.setdefault(failed, case.get("classname", "").rpartition(".")[2])


def sentence(text: str) -> str:
    """The message of a failure, without the text that pytest and a worker process add around it."""
    text = text.split("\n")[0]
    text = re.sub(r'^failed on setup with "fixtures\.errors\.\w+: ', "", text)
    text = re.sub(r"^(AssertionError|RemoteError|\w*Error): ", "", text)
    return re.sub(r"^\S+-tiny-\S+?(, \w+)?: |^minilm-l6-\S+?(, \w+)?: ", "", text).split("; first beyond")[0].rstrip('"')


def collect(junit: Path, *arguments: str, workers: int, **environment: str) -> None:
    """Run the tests that ``arguments`` select in a separate pytest process, if ``junit`` does not exist.

    Raises SystemExit with the end of pytest's output if it could not run them.
    """
    if junit.exists():
        return
    print(f"{junit.stem}: pytest {' '.join(arguments)}", file=sys.stderr, flush=True)
    partial = junit.with_suffix(".partial")
    parallel = [f"-n{workers}"] if workers > 1 else []
    found = run(*arguments, *parallel, "-q", "--tb=line", f"--junit-xml={partial}", timeout=4 * 3600, cache=None, **environment)
    if found.returncode not in (0, 1):
        raise SystemExit(found.stdout[-2000:] + found.stderr[-2000:])
    partial.rename(junit)


def main(arguments: Sequence[str] | None = None) -> None:
    """Inject the faults, read the results, write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.detection", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--keep", type=Path, default=Path("detection"), metavar="FOLDER", help="JUnit files (default: detection)"
    )
    parser.add_argument(
        "--runs",
        default="*",
        metavar="PATTERNS",
        help=f"some of {', '.join(RUNS)}, such as tiny-tflite*,full; {PAGE} is written when all are there, another page from "
        "these",
    )
    parser.add_argument("-k", dest="only", metavar="EXPRESSION", help="what has such a name only, as pytest's -k: then no page")
    parser.add_argument("-n", dest="workers", type=int, default=2, help="xdist workers (default: 2)")
    parser.add_argument("-o", dest="page", type=Path, default=PAGE, metavar="FILE")
    asked = parser.parse_args(arguments)
    if not asked.page.is_file():
        parser.error(f"-o {asked.page}: there is no such page; give a copy of docs/detection.md, whose tables are renewed")
    asked.keep.mkdir(parents=True, exist_ok=True)
    own = {name: os.environ[name] for name in ("ENCODER_PARITY_MRPC", "ENCODER_PARITY_ARTIFACTS") if name in os.environ}
    runs = [name for name in RUNS if any(fnmatch.fnmatchcase(name, pattern) for pattern in asked.runs.split(","))]
    if not runs:
        parser.error(f"--runs {asked.runs}: there is none of that name; choose from {', '.join(RUNS)}")
    for name in runs:
        chosen = RUNS[name]
        narrowed = (*chosen[:-1], f"({chosen[-1]}) and ({asked.only})") if asked.only else chosen
        collect(asked.keep / f"{name}.xml", *narrowed, workers=asked.workers, **own, **PLUGIN)
    whole = asked.page.name == PAGE.name
    files = {name: asked.keep / f"{name}.xml" for name in (RUNS if whole else runs)}
    if asked.only or not all(path.exists() for path in files.values()):
        return
    from tests.mutation.detection_page import write  # that module imports from this one

    write(asked.page, files)


if __name__ == "__main__":
    main()
