"""Figures as a page or a file can show them: compiled here, so that a reader's browser only draws."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

import vl_convert
from markupsafe import Markup

from features.language import Language
from pipeline.report.figure import BLUE, FAINT, GREEN, GREY, INK, ORANGE, RED, Figure

FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
# Of a picture, in pixels: that of the column on an A4 page.
WIDTH = 680
LOCALES: dict[Language, Literal["en-GB", "fr-FR"]] = {"en": "en-GB", "fr": "fr-FR"}

# Under everything that a section draws; what it says of its chart wins. Vega's own roles are left out: the
# page says what a figure shows, in one sentence, where Vega would have every bar read out.
LOOK: dict[str, Any] = {
    "background": None,
    "aria": False,
    "font": FONT,
    "padding": 4,
    "view": {"stroke": None},
    "mark": {"color": BLUE},
    "text": {"color": INK, "fontSize": 12},
    "rule": {"color": INK},
    "line": {"strokeWidth": 2.5},
    "point": {"size": 60},
    "range": {"category": [BLUE, ORANGE, GREEN, RED, GREY]},
    "axis": {
        "labelColor": INK, "labelFontSize": 12, "labelPadding": 6,
        "titleColor": INK, "titleFontSize": 12, "titleFontWeight": 500, "titlePadding": 10,
        "domainColor": GREY, "tickColor": GREY, "tickSize": 4, "gridColor": FAINT, "gridOpacity": 0.7,
    },
    "axisX": {"grid": False, "labelOverlap": True, "labelSeparation": 6},
    "axisXQuantitative": {"tickCount": 8},
    "axisY": {"domain": False, "ticks": False},
    "legend": {
        "labelColor": INK, "labelFontSize": 12, "labelLimit": 260,
        "titleColor": INK, "titleFontSize": 12, "titleFontWeight": 500,
        "orient": "top", "symbolSize": 90,
    },
    "header": {"labelColor": INK, "labelFontSize": 13, "labelFontWeight": 500, "titleColor": INK},
    "title": {"color": INK, "fontSize": 13, "fontWeight": 500, "anchor": "start"},
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A figure in one language, compiled from Vega-Lite to Vega."""

    figure: Figure
    language: Language

    @cached_property
    def _compiled(self) -> tuple[dict[str, Any], bool]:
        spec: dict[str, Any] = vl_convert.vegalite_to_vega(self.figure.chart.to_dict(), config=LOOK)
        return _unbound(spec)

    @property
    def spec(self) -> dict[str, Any]:
        """The chart for Vega, of a fixed width; the page sets that of its column where `fluid`."""
        return self._compiled[0]

    @property
    def fluid(self) -> bool:
        """Whether the chart takes any width."""
        return self._compiled[1]

    @property
    def script(self) -> Markup:
        """What the page draws it from, safe inside a script element."""
        return embedded({"spec": self.spec, "fluid": self.fluid})

    @cached_property
    def svg(self) -> str:
        """The picture, for light paper, as SVG."""
        return str(vl_convert.vega_to_svg(self.spec, **self._written))

    @property
    def still(self) -> str:
        """The picture as an address that holds it: for paper, and where no script runs."""
        return "data:image/svg+xml," + quote(self.svg, safe=" !$&'()*+,-./:;=?@[]^_`{|}~<>")

    def png(self, scale: float = 2.0) -> bytes:
        """Return the picture on white paper, with so many dots for each pixel of `WIDTH`."""
        spec = {**self.spec, "background": "white", "padding": 16}
        picture: bytes = vl_convert.vega_to_png(spec, scale=scale, **self._written)
        return picture

    @property
    def _written(self) -> dict[str, Any]:
        numbers, times = writing(self.language).values()
        # Nothing may be fetched: charts hold their data.
        return {"format_locale": numbers, "time_format_locale": times, "allowed_base_urls": []}


def writing(language: Language) -> dict[str, dict[str, Any]]:
    """Return how figures write numbers and times in a language (d3's locales), as its `Speaker` does."""
    locale = LOCALES[language]
    numbers = vl_convert.get_format_locale(locale)
    if language == "fr":
        numbers = {**numbers, "thousands": "\u202f", "percent": "\u00a0%"}
    return {"number": numbers, "time": vl_convert.get_time_format_locale(locale)}


def embedded(value: object) -> Markup:
    """Return JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _unbound(spec: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a chart that asks no element or window for its width, and whether it did."""
    asks = [s for s in spec.get("signals", []) if s["name"] == "width" and "containerSize" in json.dumps(s)]
    if not asks:
        return spec, False
    signals = [{"name": "width", "value": WIDTH} if s in asks else s for s in spec["signals"]]
    return {**spec, "signals": signals}, True
