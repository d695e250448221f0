"""The report's figures as files, for those who want one in a slide, and for MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair

from features.language import SPEAKERS, Language
from pipeline.report.content import SECTIONS
from pipeline.report.drawing import Drawn
from pipeline.report.figure import Figure
from pipeline.report.page import figures_of


def pictures(content: dict[str, Any], language: Language, folder: Path) -> list[Path]:
    """Write every figure as ``<id>.png``, with its title above it, and return where they are."""
    written = []
    for name in SECTIONS:
        if name not in content:
            continue
        for figure in figures_of(name, content, SPEAKERS[language]).values():
            path = folder / f"{figure.id}.png"
            path.write_bytes(Drawn(_titled(figure), language).png())
            written.append(path)
    return written


def _titled(figure: Figure) -> Figure:
    """Return the figure with its title inside the chart: on the page it stands above it."""
    title = altair.TitleParams(figure.title, anchor="start", offset=12, fontSize=14)
    chart: Any = figure.chart.copy()
    chart.title = title
    return Figure(figure.id, figure.title, figure.alt, chart, figure.columns, figure.rows)
