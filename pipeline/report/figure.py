"""A figure as the report shows it: a chart, what it shows in words, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair

# Colours that a colour-blind reader can tell apart (Okabe and Ito, 2008); the page has darker and lighter
# ones of the same names for dark mode, and every mark differs in shape or label too.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#767676"


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
