"""Opens a report in a headless browser and prints its problems: ``python -m tests.support.browser INDEX.html``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures.pytest_plugin.browser import chromium

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 760}


class Opened:
    """An open page; ``trouble`` collects messages of the console and network requests."""

    def __init__(self, page: Any, index: Path) -> None:
        self.page = page
        self.trouble: list[str] = []
        page.on("console", lambda message: self.trouble.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        page.on("request", self._request)
        page.goto(index.resolve().as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=30_000)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "blob:")):
            self.trouble.append(f"network: {request.url[:200]}")

    def open_everything(self) -> None:
        """Unfold all sections and draw every chart, as for a reader who scrolls through the page."""
        self.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        for place in self.page.locator(".chart").all():
            place.scroll_into_view_if_needed()
            self.page.wait_for_function(
                "(e) => e.querySelector('svg .mark-rule, svg .mark-rect, svg .mark-symbol, svg .mark-text') !== null",
                arg=place.element_handle(), timeout=30_000,
            )  # fmt: skip

    def columns_that_do_not_sort(self) -> list[str]:
        """Sorts by every column of every table, with the mouse and the keyboard; returns the columns that are not in order."""
        found: list[str] = self.page.evaluate(
            """async () => {
                const wrong = [];
                const value = (cell) => cell.dataset.order === undefined ? null : Number(cell.dataset.order);
                for (const table of document.querySelectorAll("table.sortable")) {
                    const heads = [...table.tHead.rows[0].cells];
                    for (const [place, head] of heads.entries()) {
                        if (!head.classList.contains("number")) continue;
                        head.click();
                        for (let i = 0; i < 200 && head.getAttribute("aria-sort") !== "ascending"; i++)
                            await new Promise((done) => setTimeout(done, 10));
                        const values = [...table.tBodies[0].rows].map((row) => value(row.cells[place]));
                        const sorted = values.every((v, i) => i === 0 || values[i - 1] <= v);
                        if (!sorted || head.getAttribute("aria-sort") !== "ascending") wrong.push(head.innerText);
                    }
                }
                return wrong;
            }"""
        )
        return found

    def wider_than_the_screen(self) -> bool:
        """True if the page as a whole scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@contextmanager
def launched() -> Iterator[Any]:
    """A new headless browser."""
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", "--disable-background-networking"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # Chromium has no sandbox for root
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(index: Path, viewport: Any = None, scheme: Any = "light") -> Iterator[Opened]:
    """``index``, opened in a new browser."""
    with launched() as browser:
        yield Opened(browser.new_page(viewport=viewport or DESKTOP, color_scheme=scheme), index)


def problems(index: Path) -> list[str]:
    """The problems of a page on a desktop, on a phone, and in the dark theme."""
    found = [] if index.stat().st_size < 5e6 else [f"{index.stat().st_size / 1e6:.1f} MB"]
    for viewport, scheme in ((DESKTOP, "light"), (PHONE, "light"), (DESKTOP, "dark")):
        with opened(index, viewport, scheme) as page:
            page.open_everything()
            if not page.page.locator(".chart").count():
                page.trouble.append("no chart")
            if page.wider_than_the_screen():
                page.trouble.append("it scrolls sideways")
            if viewport is DESKTOP and scheme == "light":
                page.trouble += [f"column {name!r} does not sort" for name in page.columns_that_do_not_sort()]
            found += [f"{viewport['width']} px, {scheme}: {text}" for text in page.trouble]
    return found


if __name__ == "__main__":
    said = [f"{path}: {text}" for path in sys.argv[1:] for text in problems(Path(path))]
    print("\n".join(said) or "nothing is wrong")
    sys.exit(bool(said))
