"""The figures of trust: announced beside came, and promised beside realised through time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import altair as alt
import pandas as pd

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, GREY, ORANGE, Figure

HEIGHT = 300
MODEL, POINTS = Text("the model", "le modèle"), Text("your points", "vos points")
ANNOUNCED, CAME = Text("Announced", "Annoncé"), Text("Came", "Réalisé")
INTERVAL = Text("90% interval", "Intervalle à 90 %")
FIRST_DAY = Text("From", "À partir du")


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return the reliability curve and, where there is a backtest, its promises through time."""
    told = [_reliability(found["reliability"], speaker)]
    backtest = found["backtest"]
    if backtest is not None:
        told.append(_promises(backtest["folds"], speaker))
    return told


def _reliability(found: dict[str, Any], speaker: Speaker) -> Figure:
    series = [
        (speaker.say(name), rows)
        for name, rows in ((MODEL, found["model"]), (POINTS, found["points"]))
        if rows
    ]
    table = pd.DataFrame([{"series": name, **row} for name, rows in series for row in rows])
    top = float(table[["announced", "high"]].max().max())
    names = [name for name, _ in series]
    scale = alt.Scale(domain=[0, min(1.0, top * 1.05)])
    announced, came = speaker.say(ANNOUNCED), speaker.say(CAME)
    base = alt.Chart(table).encode(
        x=alt.X("announced:Q", title=announced, scale=scale, axis=alt.Axis(format=".0%")),
        color=alt.Color(
            "series:N", title=None, scale=alt.Scale(domain=names, range=[BLUE, ORANGE][: len(names)])
        ),
    )
    bars = base.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low:Q", title=came, scale=scale, axis=alt.Axis(format=".0%")), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=alt.Y("came:Q", title=came, scale=scale),
        shape=alt.Shape(
            "series:N",
            title=None,
            scale=alt.Scale(domain=names, range=["circle", "triangle-up"][: len(names)]),
        ),
        tooltip=[
            alt.Tooltip("series:N", title=" "),
            alt.Tooltip("announced:Q", title=announced, format=".1%"),
            alt.Tooltip("came:Q", title=came, format=".1%"),
        ],
    )
    same = pd.DataFrame({"at": [0.0, min(1.0, top * 1.05)]})
    line = alt.Chart(same).mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=1).encode(x="at:Q", y="at:Q")
    overall = found["overall"]
    shown = Text(
        "In each tenth of the looks at leads, the share that was announced and the share that converted. Of "
        "all together {announced} were announced and {came} came. On the dashed line both are the same.",
        "Pour chaque dixième des regards portés sur les leads, la part annoncée et la part qui s’est "
        "convertie. Sur l’ensemble, {announced} étaient annoncés et {came} sont venus. Sur la ligne "
        "pointillée, les deux sont égales.",
    )
    return Figure(
        id="reliability",
        title=speaker.say(
            Text("Announced and came, tenth by tenth", "Annoncé et réalisé, dixième par dixième")
        ),
        alt=speaker.say(
            shown,
            announced=speaker.percent(overall["announced"], 1),
            came=speaker.percent(overall["came"], 1),
        ),
        chart=alt.layer(line, bars, dots).properties(width="container", height=HEIGHT),
        columns=(speaker.say(Text("By", "Selon")), announced, came, speaker.say(INTERVAL)),
        rows=[
            (name, speaker.percent(row["announced"], 1), speaker.percent(row["came"], 1), _span(speaker, row))
            for name, rows in series
            for row in rows
        ],
    )


def _span(speaker: Speaker, row: dict[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return "–"
    return speaker.between(speaker.percent(row["low"], 1), speaker.percent(row["high"], 1))


def _promises(folds: Sequence[dict[str, Any]], speaker: Speaker) -> Figure:
    came, promised = speaker.say(CAME), speaker.say(Text("Promised", "Promis"))
    days = [_day(fold["origin"], speaker) for fold in folds]
    table = pd.DataFrame(folds)[["promised", "value", "low", "high"]].assign(origin=days)
    table = table.assign(came=came, promise=promised).astype({"promised": float, "value": float})
    colour = alt.Scale(domain=[came, promised], range=[BLUE, GREY])
    x = alt.X("origin:O", sort=days, title=speaker.say(FIRST_DAY), axis=alt.Axis(labelAngle=0))
    bars = (
        alt.Chart(table)
        .mark_rule(color=BLUE, strokeWidth=1.5)
        .encode(
            x=x,
            y=alt.Y(
                "low:Q",
                title=speaker.say(Text("Share of MQLs that convert", "Part des MQL qui se convertissent")),
                axis=alt.Axis(format=".0%"),
            ),
            y2="high:Q",
        )
    )
    dots = (
        alt.Chart(table)
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=x,
            y="value:Q",
            color=alt.Color("came:N", title=None, scale=colour),
            tooltip=[
                alt.Tooltip("origin:O", title=speaker.say(FIRST_DAY)),
                alt.Tooltip("value:Q", title=came, format=".0%"),
            ],
        )
    )
    ticks = (
        alt.Chart(table)
        .mark_tick(thickness=3, size=40)
        .encode(
            x=x,
            y="promised:Q",
            color=alt.Color("promise:N", title=None, scale=colour),
            tooltip=[alt.Tooltip("promised:Q", title=promised, format=".0%")],
        )
    )
    held = sum(fold["verdict"] == "held" for fold in folds)
    made = sum(fold["promised"] is not None for fold in folds)
    shown = Text(
        "The share promised and the share that came in each of {n} periods: reached in {held} of the {made} "
        "in "
        "which something was promised.",
        "La part promise et la part réalisée sur chacune des {n} périodes : atteinte dans {held} des {made} "
        "où "
        "quelque chose était promis.",
    )
    return Figure(
        id="promised-and-realised",
        title=speaker.say(Text("Promised and realised through time", "Promis et réalisé au fil du temps")),
        alt=speaker.say(
            shown, n=speaker.number(len(folds)), held=speaker.number(held), made=speaker.number(made)
        ),
        chart=alt.layer(bars, ticks, dots).properties(width="container", height=HEIGHT),
        columns=(speaker.say(FIRST_DAY), promised, came, speaker.say(INTERVAL), "MQL"),
        rows=[
            (
                day,
                "–" if fold["promised"] is None else speaker.percent(fold["promised"]),
                "–" if fold["value"] is None else speaker.percent(fold["value"]),
                _span(speaker, fold),
                speaker.number(fold["mqls"]),
            )
            for day, fold in zip(days, folds, strict=True)
        ],
    )


def _day(origin: str, speaker: Speaker) -> str:
    """Write a fold's origin: a day, or for a table without times a place in it."""
    try:
        return speaker.short_day(date.fromisoformat(origin[:10]))
    except ValueError:
        return origin
