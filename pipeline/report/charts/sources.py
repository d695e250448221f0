"""How much more or less often leads convert after each value, with the interval: one figure a dimension."""

from __future__ import annotations

from typing import Any

import altair
import pandas as pd

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, GREY, ORANGE, Figure
from pipeline.report.words_sources import change, name_of

_VERDICTS = {
    "more": (Text("more often", "plus souvent"), BLUE, "triangle-up"),
    "unclear": (Text("no clear difference", "pas d’écart net"), GREY, "circle"),
    "less": (Text("less often", "moins souvent"), ORANGE, "triangle-down"),
}
_ROW = 26


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return a figure for each dimension with values to compare."""
    return [_lifts(dimension, speaker) for dimension in found["dimensions"] if len(dimension["rows"]) > 1]


def _lifts(dimension: dict[str, Any], speaker: Speaker) -> Figure:
    rows = dimension["rows"]
    names = {verdict: speaker.say(text) for verdict, (text, _, _) in _VERDICTS.items()}
    data = pd.DataFrame(
        {
            "name": [name_of(row, speaker) for row in rows],
            "difference": [float("nan") if row["few"] else row["lift"] - 1 for row in rows],
            "low": [row["low"] - 1 for row in rows],
            "high": [row["high"] - 1 for row in rows],
            "verdict": [names[row["verdict"]] for row in rows],
        }
    )
    title = speaker.say(
        Text("Conversions against leads like them", "Conversions par rapport à des leads semblables")
    )
    columns = [
        speaker.pick(dimension["column"]),
        speaker.say(Text("Difference", "Écart")),
        speaker.say(Text("90% interval", "Intervalle à 90 %")),
    ]
    alt = Text("{title}. {words}", "{title}. {words}")
    return Figure(
        id=f"lifts-{dimension['id']}",
        title=f"{speaker.pick(dimension['title'])}: {title}" if speaker.language == "en"
        else f"{speaker.pick(dimension['title'])}\u00a0: {title}",
        alt=speaker.say(alt, title=title, words=speaker.pick(dimension["words"])),
        chart=_chart(data, list(names.values()), title, speaker),
        columns=columns,
        rows=[_written(row, speaker) for row in rows],
    )  # fmt: skip


def _written(row: dict[str, Any], speaker: Speaker) -> list[str]:
    low, high = (change(row[end] - 1, speaker) for end in ("low", "high"))
    difference = "–" if row["few"] else change(row["lift"] - 1, speaker)
    return [name_of(row, speaker), difference, speaker.between(low, high)]


def _chart(data: pd.DataFrame, names: list[str], title: str, speaker: Speaker) -> altair.LayerChart:
    colours = [colour for _, colour, _ in _VERDICTS.values()]
    shapes = [shape for _, _, shape in _VERDICTS.values()]
    tips = {
        "name": Text("value", "valeur"),
        "difference": Text("difference", "écart"),
        "low": Text("from", "de"),
        "high": Text("to", "à"),
    }
    base = altair.Chart(data).encode(
        y=altair.Y("name:N", sort=None, title=None, axis=altair.Axis(labelLimit=180)),
        color=altair.Color(
            "verdict:N", title=None, scale=altair.Scale(domain=names, range=colours),
            legend=altair.Legend(orient="top", labelLimit=240),
        ),
        tooltip=[
            altair.Tooltip(
                f"{field}:{'N' if field == 'name' else 'Q'}",
                title=speaker.say(text),
                **({} if field == "name" else {"format": "+.0%"}),
            )
            for field, text in tips.items()
        ],
    )  # fmt: skip
    zero = "datum.value == 0 ? slice(datum.label, 1) : datum.label"  # 0% has no sign
    axis = altair.X("low:Q", title=title, axis=altair.Axis(format="+.0%", tickCount=6, labelExpr=zero))
    interval = base.mark_rule(strokeWidth=2).encode(x=axis, x2="high:Q")
    shape = altair.Shape("verdict:N", title=None, scale=altair.Scale(domain=names, range=shapes))
    point = base.mark_point(filled=True, size=80, opacity=1).encode(x="difference:Q", shape=shape)
    usual = altair.Chart().mark_rule(color=GREY, strokeDash=[4, 4]).encode(x=altair.datum(0))
    return altair.layer(usual, interval, point, data=data).properties(
        width="container", height=max(_ROW * len(data), 80)
    )
