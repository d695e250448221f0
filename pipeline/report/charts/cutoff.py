"""The cutoff's figures: the share that converts, and the MQLs a week, at every level."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import altair

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, GREY, INK, ORANGE, Figure

LEVEL = Text("propensity from which a lead is an MQL", "propension à partir de laquelle un lead est MQL")
CONVERTING = Text("share of the MQLs that convert", "part des MQL qui se convertissent")
PROMISED = Text("at least, promised", "au moins, promis")
A_WEEK = Text("new MQLs a week", "nouveaux MQL par semaine")
MQLS = Text("MQLs", "MQL")
# Below so many MQLs a share is not drawn: it would jump from nothing to all.
DRAWN_FROM = 5


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return both figures, or none for a model that knows nothing of its levels."""
    if not found["available"]:
        return []
    points = _points(found)
    return [_converting(points, found, speaker), _volume(points, found, speaker)] if points else []


def _points(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is drawn of each level."""
    rows = []
    for rung in found["rungs"]:
        counts, promise = rung[found["judged_on"]], rung["promise"]
        if counts["mqls"] < DRAWN_FROM:
            continue
        share = counts["share"]
        rows.append(
            {
                "level": rung["level"],
                **{name: share[name] for name in ("value", "low", "high")},
                "promised": promise["at_least"] if promise else None,
                "mqls": counts["mqls"],
                "volume": counts["per_week"] if found["timed"] else counts["mqls"],
            }
        )
    return rows


def _told_once(rows: Iterable[list[str]]) -> list[list[str]]:
    """Leave out rows that read like the one before: levels so close that their numbers are the same."""
    return [row for row, _ in groupby(rows)]


def _level(speaker: Speaker) -> altair.X:
    return altair.X("level:Q", title=speaker.say(LEVEL), axis=altair.Axis(format=".0%"))


def _marks(found: dict[str, Any], speaker: Speaker, drawn: list[dict[str, Any]]) -> altair.LayerChart:
    """Return a vertical line with its name for each policy and for the points."""
    highest = max(point["level"] for point in drawn)
    marks = [
        {
            "level": mark["level"],
            "name": speaker.pick(mark["label"]),
            "kind": "in force" if mark["in_force"] else mark["kind"],
        }
        for mark in found["marks"]
        if mark["level"] is not None and mark["level"] <= highest
    ]
    base = altair.Chart(altair.Data(values=marks)).encode(x=_level(speaker))
    dash = altair.when("datum.kind == 'in force'").then(altair.value([1, 0])).otherwise(altair.value([3, 3]))
    rules = base.mark_rule(color=GREY).encode(strokeDash=dash, tooltip=[altair.Tooltip("name:N", title=" ")])
    names = base.mark_text(angle=270, align="right", baseline="bottom", dx=-4, dy=-3, color=GREY).encode(
        text="name:N", y=altair.value(0)
    )
    return altair.layer(rules, names)


def _chosen(found: dict[str, Any]) -> altair.Chart:
    """Return the line at the level that is looked at: the page's slider sets the parameter ``chosen``.

    It is placed in pixels, so that the axis stays as it is wherever the line goes.
    """
    rung = found["in_force"]["rung"] or 0
    chosen = altair.param(name="chosen", value=found["rungs"][rung]["level"])
    place = altair.value(altair.expr("clamp(scale('x', chosen), 0, width)"))
    line = altair.Chart(altair.Data(values=[{}])).mark_rule(color=INK, strokeWidth=2.5).encode(x=place)
    return line.add_params(chosen)


def _converting(points: list[dict[str, Any]], found: dict[str, Any], speaker: Speaker) -> Figure:
    base = altair.Chart(altair.Data(values=points)).encode(x=_level(speaker))
    title = speaker.say(CONVERTING)
    percent = altair.Axis(format=".0%")
    tooltip = [
        altair.Tooltip("level:Q", title=speaker.say(LEVEL), format=".1%"),
        altair.Tooltip("value:Q", title=title, format=".1%"),
        altair.Tooltip("promised:Q", title=speaker.say(PROMISED), format=".1%"),
    ]
    band = base.mark_area(color=BLUE, opacity=0.18).encode(
        y=altair.Y("low:Q", title=title, axis=percent), y2="high:Q"
    )
    line = base.mark_line(color=BLUE, strokeWidth=2.5).encode(
        y=altair.Y("value:Q", title=title), tooltip=tooltip
    )
    promised = (
        base.mark_line(color=ORANGE, strokeDash=[5, 3], interpolate="step-after")
        .transform_filter("isValid(datum.promised)")
        .encode(y=altair.Y("promised:Q", title=title), tooltip=tooltip)
    )
    first, last = points[0], points[-1]
    return Figure(
        id="cutoff-share",
        title=speaker.say(
            Text(
                "The higher the cutoff, the more of the MQLs convert (band: 90% interval; dashed: promised)",
                "Plus le seuil est haut, plus les MQL se convertissent (bande : intervalle à 90 % ; tirets : "
                "promesse)",
            )
        ),
        alt=speaker.say(
            Text(
                "From a cutoff of {low} to one of {high} the share of the MQLs that convert goes from "
                "{first} to {last}.",
                "D’un seuil de {low} à un seuil de {high}, la part des MQL qui se convertissent passe de "
                "{first} à {last}.",
            ),
            low=speaker.percent(first["level"]),
            high=speaker.percent(last["level"]),
            first=speaker.percent(first["value"]),
            last=speaker.percent(last["value"]),
        ),
        chart=altair.layer(band, line, promised, _marks(found, speaker, points), _chosen(found)).properties(
            width="container", height=300
        ),
        columns=[
            speaker.say(text)
            for text in (LEVEL, MQLS, CONVERTING, Text("90% interval", "intervalle à 90 %"), PROMISED)
        ],
        rows=_told_once(
            [
                speaker.percent(of["level"], 1),
                speaker.number(of["mqls"]),
                speaker.percent(of["value"]),
                speaker.between(speaker.percent(of["low"]), speaker.percent(of["high"])),
                "–" if of["promised"] is None else speaker.percent(of["promised"], 1),
            ]
            for of in points
        ),
    )


def _volume(points: list[dict[str, Any]], found: dict[str, Any], speaker: Speaker) -> Figure:
    name = speaker.say(A_WEEK if found["timed"] else MQLS)
    digits = 1 if found["timed"] else 0
    line = (
        altair.Chart(altair.Data(values=points))
        .mark_line(color=BLUE, strokeWidth=2.5)
        .encode(
            x=_level(speaker),
            y=altair.Y("volume:Q", title=name, axis=altair.Axis(format=",.0f")),
            tooltip=[
                altair.Tooltip("level:Q", title=speaker.say(LEVEL), format=".1%"),
                altair.Tooltip("volume:Q", title=name, format=f",.{digits}f"),
            ],
        )
    )
    return Figure(
        id="cutoff-volume",
        title=speaker.say(
            Text("The higher the cutoff, the fewer MQLs", "Plus le seuil est haut, moins il y a de MQL")
        ),
        alt=speaker.say(
            Text(
                "From a cutoff of {low} to one of {high}, {name} go from {first} to {last}.",
                "D’un seuil de {low} à un seuil de {high}, {name} : de {first} à {last}.",
            ),
            low=speaker.percent(points[0]["level"]),
            high=speaker.percent(points[-1]["level"]),
            name=name,
            first=speaker.number(points[0]["volume"], digits),
            last=speaker.number(points[-1]["volume"], digits),
        ),
        chart=altair.layer(line, _marks(found, speaker, points), _chosen(found)).properties(
            width="container", height=240
        ),
        columns=[speaker.say(LEVEL), name],
        rows=_told_once(
            [speaker.percent(of["level"], 1), speaker.number(of["volume"], digits)] for of in points
        ),
    )
