"""The page in a real browser: Chromium, without a window. Skips where there is none.

Pictures of it are kept in build/screenshots.
"""

from __future__ import annotations

import csv
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from omnifold_pub import Theory, compare, open_release

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: the explorer is not tried in a browser", exc_type=ImportError
)
pytest.importorskip("uvicorn", reason="no uvicorn: the explorer is not tried in a browser")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OBSERVABLE, EDGES, CUT = "pT_l2 / pT_l1", [0.1, 0.3, 0.5, 0.7, 1], "pT_ll > 250"
SECONDS = 60_000  # in ms, for a machine with other work
TABLE = ("--tree", "events", "--weight", "weight", "--unit", "pb", "--sentinel", "-99")


@pytest.fixture(scope="module")
def address(reference: Path, theory_file: Path) -> Iterator[str]:
    """The page, served by the command; interrupted at the end as a person does."""
    command = [sys.executable, "-m", "omnifold_pub.cli", "explore", str(reference), "--no-browser"]
    command += ["--theory", str(theory_file), *TABLE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert "MB in memory" in said
    assert "Traceback" not in said
    assert "warning" not in said.lower()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, after its first answer; nothing may go wrong in its console, and it may ask nobody else."""
    permissions = ["clipboard-read", "clipboard-write"]
    context = browser.new_context(viewport={"width": 1400, "height": 900}, permissions=permissions)
    context.set_default_timeout(SECONDS)
    playwright.expect.set_options(timeout=SECONDS)
    found = context.new_page()
    wrong: list[str] = []
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    found.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    origin = "/".join(address.split("/")[:3])
    found.on(
        "request", lambda asked: None if asked.url.startswith((origin, "blob:" + origin)) else wrong.append(asked.url)
    )
    found.goto(address)
    playwright.expect(found.locator("#answer")).to_be_visible()
    yield found
    context.close()
    refused = "the server responded with a status of 422"
    assert not [text for text in wrong if refused not in text]


@pytest.fixture(scope="module")
def pictures(project: Path) -> Path:
    folder = project / "build/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ask(page: Page, observable: str, *, edges: str = "", where: str = "") -> None:
    """Type a question and press Enter."""
    page.fill("#observable", observable)
    if edges:
        page.select_option("#kind", "edges")
        page.fill("#bins", edges)
    page.fill("#where", where)
    page.press("#observable", "Enter")


def answered(page: Page, said: str) -> None:
    """Wait for an answer and for its p-values."""
    playwright.expect(page.locator("#status")).to_contain_text(said)
    playwright.expect(page.locator("#theories")).not_to_contain_text("testing")


def points(page: Page) -> int:
    return page.locator("#spectrum circle.point").count()


def test_a_new_observable_is_measured_compared_and_taken_home(
    page: Page, reference: Path, theory_file: Path, pictures: Path, tmp_path: Path
) -> None:
    before = page.locator("#spectrum").inner_html()
    ask(page, OBSERVABLE, edges=", ".join(map(str, EDGES)), where=CUT)
    answered(page, f"{OBSERVABLE} where {CUT}: 4 bins")
    assert page.locator("#spectrum").inner_html() != before
    assert points(page) == 4
    playwright.expect(page.locator("#spectrum text", has_text=OBSERVABLE).first).to_be_visible()

    with open_release(reference) as release:
        measurement = release.measure(OBSERVABLE, EDGES, where=CUT, density=True)
    options: dict[str, Any] = {"tree": "events", "weight": "weight", "unit": "pb", "sentinel": -99}
    theory = Theory.from_root(theory_file, columns=["pT_l1", "pT_l2", "pT_ll"], **options)
    test = compare(measurement, theory).test
    said = page.locator("#theories .test")
    assert f"χ²/ndf = {test.chi2:.1f}/4" in said.inner_text()
    shown = re.search(r"p = ([0-9.e-]+), ", said.get_attribute("title") or "")
    assert shown is not None
    assert float(shown[1]) == test.p_value

    for button, check in (("CSV", "measurement.csv"), ("PNG", "spectrum.png")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button, exact=True).click()
        assert download.value.suggested_filename == check
        download.value.save_as(tmp_path / check)
    assert (tmp_path / "measurement.csv").read_text() == measurement.to_csv()
    lines = [line for line in measurement.to_csv().splitlines() if not line.startswith("#")]
    table = list(csv.DictReader(lines))
    assert [float(row["value"]) for row in table] == measurement.values().tolist()
    assert (tmp_path / "spectrum.png").read_bytes().startswith(b"\x89PNG")
    shutil.copy(tmp_path / "spectrum.png", pictures / "explorer_download.png")
    page.get_by_role("button", name="Copy Python").click()
    playwright.expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#python").inner_text()
    page.hover("#spectrum svg")
    page.hover("#correlation svg")
    page.screenshot(path=pictures / "explorer.png", full_page=True)


@pytest.mark.parametrize("observable", ["__import__('os').system('id')", "<img src=x onerror=alert(1)>"])
def test_a_hostile_expression_gets_a_red_line_and_nothing_else(page: Page, observable: str, pictures: Path) -> None:
    before = page.locator("#spectrum").inner_html()
    ask(page, observable)
    error = page.locator("#error")
    playwright.expect(error).to_be_visible()
    assert observable.split()[0].strip("'\"")[:5] in error.inner_text()
    red, green, blue = map(int, re.findall(r"\d+", error.evaluate("element => getComputedStyle(element).color"))[:3])
    assert red > 2 * max(green, blue)
    assert page.locator("#spectrum").inner_html() == before
    assert page.locator("img").count() == 0
    if "import" in observable:
        page.screenshot(path=pictures / "explorer_refused.png")
    ask(page, "pT_ll", edges="200, 300, 400")
    answered(page, "pT_ll: 2 bins")
    playwright.expect(error).to_be_hidden()


def test_bands_are_switched_without_asking(page: Page) -> None:
    answered(page, "pT_ll")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    bands = page.locator("#spectrum rect[class^=band-]")
    before = bands.count()
    first = page.locator("#components input").first
    first.uncheck()
    after = bands.count()
    assert after < before
    page.get_by_role("button", name="None", exact=True).click()
    assert bands.count() < after
    page.get_by_role("button", name="All", exact=True).click()
    assert bands.count() == before
    page.select_option("#mode", "single")
    assert page.locator("#spectrum path[class*=edge-]").count() == 2 * page.locator("#components li").count()
    page.locator("#theories input").uncheck()
    assert page.locator("#spectrum [class*=theory-]").count() == 0
    assert not asked


def test_the_band_shown_is_the_quadrature_sum_of_what_is_on(page: Page, reference: Path) -> None:
    ask(page, "pT_ll", edges="200, 300, 1000")
    answered(page, "pT_ll: 2 bins")
    with open_release(reference) as release:
        measurement = release.measure("pT_ll", [200, 300, 1000], density=True)
    names = ("data_bootstrap", "mc_bootstrap")
    page.get_by_role("button", name="None", exact=True).click()
    for name in names:
        page.locator(f"#components li[data-name={name}] input").check()
    page.focus("#spectrum svg")
    page.keyboard.press("ArrowRight")
    total = np.sqrt(sum(measurement.uncertainties(name)[0] ** 2 for name in names))
    shown = re.search(r"± (\S+) pb / GeV", page.locator("#readout").inner_text())
    assert shown is not None
    assert float(shown[1]) == pytest.approx(total, rel=0.05)


def test_the_arrow_keys_move_from_bin_to_bin(page: Page) -> None:
    ask(page, "pT_ll", edges="200, 300, 400")
    answered(page, "pT_ll: 2 bins")
    page.focus("#spectrum svg")
    for key, said in (("Home", "200 to 300 GeV"), ("ArrowRight", "300 to 400 GeV"), ("ArrowRight", "300 to 400 GeV")):
        page.keyboard.press(key)
        assert page.locator("#readout").inner_text().startswith(said)
    page.focus("#correlation svg")
    page.keyboard.press("ArrowUp")
    assert page.locator("#correlation-readout").inner_text().startswith("200 to 300 GeV with 300 to 400 GeV")


def test_the_correlation_of_one_component_is_shown(page: Page, reference: Path) -> None:
    ask(page, "pT_ll", edges="200, 300, 400")
    answered(page, "pT_ll: 2 bins")
    page.select_option("#matrix", "mc_bootstrap")
    with open_release(reference) as release:
        expected = release.measure("pT_ll", [200, 300, 400]).correlation("mc_bootstrap")[0, 1]
    playwright.expect(page.locator("#correlation text", has_text=f"{expected:.2f}").first).to_be_visible()


def test_the_sign_of_a_correlation_is_seen_in_grey(page: Page, reference: Path) -> None:
    """Where there is no room for numbers: negative cells are hatched."""
    edges = np.linspace(-2.4, 2.4, 25)
    ask(page, "y_ll", edges=", ".join(f"{edge:g}" for edge in edges))
    answered(page, "y_ll: 24 bins")
    with open_release(reference) as release, pytest.warns(match="does not vouch"):
        correlation = release.measure("y_ll", [float(f"{edge:g}") for edge in edges]).correlation()
    hatched = page.locator("#correlation rect[fill='url(#negative)']").count()
    assert hatched == (correlation.round(4) < -0.02).sum() + 1  # and one in the scale
    ask(page, "pT_ll", edges="200, 300")
    answered(page, "pT_ll: 1 bin in")


def test_a_reload_shows_the_same_again(page: Page) -> None:
    ask(page, OBSERVABLE, edges="0.2, 0.6, 1", where=CUT)
    answered(page, f"{OBSERVABLE} where {CUT}: 2 bins")
    page.locator("#components input").first.uncheck()
    page.reload()
    answered(page, f"{OBSERVABLE} where {CUT}: 2 bins")
    assert page.input_value("#bins") == "0.2, 0.6, 1"
    assert not page.locator("#components input").first.is_checked()


@pytest.mark.parametrize("remembered", ["garbage", "%7B%22off%22%3A5%2C%22question%22%3A%5B7%5D%7D", "%"])
def test_an_address_that_remembers_nonsense_is_a_new_beginning(page: Page, address: str, remembered: str) -> None:
    page.goto(f"{address}#{remembered}")
    page.reload()
    answered(page, "pT_ll: 12 bins")


def test_a_second_browser_and_a_closed_tab_break_nothing(page: Page, browser: Browser, address: str) -> None:
    ask(page, OBSERVABLE, edges="0.2, 0.6, 1")
    answered(page, f"{OBSERVABLE}: 2 bins")
    with browser.new_context() as context:
        for _ in range(3):  # closed while it is measured
            gone = context.new_page()
            gone.goto(address, wait_until="commit")
            gone.close()
        second = context.new_page()
        second.goto(address)
        playwright.expect(second.locator("#answer")).to_be_visible()
        ask(second, "y_ll", edges="-2, 0, 2")
        answered(second, "y_ll: 2 bins")
    assert OBSERVABLE in page.locator("#status").inner_text()
    ask(page, OBSERVABLE, edges="0.2, 0.4, 0.6, 1")
    answered(page, f"{OBSERVABLE}: 3 bins")


def test_what_a_release_says_never_becomes_part_of_the_page(browser: Browser, address: str) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"><script>alert(1)</script>"
    with browser.new_context() as context:
        page = context.new_page()

        def change(route: Any) -> None:
            document = route.fetch().json()
            document |= {"title": hostile, "process": hostile, "notes": [hostile]}
            for one in document["columns"]:
                one["description"] = hostile
            route.fulfill(json=document)

        page.route("**/api/release", change)
        page.goto(address)
        playwright.expect(page.locator("#answer")).to_be_visible()
        assert page.locator("h1").inner_text() == hostile
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (1600, "dark")])
def test_nothing_sticks_out_at_any_width(
    browser: Browser, address: str, pictures: Path, width: int, scheme: Any
) -> None:
    with browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(address)
        playwright.expect(page.locator("#answer")).to_be_visible()
        answered(page, "pT_ll")
        ask(page, "tau1_trackj1", edges="0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.9")
        answered(page, "tau1_trackj1")
        page.screenshot(path=pictures / f"explorer_{width}_{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("#spectrum", "#correlation"):
            frame = page.locator(f"{name} svg").bounding_box()
            assert frame is not None
            for text in page.locator(f"{name} svg text").all():
                box = text.bounding_box()
                assert box is not None
                assert frame["x"] - 0.5 <= box["x"]
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 0.5, text.inner_text()
