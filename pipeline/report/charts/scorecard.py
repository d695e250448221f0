"""The figure of the scorecard: its lines as bars."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, ORANGE, Figure

# Of a bar with its label, in pixels.
ROW = 22


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return the lines as bars: what raises to the right, what lowers to the left."""
    lines = found["lines"]
    if not lines:
        return []
    line, points = speaker.say(Text("Line", "Ligne")), speaker.say(Text("Points", "Points"))
    table = pd.DataFrame(
        {line: [speaker.pick(one["name"]) for one in lines], "points": [one["points"] for one in lines]}
    )
    table["signed"] = table["points"].map(signed)
    up, down = speaker.say(Text("raises", "augmente")), speaker.say(Text("lowers", "diminue"))
    table["way"] = [up if given > 0 else down for given in table["points"]]
    return [
        Figure(
            id="scorecard-lines",
            title=speaker.say(Text("The lines and their points", "Les lignes et leurs points")),
            alt=_alt(lines, speaker),
            chart=_chart(table, line, points, (up, down)),
            columns=(line, points),
            rows=[(name, given) for name, given in zip(table[line], table["signed"], strict=True)],
        )
    ]


def signed(points: int) -> str:
    """Write points as a table of points does: ``+5``, ``−6`` with a true minus."""
    return f"+{points}" if points > 0 else f"−{abs(points)}"


def _chart(table: pd.DataFrame, line: str, points: str, ways: tuple[str, str]) -> alt.LayerChart:
    order = table[line].to_list()
    tooltip = [alt.Tooltip(f"{line}:N"), alt.Tooltip("signed:N", title=points)]
    base = alt.Chart(table).encode(
        y=alt.Y(f"{line}:N", sort=order, title=None, axis=alt.Axis(labelLimit=260)),
        x=alt.X("points:Q", title=points, scale=alt.Scale(padding=30)),
        tooltip=tooltip,
    )
    bars = base.mark_bar().encode(
        color=alt.Color("way:N", title=None, scale=alt.Scale(domain=list(ways), range=[BLUE, ORANGE]))
    )
    right = base.transform_filter("datum.points > 0").mark_text(align="left", dx=4).encode(text="signed:N")
    left = base.transform_filter("datum.points < 0").mark_text(align="right", dx=-4).encode(text="signed:N")
    return alt.layer(bars, right, left).properties(width="container", height=ROW * len(table))


def _alt(lines: list[dict[str, Any]], speaker: Speaker) -> str:
    most = max(lines, key=lambda one: one["points"])
    least = min(lines, key=lambda one: one["points"])
    said = Text(
        "{count} lines. The most points go to “{most}” ({high}), the fewest to “{least}” ({low}).",
        "{count} lignes. Le plus de points va à « {most} » ({high}), le moins à « {least} » ({low}).",
    )
    return speaker.say(
        said, count=speaker.number(len(lines)), most=speaker.pick(most["name"]), high=signed(most["points"]),
        least=speaker.pick(least["name"]), low=signed(least["points"]),
    )  # fmt: skip
