"""A report in a real browser: charts are drawn, choices work, links restore them, nothing is loaded, axe finds nothing.

Each check of the page is first shown to fail on a page that was broken on purpose.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from report_files import write_all

from slotlookup.bench.cli import cli

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.builds,  # a minute
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
]
READY = "['ready', 'failed'].includes(document.body.dataset.state)"


@dataclass
class Browser:
    """A browser, and what its pages reported: errors of the console, and requests other than for the file."""

    instance: Any
    faults: list[str] = field(default_factory=list)

    def open(self, address: str, **more: Any) -> Any:
        """A new page at this address, when its charts are drawn."""
        self.faults = []
        page = self.instance.new_page(**more)
        page.on("console", self._message)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._request)
        page.goto(address)
        page.wait_for_function(READY)
        return page

    def _message(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith("file:"):
            self.faults.append(f"request: {request.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox does not work for root, as in a container.
        instance = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Browser(instance)
        instance.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    output = folder / "report.html"
    files = [str(path) for path in write_all(folder)]
    outcome = CliRunner().invoke(cli, ["report", *files, "-o", str(output)], standalone_mode=False)
    assert outcome.exception is None, outcome.exception
    return output.as_uri()


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Any:
    return browser.open(address)


def symbols(page: Any, chart: str) -> set[str]:
    """What the symbols of a chart say to a screen reader."""
    found = page.eval_on_selector_all(
        f"#{chart} [aria-roledescription=point]", "all => all.map(one => one.getAttribute('aria-label'))"
    )
    return set(found)


def strategies(page: Any, chart: str) -> set[str]:
    return {part.split(": ")[1] for one in symbols(page, chart) for part in one.split("; ") if "strategy: " in part}


def test_every_chart_is_drawn_and_nothing_is_loaded(browser: Browser, address: str) -> None:
    page = browser.open(address)
    assert page.evaluate("document.body.dataset.state") == "ready"
    undrawn = "all => all.filter(one => !one.querySelector('svg')).map(one => one.id)"
    empty = page.eval_on_selector_all(".chart", undrawn)
    assert empty == []
    assert page.locator(".chart").count() >= 10
    assert browser.faults == []


def test_faults_are_seen(browser: Browser, address: str, tmp_path: Path) -> None:
    text = Path(address.removeprefix("file://")).read_text()
    bad = tmp_path / "bad.html"
    loading = '<img src="https://example.com/x.png"><script>console.error("planted")</script>'
    open_page = text.replace("default-src 'none'; ", "").replace("img-src data:", "")
    bad.write_text(open_page.replace("</main>", f"{loading}</main>"))
    browser.open(bad.as_uri())
    assert any("planted" in fault for fault in browser.faults)
    assert any("example.com" in fault for fault in browser.faults)
    bad.write_text(text.replace('id="data">', 'id="data">####'))
    page = browser.open(bad.as_uri())
    assert page.evaluate("document.body.dataset.state") == "failed"
    assert "cannot be drawn in this browser" in page.inner_text("#status")
    assert "Cheapest in all: rbtree" in page.inner_text("#answer")  # the text is whole without the charts


def test_metric_and_strategies_switch(page: Any) -> None:
    chart = "curve-0-chart"
    assert strategies(page, chart) == {"linear", "rbtree"}
    assert any("slots: 16; ns: 16" in one for one in symbols(page, chart))
    page.select_option("#metric", "compares")
    page.wait_for_function(READY)
    # linear makes one compare per slot, rbtree three
    found = symbols(page, chart)
    assert any("slots: 64; compares: 64; strategy: linear" in one for one in found), found
    assert any("slots: 64; compares: 3; strategy: rbtree" in one for one in found)
    page.uncheck("input[value=linear]")
    page.wait_for_function(READY)
    assert strategies(page, chart) == {"rbtree"}
    page.click("#choose-none")
    page.wait_for_function(READY)
    assert "Nothing that is selected" in page.inner_text("#curve-0-gone")
    page.click("#choose-first")
    page.select_option("#metric", "throughput_hot")
    page.wait_for_function(READY)


def test_a_link_restores_what_its_sender_saw(browser: Browser, page: Any, address: str) -> None:
    page.select_option("#metric", "lines")
    page.select_option("#cost-axis", "linear")
    page.uncheck("input[value=rbtree]")
    page.wait_for_function(READY)
    other = browser.open(page.url)
    assert "cost=linear" in page.url and "metric=lines" in page.url
    assert other.input_value("#metric") == "lines" and other.input_value("#cost-axis") == "linear"
    assert not other.is_checked("input[value=rbtree]") and other.is_checked("input[value=linear]")
    assert symbols(other, "curve-0-chart") == symbols(page, "curve-0-chart")
    axis = other.locator("#curve-0-chart [aria-label*='Y-axis']").get_attribute("aria-label")
    assert "linear scale" in axis
    odd = browser.open(f"{address}#metric=speed&s=nosuch&s=linear&cost=cubic")
    assert odd.inner_text("#status") == (
        "This report does not have what the link asks for: metric=speed, cost=cubic, nosuch."
    )
    assert odd.is_checked("input[value=linear]")
    page.click("#choose-first")
    page.select_option("#cost-axis", "log")
    page.select_option("#metric", "throughput_hot")
    page.wait_for_function(READY)


def test_every_chart_has_a_table_and_every_row_its_json(browser: Browser, address: str) -> None:
    page = browser.open(address)
    assert page.locator("figure").count() == page.locator("figure details.table").count() > 0
    page.click("#curve-0 summary")
    page.wait_for_selector("#curve-0 tbody tr")
    rows = page.locator("#curve-0 tbody tr")
    assert rows.count() == 8  # two strategies at four slot counts
    assert rows.first.locator("th").inner_text() == "linear"
    rows.first.locator("button").click()
    shown = page.inner_text("#json-text")
    assert '"name": "linear"' in shown and '"figures"' in shown
    page.keyboard.press("Escape")
    assert not page.is_visible("#json")
    page.click("#rows summary >> nth=0")
    page.wait_for_selector("#rows tr.gone")
    gone = page.locator("#rows details >> nth=0").locator("tr.gone")
    assert "void: gfn lookup of 0x5" in gone.first.inner_text()


def test_the_keyboard_reaches_everything(browser: Browser, address: str) -> None:
    page = browser.open(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"metric", "slots-axis", "cost-axis", "choose-all", "SUMMARY"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 1280])
def test_axe_finds_nothing_serious(scheme: str, width: int, browser: Browser, address: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = browser.open(address, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.click("#curve-0 summary")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    if (scheme, width) == ("light", 480):  # that axe sees what is wrong
        page.evaluate(
            "document.querySelector('#metric').closest('label').replaceWith(document.querySelector('#metric'))"
        )
        assert "select-name" in {one["id"] for one in axe.Axe().run(page).response["violations"]}


def test_print_has_light_paper_and_no_controls(browser: Browser, address: str) -> None:
    page = browser.open(address, color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(20, 23, 26)"
    page.emulate_media(media="print")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    assert not page.is_visible("form.controls")
