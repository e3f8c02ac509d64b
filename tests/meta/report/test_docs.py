"""Tests the documents: generated pages are current; named files, links, modules, options and environments exist."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.report.docs_blocks import DOCS, PAGES
from fixtures.store.source_code import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
#: A path below one of the repository's folders in prose or commands; it may be a glob pattern.
FILE = re.compile(r"(?<![\w./:=-])(?:fixtures|tests|bench|scripts|docs|requirements|\.github|\.ci)/[\w./*-]*\w[\w/*]*")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
#: Files that commands in the documents write.
WRITTEN = {"bench/out.json"}


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def commands(text: str) -> Iterator[str]:
    """Lines of code blocks, and inline code, which may contain a command."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        yield from re.sub(r"\\\n\s*", "", block).splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the site and the hosts of repositories make them."""
    titles = re.findall(r"^#+ (.+)$", text_of(document), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title.lower())).strip("-") for title in titles}


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name: str) -> None:
    text = text_of(DOCS / name)
    assert PAGES[name](text) == text, f"docs/{name} is out of date; run: python -m fixtures.report.docs_blocks"


def test_the_site_shows_every_page() -> None:
    shown = set(re.findall(r"[\w./-]+\.md", str(tomllib.loads(text_of(ROOT / "zensical.toml"))["project"]["nav"])))
    assert shown == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


@each_document
def test_files_that_a_document_names_exist(document: Path) -> None:
    named = {name.rstrip(".") for name in FILE.findall(text_of(document))} - WRITTEN
    missing = [name for name in sorted(named) if not any(ROOT.glob(name.strip("/")))]
    assert not missing, f"{document.name} names {', '.join(missing)}, which do not exist"


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    """Links and anchors exist, also in README and the other documents that are not part of the site."""
    wrong = []
    for place, anchor in LINK.findall(text_of(document)):
        target = document.parent / place if place else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(f"{place}#{anchor}")
    assert not wrong, f"{document.name} links to {', '.join(wrong)}"


@each_document
def test_modules_that_a_document_runs_exist(document: Path) -> None:
    named = {
        name
        for name in re.findall(r"(?:python -m |ENCODER_PARITY_PLUGINS=)([\w.]+\w)", text_of(document))
        if name.split(".")[0] in {"fixtures", "tests", "bench", "scripts"}
    }
    missing = [name for name in sorted(named) if not ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file()]
    assert not missing, f"{document.name} runs {', '.join(missing)}, which do not exist"


@each_document
def test_environments_that_a_document_runs_exist(document: Path) -> None:
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "tox.ini", encoding="utf-8")
    known = {name.removeprefix("testenv:") for name in found.sections()}
    named = {name for names in re.findall(r"tox (?:run|exec) -e ([\w.,-]+\w)", text_of(document)) for name in names.split(",")}
    missing = [name for name in sorted(named - known) if not name.isupper()]
    assert not missing, f"{document.name} runs tox with {', '.join(missing)}, which tox.ini does not have"


@each_document
def test_options_of_pytest_that_a_document_gives_exist(document: Path, pytestconfig: pytest.Config) -> None:
    parser = pytestconfig._parser  # otherwise only --help lists pytest's options, in a separate session
    groups = (*parser._groups, parser._anonymous)
    known = {name for group in groups for option in group.options for name in option.names()}
    given = {
        option
        for command in commands(text_of(document))
        if re.match(r"(?:\w+=\S+ |python -m )*pytest\b", command)
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", command.split(" # ")[0])
    }
    assert given <= known, f"{document.name} gives pytest {', '.join(sorted(given - known))}, which it does not know"
