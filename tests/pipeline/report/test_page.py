"""The page is one file: what it is put together from, before any browser opens it."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.language import LANGUAGES, SPEAKERS, Language
from pipeline.report import content as contents
from pipeline.report import page
from pipeline.report.drawing import WIDTH, Drawn, embedded, writing
from pipeline.report.figure import DARK, Figure
from pipeline.report.page import Section, render
from pipeline.report.pictures import pictures
from pipeline.report.runtime import vega

ABOUT = {
    "project": "leads & co",
    "horizon": "90d",
    "as_of": "2026-06-30T00:00:00Z",
    "observed_until": None,
    "currency": None,
    "model_version": "7",
    "run_id": "0123abcd",
    "versions": {"propense": "0.1.0", "git_commit": "ffff"},
}
TEMPLATE = """{% import "parts.html.j2" as parts with context %}
<h2>{{ t("One & only", "Seul et unique") }}</h2>
{{ parts.figure(figures["bars"]) }}
<p>{{ names.get("L1", "–") }}</p>
"""


def bars(label: str = "share") -> Figure:
    """One bar a letter, of 1,250.5 and 0.5."""
    chart = (
        alt.Chart(alt.Data(values=[{"letter": "a", "n": 1250.5}, {"letter": "b", "n": 0.5}]))
        .mark_bar()
        .encode(x=alt.X("n:Q", title=label, axis=alt.Axis(format=",.1f", values=[1250.5])), y="letter:N")
        .properties(width="container", height=80)
    )
    return Figure("bars", "Bars", "One bar is long.", chart, ("letter", label), [("a", "1,250.5")])


@pytest.fixture
def one_section(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of one section, "only", with one figure."""
    charts = types.ModuleType("pipeline.report.charts.only")
    charts.figures = lambda found, about, speaker: [bars()]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, charts.__name__, charts)
    for module in (page, contents):
        monkeypatch.setattr(module, "SECTIONS", ("only",))
    monkeypatch.setattr("pipeline.report.pictures.SECTIONS", ("only",))
    given = page._environment

    def with_template(*arguments: Any) -> Any:
        environment = given(*arguments)
        load = environment.loader.get_source

        def source(env: Any, name: str) -> Any:
            return (TEMPLATE, None, lambda: True) if name == "only.html.j2" else load(env, name)

        environment.loader.get_source = source
        return environment

    monkeypatch.setattr(page, "_environment", with_template)


@pytest.mark.usefixtures("one_section")
class TestPage:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_contents_list_the_titles_of_the_sections(self, language: Language) -> None:
        html = render({"about": ABOUT, "only": {}}, language)
        title = {"en": "One &amp; only", "fr": "Seul et unique"}[language]
        assert f'<a href="#only">{title}</a>' in html
        assert f'<h2 id="title-only">{title}</h2>' in html
        assert f'<html lang="{language}">' in html

    def test_the_frame_says_what_about_when_and_how_to_build_it_again(self) -> None:
        html = render({"about": ABOUT, "only": {}}, "fr")
        assert "<h1>leads &amp; co</h1>" in html
        for said in ("30 juin 2026", "un gain sous 90\u00a0jours", "version 7", "propense 0.1.0"):
            assert said in html
        assert "propense report --run 0123abcd --language fr" in html
        assert "git_commit" not in html

    def test_what_was_left_out_is_said_at_the_head(self) -> None:
        said = {"en": "sales had it", "fr": "déjà repris"}
        trust = {
            "left_out": {"open_leads": [{"reason": said, "leads": 1200}], "findings": []},
            "guard": {"verdicts": [{"name": "refund", "verdict": "excluded", "kept": False}]},
        }
        html = render({"about": ABOUT, "only": {}, "trust": trust}, "en")
        head = html[: html.index("<main")]
        assert "1,200 open leads (sales had it: 1,200);" in head
        assert "what knew the outcome (refund);" in head
        assert 'href="#trust"' not in render({"about": ABOUT, "only": {}}, "en")

    def test_names_are_only_there_when_given(self) -> None:
        given = {"about": ABOUT, "only": {}}
        assert "Ada" not in render(given, "en")
        assert "Ada &lt;L.&gt;" in render(given, "en", {"L1": "Ada <L.>"})

    def test_a_section_that_was_not_found_is_left_out(self) -> None:
        assert 'href="#only"' not in render({"about": ABOUT}, "en")

    def test_the_browser_is_told_to_fetch_nothing(self) -> None:
        html = render({"about": ABOUT, "only": {}}, "en")
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
        assert policy
        assert "default-src 'none'" in policy[1]
        assert not re.findall(r'(?:src|href)="(?:https?:|//)', html)

    def test_every_figure_becomes_a_picture_of_its_own_name(self, tmp_path: Path) -> None:
        written = pictures({"about": ABOUT, "only": {}}, "fr", tmp_path)
        assert written == [tmp_path / "bars.png"]
        assert written[0].read_bytes().startswith(b"\x89PNG")


def test_a_section_without_a_title_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'only'"):
        Section.of("only", "<p>nothing</p>")


class TestDrawn:
    def test_the_page_sets_the_width_of_a_chart_that_takes_any(self) -> None:
        drawn = Drawn(bars(), "en")
        assert drawn.fluid
        assert {"name": "width", "value": WIDTH} in drawn.spec["signals"]
        assert "containerSize" not in json.dumps(drawn.spec)

    def test_a_chart_of_its_own_width_keeps_it(self) -> None:
        figure = bars()
        figure.chart.width = 200  # type: ignore[attr-defined]
        assert not Drawn(figure, "en").fluid

    @pytest.mark.parametrize(("language", "number"), [("en", "1,250.5"), ("fr", "1\u202f250,5")])
    def test_pictures_write_numbers_as_the_text_does(self, language: Language, number: str) -> None:
        assert number in Drawn(bars(), language).svg
        assert number == SPEAKERS[language].number(1250.5, 1)

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_percentages_too(self, language: Language) -> None:
        sign = writing(language)["number"].get("percent", "%")
        assert SPEAKERS[language].percent(0.5) == f"50{sign}"

    def test_the_picture_in_the_page_is_whole(self) -> None:
        still = Drawn(bars('"Größe" <&> #'), "en").still
        assert still.startswith("data:image/svg+xml,")
        assert "#" not in still  # would end the address
        assert '"' not in still


@given(st.recursive(st.text(), lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside)))
def test_what_is_embedded_reads_back_and_cannot_end_its_element(value: Any) -> None:
    text = embedded({"value": value, "end": "</script><!--"})
    assert "<" not in text
    assert json.loads(text)["value"] == value


def test_every_colour_has_one_for_the_dark_that_stands_out_as_well() -> None:
    """WCAG 1.4.11: 3 to 1 against the paper, but for the lines of the grid."""
    light_paper, dark_paper = "#FFFFFF", DARK["#FFFFFF"]
    for light, dark in DARK.items():
        if light in ("#FFFFFF", "#D9DCE0"):
            continue
        assert _contrast(light, light_paper) >= 3, light
        assert _contrast(dark, dark_paper) >= 3, dark


def test_vega_comes_without_vega_lite_and_cannot_end_its_element() -> None:
    code = vega()
    assert len(code) < 650_000
    assert "</script" not in code.lower()
    assert "window.vega=" in code
    assert "vega-lite" not in code


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB, as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
