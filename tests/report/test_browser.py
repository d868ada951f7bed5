"""The page in a browser: it is drawn whole, at every width, loads nothing, and prints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

WIDTHS = {"wide": 1280, "phone": 390}

SHOWN = {("whole", "wide"), ("whole", "phone"), ("hostile", "wide")}
"""Screenshots to be looked at."""

CONTRAST = """
() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.data.trim()) continue;
    const element = walker.currentNode.parentElement;
    const one = luminance(numbers(getComputedStyle(element).color)), other = luminance(background(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) bad.push(ratio.toFixed(2) + ' ' + walker.currentNode.data.slice(0, 40));
  }
  return bad;
}
"""
"""Contrast of every text to what is behind it, as WCAG 2 has it."""

WIDER = """
() => [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && !e.closest('.skip'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.tagName + ' ' + e.textContent.slice(0, 40))
"""


@pytest.mark.parametrize("name", ["whole", pytest.param("hostile", marks=pytest.mark.slow)])
def test_the_page_in_chromium(
    browser: Any, name: str, request: pytest.FixtureRequest, project: Path, tmp_path: Path
) -> None:
    path: Path = request.getfixturevalue(name)
    pictures = project / "build/screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    for width_name, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path.as_uri())
        assert page.evaluate(WIDER) == [], width_name
        if (name, width_name) in SHOWN:
            page.screenshot(path=pictures / f"report_{name}_{width_name}.png", full_page=True)
    assert said == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    drawn = "() => [...document.images].map(image => image.complete && image.naturalWidth > 0)"
    assert all(page.evaluate(drawn))
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("() => getComputedStyle(document.querySelector('.answers')).display") == "grid"
    printed = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    shutil.copy(tmp_path / "report.pdf", pictures / f"report_{name}.pdf")
    page.close()
