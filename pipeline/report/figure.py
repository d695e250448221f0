"""A figure as the report shows it: a chart, what it shows in words, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair

# Colours that a colour-blind reader can tell apart (Okabe and Ito, 2008; the orange is darkened until it
# stands out from white paper, 3:1). Every mark differs in shape or label too.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#C07E00", "#009E73", "#D55E00", "#767676"
# Text and lines, what is beside the point, and the paper.
INK, FAINT, PAPER = "#1D2126", "#D9DCE0", "#FFFFFF"

# The same colours on a dark page: as far from it as the others are from white.
DARK = {
    BLUE: "#56B4E9",
    ORANGE: "#E69F00",
    GREEN: "#2FBF93",
    RED: "#F58B4C",
    GREY: "#A3A9B0",
    INK: "#E6E8EB",
    FAINT: "#3A4048",
    PAPER: "#15181C",
}


@dataclass(frozen=True)
class Figure:
    """One figure in one language.

    id
        Of the file and the page's element: lower case, words joined by hyphens, such as "cutoff-curve".
    title, alt
        What it is, and what a reader who cannot see it should know, as one or two sentences.
    chart
        An Altair chart without title, of width "container" where it can be.
    columns, rows
        The table behind it, written in the figure's language.
    """

    id: str
    title: str
    alt: str
    chart: altair.TopLevelMixin
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
