"""The conversion of each cell of the grid, beside what the model expected of it."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, ORANGE, Figure


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return one figure, or none where no lead's conversion is known."""
    seen = [cell for cell in found["cells"] if cell["leads"]]
    return [_conversion(seen, speaker)] if seen else []


def _conversion(cells: list[dict[str, Any]], speaker: Speaker) -> Figure:
    say = speaker.say
    shown = {
        "cell": say(Text("Cell", "Case")),
        "share": say(Text("Converted", "Convertis")),
        "expected": say(Text("Expected now", "Attendus aujourd’hui")),
        "low": say(Text("90% interval from", "Intervalle à 90 % de")),
        "high": say(Text("to", "à")),
        "leads": say(Text("Leads seen", "Leads vus")),
    }
    rows = [
        {
            shown["cell"]: cell["grade"],
            **{shown[name]: cell[name] for name in ("share", "low", "high", "leads")},
            shown["expected"]: cell["propensity"],
        }
        for cell in cells
    ]
    best = max(cells, key=lambda cell: cell["share"])
    return Figure(
        id="grid-conversion",
        title=say(Text("How often leads of each cell converted", "La conversion des leads de chaque case")),
        alt=say(
            Text(
                "A dot and an interval for each cell from A1 to D4. The highest share is that of {cell}: "
                "{share}.",
                "Un point et un intervalle par case, de A1 à D4. La part la plus haute est celle de {cell} : "
                "{share}.",
            ),
            cell=best["grade"],
            share=speaker.percent(best["share"]),
        ),
        chart=_chart(pd.DataFrame(rows), shown),
        columns=[
            shown["cell"], shown["leads"], say(Text("Won", "Gagnés")), shown["share"],
            say(Text("90% interval", "Intervalle à 90 %")), shown["expected"],
        ],
        rows=[_row(cell, speaker) for cell in cells],
    )  # fmt: skip


def _row(cell: dict[str, Any], speaker: Speaker) -> list[str]:
    expected = cell["propensity"]
    return [
        cell["grade"],
        speaker.number(cell["leads"]),
        speaker.number(cell["won"]),
        speaker.percent(cell["share"], 1),
        speaker.between(speaker.percent(cell["low"], 1), speaker.percent(cell["high"], 1)),
        "–" if expected is None else speaker.percent(expected, 1),
    ]


def _chart(rows: pd.DataFrame, shown: dict[str, str]) -> alt.TopLevelMixin:
    """Return dots for what was seen, with intervals, and diamonds for what is expected."""
    cell = alt.X(f"{shown['cell']}:N", sort=None, axis=alt.Axis(labelAngle=0), title=shown["cell"])
    tips = [alt.Tooltip(f"{shown['cell']}:N")]
    tips += [alt.Tooltip(f"{shown[name]}:Q", format=".1%") for name in ("share", "low", "high", "expected")]
    tips.append(alt.Tooltip(f"{shown['leads']}:Q", format=","))
    dots = rows.melt(
        id_vars=[column for column in rows if column not in (shown["share"], shown["expected"])],
        value_vars=[shown["share"], shown["expected"]], var_name="what", value_name="value",
    )  # fmt: skip
    names, none = [shown["share"], shown["expected"]], alt.Legend(title=None)
    axis = alt.Axis(format=".0%", title=shown["share"])
    interval = alt.Chart(rows).mark_rule(color=BLUE, strokeWidth=2).encode(
        cell, alt.Y(f"{shown['low']}:Q", axis=axis), alt.Y2(f"{shown['high']}:Q"), tooltip=tips
    )  # fmt: skip
    points = alt.Chart(dots).mark_point(filled=True, size=70, opacity=1).encode(
        cell,
        alt.Y("value:Q", axis=axis),
        color=alt.Color("what:N", legend=none, scale=alt.Scale(domain=names, range=[BLUE, ORANGE])),
        shape=alt.Shape("what:N", legend=none, scale=alt.Scale(domain=names, range=["circle", "diamond"])),
        tooltip=[alt.Tooltip(f"{shown['cell']}:N"), alt.Tooltip("value:Q", format=".1%", title=" ")],
    )  # fmt: skip
    return alt.layer(interval, points).properties(width="container", height=260)
