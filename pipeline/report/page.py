"""The page: a content, in one language, as one HTML file that asks nobody for anything."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import unescape
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from features.language import SPEAKERS, Language, Speaker, Text
from pipeline.durations import parse_duration
from pipeline.report.content import SECTIONS
from pipeline.report.drawing import LOCALES, WIDTH, Drawn, embedded, writing
from pipeline.report.figure import DARK, Figure
from pipeline.report.runtime import vega

_TAG = re.compile(r"<[^>]*>")
_TITLE = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A section as it stands on the page: its name, its title without markup, and its HTML."""

    name: str
    title: str
    html: Markup

    @classmethod
    def of(cls, name: str, html: str) -> Section:
        """Take the title from the section's own heading, and give the heading an address."""
        heading = _TITLE.search(html)
        if heading is None:
            raise ValueError(f"the section {name!r} has no <h2>")
        addressed = f'{html[: heading.start()]}<h2 id="title-{name}">{html[heading.start() + 4 :]}'
        return cls(name, unescape(_TAG.sub("", heading[1])).strip(), Markup(addressed))


def render(content: dict[str, Any], language: Language, names: Mapping[str, str] | None = None) -> str:
    """Return the page; `names` are those of leads, by lead id, for readers who may see them."""
    speaker = SPEAKERS[language]
    environment = _environment(speaker, content["about"]["currency"])
    environment.globals["names"] = dict(names or {})
    sections = [
        Section.of(name, _section(environment, name, content, speaker))
        for name in SECTIONS
        if name in content
    ]
    return environment.get_template("page.html.j2").render(
        about=content["about"],
        sections=sections,
        trust=content.get("trust"),
        language=language,
        style=Markup("\n").join(_parts("style", "css")),
        scripts=[Markup(vega()), *_parts("report", "js")],
        settings=embedded(_settings(language)),
    )


def figures_of(name: str, content: dict[str, Any], speaker: Speaker) -> dict[str, Figure]:
    """Return a section's figures by id, in one language."""
    charts = importlib.import_module(f"pipeline.report.charts.{name}")
    return {figure.id: figure for figure in charts.figures(content[name], content["about"], speaker)}


def _section(environment: Environment, name: str, content: dict[str, Any], speaker: Speaker) -> str:
    return environment.get_template(f"{name}.html.j2").render(
        found=content[name],
        about=content["about"],
        figures=figures_of(name, content, speaker),
        language=speaker.language,
    )


def _environment(speaker: Speaker, currency: str | None) -> Environment:
    """Return where the templates are, with what they say and write things by.

    ``t(english, french, **values)`` is the only way to put words on the page.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "t": lambda en, fr, **values: speaker.say(Text(en, fr), **values),
        "speaker": speaker,
        "drawn": lambda figure: Drawn(figure, speaker.language),
        "embedded": embedded,
    }
    environment.filters |= {
        "said": speaker.pick,
        "number": speaker.number,
        "plain": speaker.plain,
        "percent": speaker.percent,
        "money": lambda amount: speaker.money(amount, currency),
        "day": lambda stamp: speaker.day(datetime.fromisoformat(stamp)),
        "lasting": lambda duration: speaker.lasting(parse_duration(duration).total_seconds() / 86400),
    }
    return environment


@cache
def _parts(common: str, kind: str) -> list[Markup]:
    """Return the style or the scripts of the page, then those of each section that has its own.

    They are no templates: they have no words.
    """
    folder = files("pipeline.report") / "templates"
    paths = [folder / f"{name}.{kind}" for name in (common, *SECTIONS)]
    return [Markup(path.read_text("utf-8")) for path in paths if path.is_file()]


def _settings(language: Language) -> dict[str, Any]:
    """Return what the page's scripts go by: how numbers and dates are written, and the dark colours."""
    return {
        "locale": LOCALES[language],
        "width": WIDTH,
        "vega": writing(language),
        "dark": {light.lower(): dark for light, dark in DARK.items()},
    }
