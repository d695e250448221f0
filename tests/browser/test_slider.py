"""The cutoff is moved by mouse, by keyboard, by touch and by typing, and says what the content says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from reading import Open, Opened, expected, money, percent, written
from small_page import small_content

from pipeline.config_trust import CutoffConfig
from pipeline.report.page import render

LANGUAGES = ("en", "fr")


@pytest.fixture(scope="module")
def content(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A small content with all that a slider may meet (ties in rounding, no promise), and the demo's."""
    small = getattr(request, "param", "small") == "small"
    return small_content() if small else request.getfixturevalue("real_content")


@pytest.fixture
def found(content: dict[str, Any]) -> dict[str, Any]:
    cutoff: dict[str, Any] = content["cutoff"]
    return cutoff


def slider(report: Opened) -> Locator:
    return report.page.locator("#cutoff-slider")


def place(report: Opened) -> int:
    return int(slider(report).input_value())


def reached(share: float, width: float, found: dict[str, Any]) -> float:
    """The place at a share of the slider's width, where half a thumb of 28 pixels is kept at each end."""
    return (share * width - 14) / (width - 28) * (len(found["rungs"]) - 1)


def somewhere(found: dict[str, Any]) -> list[int]:
    """The loosest and the strictest level, the one in force, and one between."""
    last = len(found["rungs"]) - 1
    return sorted({0, last // 3, found["in_force"]["rung"] or 0, last})


@pytest.mark.parametrize("content", ["small", "demo"], indirect=True)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_level_shows_the_numbers_of_the_content(
    opened: Open, content: dict[str, Any], found: dict[str, Any], language: str
) -> None:
    report = opened(language)
    for rung in somewhere(found):
        report.move(rung)
        level = found["rungs"][rung]
        counts = level[found["judged_on"]]
        for name, text in expected(counts, language).items():
            if name != "per_week" or found["timed"]:
                assert report.cell("chosen", name) == text, name
        assert report.cell("chosen", "open") == written(level["open"], language)
        assert report.shown("label") == level["label"][language]
        assert report.shown("share") == percent(counts["share"]["value"], language)
        for bound in ("low", "high", "confidence"):
            assert percent(counts["share"][bound], language) in report.shown("interval")
        assert report.shown("caught") == percent(counts["caught"], language)
        promise = level["promise"]["words"] if level["promise"] else level["no_promise"]
        assert report.shown("promise") == promise[language]
        if level["held"]:
            assert report.shown("held") == level["held"]["words"][language]


def test_it_starts_at_the_cutoff_in_force(opened: Open, found: dict[str, Any]) -> None:
    report = opened()
    assert place(report) == found["in_force"]["rung"]
    for name in ("share", "converted", "cost"):
        assert report.cell("chosen", name) == report.cell("in_force", name)


def test_the_policy_in_force_keeps_the_promise_it_was_given_beforehand(
    opened: Open, found: dict[str, Any]
) -> None:
    report = opened()
    assert found["marks"][0]["promise"]["en"] in report.shown("fixed")
    report.move(0)
    assert report.shown("fixed") == ""


def test_by_keyboard(opened: Open, found: dict[str, Any]) -> None:
    report = opened()
    slider(report).focus()
    start, last = place(report), len(found["rungs"]) - 1
    report.page.keyboard.press("ArrowRight")
    assert place(report) == start + 1
    report.page.keyboard.press("ArrowDown")
    assert place(report) == start
    report.page.keyboard.press("Home")
    assert place(report) == 0
    report.page.keyboard.press("End")
    assert place(report) == last
    assert report.shown("label") == found["rungs"][last]["label"]["en"]


def test_by_mouse(opened: Open, found: dict[str, Any]) -> None:
    report = opened()
    slider(report).scroll_into_view_if_needed()
    box = slider(report).bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    report.page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    report.page.mouse.down()
    report.page.mouse.move(box["x"] + 0.25 * box["width"], middle, steps=4)
    report.page.mouse.up()
    assert place(report) == pytest.approx(reached(0.25, box["width"], found), abs=1)
    assert report.shown("label") == found["rungs"][place(report)]["label"]["en"]


def test_by_touch(opened: Open, found: dict[str, Any]) -> None:
    report = opened(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    slider(report).scroll_into_view_if_needed()
    box = slider(report).bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    finger = report.page.context.new_cdp_session(report.page)

    def touch(kind: str, *shares: float) -> None:
        points = [{"x": box["x"] + share * box["width"], "y": middle} for share in shares]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.3)
    for share in (0.4, 0.5, 0.6, 0.75):
        touch("touchMove", share)
    touch("touchEnd")
    assert place(report) == pytest.approx(reached(0.75, box["width"], found), abs=1)
    assert report.shown("label") == found["rungs"][place(report)]["label"]["en"]


@pytest.mark.parametrize(("language", "given"), [("en", "{:.2f}"), ("en", "{:.2f} %"), ("fr", "{:.2f}")])
def test_by_typing_the_nearest_level_is_taken(
    opened: Open, found: dict[str, Any], language: str, given: str
) -> None:
    report = opened(language)
    level = found["rungs"][-1]["level"] + 0.001
    text = given.format(100 * level)
    typed = report.page.locator("#cutoff-typed")
    typed.fill(text.replace(".", ",") if language == "fr" else text)
    typed.press("Enter")
    assert place(report) == len(found["rungs"]) - 1


@pytest.mark.parametrize("given", ["", "high", "120", "-5", "1.2.3"])
def test_what_is_no_percentage_moves_nothing_and_says_so(opened: Open, given: str) -> None:
    report = opened()
    before = place(report)
    typed = report.page.locator("#cutoff-typed")
    typed.fill(given)
    typed.press("Enter")
    assert place(report) == before
    assert typed.get_attribute("aria-invalid") == "true"
    assert "0 to 100" in report.text("#cutoff-status")


def test_a_mark_is_gone_to_and_says_that_it_is_the_one(opened: Open, found: dict[str, Any]) -> None:
    report = opened()
    mark = next(mark for mark in found["marks"] if mark["rung"] is not None and not mark["in_force"])
    button = report.page.locator(f'[data-jump="{mark["rung"]}"]').first
    button.click()
    assert place(report) == mark["rung"]
    assert button.get_attribute("aria-pressed") == "true"
    assert mark["label"]["en"] in button.inner_text()


def test_what_is_pasted_is_a_manual_cutoff_at_exactly_this_level(opened: Open, found: dict[str, Any]) -> None:
    report = opened()
    for rung in somewhere(found):
        report.move(rung)
        cutoffs = tomllib.loads(report.text("#cutoff-paste"))["cutoffs"]
        assert cutoffs == [{"policy": "manual", "level": found["rungs"][rung]["level"]}]
        assert CutoffConfig.model_validate(cutoffs[0]).level == found["rungs"][rung]["level"]


def test_the_lines_are_copied_or_selected(opened: Open) -> None:
    report = opened()
    report.page.locator("#cutoff-copy").click()
    expect(report.page.locator("#cutoff-copy")).to_have_text("Copied")


@pytest.mark.parametrize("language", LANGUAGES)
def test_cost_and_value_follow_what_a_contact_costs_and_a_customer_brings(
    opened: Open, content: dict[str, Any], found: dict[str, Any], language: str
) -> None:
    report = opened(language)
    rung = somewhere(found)[1]
    report.move(rung)
    counts = found["rungs"][rung][found["judged_on"]]
    report.page.locator("#contact-cost").fill("12,5" if language == "fr" else "12.5")
    report.page.locator("#won-value").fill("90")
    cost, value = 12.5 * counts["mqls"], 90 * counts["converted"]
    currency = content["about"]["currency"]
    assert report.cell("chosen", "cost") == money(cost, language, currency)
    assert report.cell("chosen", "value") == money(value, language, currency)
    assert report.cell("chosen", "left") == money(value - cost, language, currency)
    report.page.locator("#won-value").fill("")
    assert report.cell("chosen", "value") == report.cell("chosen", "left") == "–"


def test_a_reader_who_listens_is_told_once_the_slider_rests(opened: Open, found: dict[str, Any]) -> None:
    report = opened("fr")
    assert report.page.get_by_role("slider", name="Seuil").count() == 1
    slider(report).focus()
    report.page.keyboard.press("Home")
    spoken = slider(report).get_attribute("aria-valuetext") or ""
    rung = found["rungs"][0]
    assert rung["label"]["fr"] in spoken
    assert percent(rung[found["judged_on"]]["share"]["value"], "fr") in spoken
    assert report.text("#cutoff-status") == ""  # not while it moves
    expect(report.page.locator("#cutoff-status")).to_have_text(spoken)


def test_the_line_in_the_figure_moves_along(opened: Open, found: dict[str, Any]) -> None:
    report = opened()

    def line() -> float:
        box = report.page.locator("#cutoff .live .mark-rule line[stroke-width='2.5']").first.bounding_box()
        assert box
        return float(box["x"])

    report.move(0)
    left = line()
    report.move(len(found["rungs"]) - 1)
    assert line() > left + 100


def test_so_does_the_one_on_paper_once_the_slider_rests(opened: Open) -> None:
    report = opened()
    still = report.page.locator("#cutoff .still").first
    before = still.get_attribute("src")
    report.move(0)
    expect(still).not_to_have_attribute("src", before or "")


def test_without_times_there_are_no_weeks(opened: Open, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render(small_content(timed=False), "fr"), "utf-8")
    report = opened("fr", file=file)
    report.move(1)
    assert report.shown("mqls") == "700"
    assert "semaine" not in report.text("#cutoff-result") + report.text("#cutoff-status")
    assert "semaine" not in (slider(report).get_attribute("aria-valuetext") or "")


def test_an_old_model_without_evidence_says_what_to_do(opened: Open, tmp_path: Path) -> None:
    missing = {"en": "Train again.", "fr": "Relancez."}
    content = {**small_content(), "cutoff": {"available": False, "missing": missing}}
    file = tmp_path / "report.html"
    file.write_text(render(content, "fr"), "utf-8")
    report = opened("fr", file=file)
    assert "Relancez." in report.text("#cutoff")
    assert slider(report).count() == 0
