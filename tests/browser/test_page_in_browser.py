"""The page as a person meets it: small or large, dark or light, on paper, read aloud, without scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from reading import Open, Opened

from pipeline.report.content import SECTIONS

LANGUAGES = ("en", "fr")
MODES = ("light", "dark")
INTERACTIVE = "input, button, summary, .contents, .skip"


def figures(report: Opened) -> int:
    return report.page.locator("[data-chart]").count()


def open_everything(report: Opened) -> None:
    report.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_its_language_and_lists_its_sections_in_order(
    opened: Open, content: dict[str, Any], language: str
) -> None:
    report = opened(language)
    assert report.page.locator("html").get_attribute("lang") == language
    assert content["about"]["project"] in report.page.title()
    assert report.page.locator("h1").count() == 1
    links = report.page.locator(".contents a")
    hashes = [links.nth(i).get_attribute("href") for i in range(links.count())]
    assert hashes == [f"#{name}" for name in SECTIONS if name in content]
    for i, target in enumerate(hashes):
        assert report.text(f"{target} h2") == links.nth(i).inner_text().strip()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_nothing_serious(opened: Open, language: str, mode: str) -> None:
    report = opened(language, color_scheme=mode)
    open_everything(report)
    report.page.wait_for_timeout(300)
    found = Axe().run(report.page).response["violations"]
    assert [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in found
        if one["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_is_drawn_and_has_its_table_and_its_words(opened: Open, language: str) -> None:
    report = opened(language)
    open_everything(report)
    expect(report.page.locator(".chart.drawn .live svg")).to_have_count(figures(report))
    for chart in report.page.locator("figure.figure").all():
        assert len(chart.locator("[role=img]").get_attribute("aria-label") or "") > 20
        assert chart.locator("details tbody tr").count() > 0
        assert chart.locator("figcaption").inner_text()
    drawn = report.page.locator(".live svg").all_text_contents()
    assert not re.search(r"\b(undefined|NaN|null)\b", " ".join(drawn))


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_wider_than_a_small_telephone(opened: Open, mode: str) -> None:
    report = opened("fr", viewport={"width": 360, "height": 740}, color_scheme=mode)
    open_everything(report)
    report.page.wait_for_timeout(300)
    assert report.page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = report.page.evaluate("""() => [...document.querySelectorAll("svg")]
        .filter((one) => one.getBoundingClientRect().right > 361).length""")
    assert wide == 0


def test_it_turns_dark_and_light_with_the_system(opened: Open) -> None:
    report = opened(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('.live svg .role-axis-label text')?.getAttribute('fill').toLowerCase()"
    open_everything(report)
    assert report.page.evaluate(paper) == "rgb(255, 255, 255)"
    light = report.page.evaluate(ink)
    report.page.emulate_media(color_scheme="dark")
    assert report.page.evaluate(paper) == "rgb(21, 24, 28)"
    if figures(report):
        assert (light, report.page.evaluate(ink)) == ("#1d2126", "#e6e8eb")


@pytest.mark.parametrize("language", LANGUAGES)
def test_paper_has_every_figure_and_nothing_to_press(opened: Open, tmp_path: Path, language: str) -> None:
    report = opened(language, color_scheme="dark")
    report.page.emulate_media(media="print")
    assert [one for one in report.page.locator(INTERACTIVE).all() if one.is_visible()] == []
    stills = report.page.locator(".chart .still")
    assert stills.count() == figures(report)
    assert [one for one in stills.all() if not one.is_visible()] == []
    assert report.page.locator(".live").filter(visible=True).count() == 0
    assert report.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    printed = report.page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    sections = report.page.locator(".part").count()
    assert sections <= pages <= 5 * sections


def test_where_no_script_runs_the_figures_are_pictures_and_the_slider_says_why(opened: Open) -> None:
    report = opened(java_script_enabled=False)
    assert report.page.locator(".chart .still").filter(visible=True).count() == figures(report)
    assert report.page.locator(".interactive").filter(visible=True).count() == 0
    assert report.page.locator(".unscripted").filter(visible=True).count() == 1
    assert report.page.locator(".part h2").first.is_visible()


def test_the_first_stop_by_keyboard_skips_to_the_report(opened: Open) -> None:
    report = opened()
    report.page.keyboard.press("Tab")
    assert report.page.evaluate("document.activeElement.className") == "skip"
    outline = report.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    report.page.keyboard.press("Enter")
    assert report.page.evaluate("document.activeElement.id") == "content"


# The second point that a curve goes through, in pixels of the window: Vega tells of a curve at its points.
POINT = """(curve) => {
  const [, x, y] = curve.getAttribute("d").match(/L([\\d.]+),([\\d.]+)/).map(Number);
  const point = new DOMPoint(x, y).matrixTransform(curve.getScreenCTM());
  return [point.x, point.y];
}"""


def test_a_curve_that_is_pointed_at_tells_its_numbers(opened: Open) -> None:
    report = opened()
    curve = report.page.locator("#cutoff .live .mark-line path").first
    curve.scroll_into_view_if_needed()
    x, y = curve.evaluate(POINT)
    report.page.mouse.move(x, y)
    bubble = report.page.locator(".bubble")
    expect(bubble).to_be_visible()
    assert re.search(r"\d%", bubble.inner_text())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_file_is_small_and_names_no_address(files: dict[str, Path], language: str) -> None:
    text = files[language].read_text("utf-8")
    assert len(text.encode()) < 3_000_000
    assert not re.findall(r'(?:src|href|action)="(?!#|data:)[^"]*"', text)
    assert "@import" not in text
    assert "url(http" not in text


# All that is read on a page, but for names, code and figures.
WORDS = """() => {
  const walker = document.createTreeWalker(document.querySelector("body"), NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const at = walker.currentNode.parentElement;
    if (!at.closest("script, style, code, pre, [translate=no], svg")) texts.push(at.textContent.trim());
  }
  for (const at of document.querySelectorAll("[aria-label]:not(svg *)")) texts.push(at.ariaLabel);
  return texts;
}"""


# Words that only sentences have, in one of the languages.
OF_SENTENCES = re.compile(
    r"(?<!\S)"  # between blanks: "comparison-of-methods" is the name of a page
    r"(the|of|with|from|that|which|is|are|was|were|have|has|this|le|la|les|des|du|une|est|sont|dans|avec|pour|qui)"
    r"(?!\S)"
)


def test_no_sentence_reads_the_same_in_both_languages(opened: Open) -> None:
    said = {language: set(opened(language).page.evaluate(WORDS)) for language in LANGUAGES}
    assert {text for text in said["en"] & said["fr"] if OF_SENTENCES.search(text.lower())} == set()
