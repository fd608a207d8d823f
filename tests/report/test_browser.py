"""The page in a real browser: widths, paper, keyboard, sorting, filtering, runs behind points, accessibility."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import CHROMIUM, Browser
from tests.report.test_page import report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
AXE = os.environ.get("XSWEEP_AXE", "")
"""axe.min.js of the npm package axe-core."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    cell = ("small", "anli", "xnli", 1)
    return report(folder, statuses={("target", cell): "degenerate"}, same_data=[("squad", "xquad")])[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as open_browser:
        yield open_browser


@pytest.mark.parametrize("width", [400, 900, 1300])
def test_it_fits_and_is_silent(page: Path, browser: Browser, width: int) -> None:
    browser.open(page, width)
    assert browser.ask("document.documentElement.scrollWidth") == width
    assert browser.log == []


def test_tables_sort_and_filter(page: Path, browser: Browser) -> None:
    browser.open(page, 1300)
    table = "document.querySelector('table.gains')"
    column = f"[...{table}.tBodies[0].rows].map(row => row.cells[2].querySelector('span').textContent)"
    head = f"{table}.tHead.rows[0].cells[2]"
    browser.ask(f"{head}.querySelector('button').click()")
    assert browser.ask(f"{head}.getAttribute('aria-sort')") == "ascending"
    up = browser.ask(column)
    assert up == sorted(up, key=lambda text: float(text.replace("−", "-")))
    browser.ask(f"{head}.querySelector('button').click()")
    assert browser.ask(column) == sorted(up, key=lambda text: -float(text.replace("−", "-")))
    assert browser.ask(f"[...{table}.tBodies[0].rows].every(row => /small|large/.test(row.cells[0].textContent))")
    field = "document.querySelector('.filter input')"
    browser.ask(f"{field}.value = 'squad'; {field}.dispatchEvent(new Event('input'))")
    told = browser.ask("document.querySelector('.filter output').textContent")
    shown, _, whole = told.removesuffix(" rows").partition(" of ")
    assert 0 < int(shown) < int(whole)


def test_a_point_shows_its_runs_by_keyboard(page: Path, browser: Browser) -> None:
    browser.open(page, 1300)
    browser.ask(
        "(() => { const dot = document.querySelector('#figure-gain_vs_params .wide circle[tabindex]'); dot.focus();"
        "dot.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true})); })()"
    )
    rows = browser.ask("document.querySelectorAll('#figure-gain_vs_params .runs tbody tr').length")
    assert rows == 3 * 2 * 3  # none, snli and anli; two targets; three seeds
    caption = browser.ask("document.querySelector('#figure-gain_vs_params .runs caption').textContent")
    assert caption == "Runs behind NLI, small, all targets: 18"


def test_paper_shows_everything(page: Path, browser: Browser) -> None:
    browser.open(page, 760, media="print")
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.paper().startswith(b"%PDF")


@pytest.mark.skipif(not AXE, reason="XSWEEP_AXE does not name axe.min.js (npm install axe-core)")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(page: Path, browser: Browser, dark: bool) -> None:
    browser.open(page, 1300, dark=dark)
    browser.ask(Path(AXE).read_text("utf-8") + "; 1")
    script = "axe.run(document).then(found => JSON.stringify(found.violations.map(v => [v.id, v.nodes[0].html])))"
    assert json.loads(browser.ask(script)) == []
