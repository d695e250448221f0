"""The page: a content, in one language, as one HTML file that asks nobody for anything."""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from features.language import SPEAKERS, Language, Speaker, Text
from pipeline.report.content import SECTIONS
from pipeline.report.figure import Figure


def render(content: dict[str, Any], language: Language) -> str:
    """Return the page."""
    speaker = SPEAKERS[language]
    figures = {name: figures_of(name, content, speaker) for name in SECTIONS if name in content}
    template = _environment(speaker, content["about"]["currency"]).get_template("page.html.j2")
    return template.render(content=content, sections=SECTIONS, figures=figures, language=language)


def figures_of(name: str, content: dict[str, Any], speaker: Speaker) -> dict[str, Figure]:
    """Return a section's figures by id, in one language."""
    charts = importlib.import_module(f"pipeline.report.charts.{name}")
    return {figure.id: figure for figure in charts.figures(content[name], content["about"], speaker)}


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
    }
    environment.filters |= {
        "said": speaker.pick,
        "number": speaker.number,
        "plain": speaker.plain,
        "percent": speaker.percent,
        "money": lambda amount: speaker.money(amount, currency),
        "day": lambda stamp: speaker.day(datetime.fromisoformat(stamp)),
    }
    return environment
