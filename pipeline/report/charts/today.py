"""The propensities of the leads to call, with how well each is known."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, GREY, Figure

# More leads than this make no figure that can be read; fewer than this need none.
MOST, FEWEST = 40, 2
ROW = 17


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return one figure, or none where there are too few or too many leads."""
    leads = found["leads"]
    return [_propensities(leads, found["level"], speaker)] if FEWEST <= len(leads) <= MOST else []


def _propensities(leads: list[dict[str, Any]], level: float | None, speaker: Speaker) -> Figure:
    say = speaker.say
    lead, propensity = say(Text("Lead", "Lead")), say(Text("Propensity", "Propension"))
    low, high = say(Text("90% interval from", "Intervalle à 90 % de")), say(Text("to", "à"))
    names = {"lead_id": lead, "propensity": propensity, "low": low, "high": high}
    rows = pd.DataFrame([{names[key]: one[key] for key in names} for one in leads])
    cutoff = say(Text(" The dashed line is the cutoff.", " La ligne pointillée est le seuil."))
    return Figure(
        id="today-propensities",
        title=say(
            Text("How likely each is, and how sure that is", "La propension de chacun, et sa certitude")
        )
        + ("" if level is None else say(Text(" (dashed: the cutoff)", " (pointillé : le seuil)"))),
        alt=say(
            Text(
                "A dot and an interval for each lead of the list. Propensities go from {low} to {high}; "
                "the intervals overlap widely.{cutoff}",
                "Un point et un intervalle par lead de la liste. Les propensions vont de {low} à {high} ; "
                "les intervalles se recouvrent largement.{cutoff}",
            ),
            low=speaker.percent(min(one["propensity"] for one in leads)),
            high=speaker.percent(max(one["propensity"] for one in leads)),
            cutoff="" if level is None else cutoff,
        ),
        chart=_chart(rows, names, level),
        columns=[lead, propensity, say(Text("90% interval", "Intervalle à 90 %"))],
        rows=[
            [
                one["lead_id"],
                speaker.percent(one["propensity"], 1),
                speaker.between(speaker.percent(one["low"], 1), speaker.percent(one["high"], 1)),
            ]
            for one in leads
        ],
    )


def _chart(rows: pd.DataFrame, names: dict[str, str], level: float | None) -> alt.TopLevelMixin:
    axis = alt.Axis(format=".0%", title=names["propensity"])
    lead = alt.Y(f"{names['lead_id']}:N", sort=None, title=None)
    tips = [alt.Tooltip(f"{names['lead_id']}:N")]
    tips += [alt.Tooltip(f"{names[key]}:Q", format=".1%") for key in ("propensity", "low", "high")]
    scale = alt.Scale(domainMin=0)
    interval = alt.Chart(rows).mark_rule(color=BLUE, strokeWidth=2).encode(
        alt.X(f"{names['low']}:Q", axis=axis, scale=scale), alt.X2(f"{names['high']}:Q"), lead, tooltip=tips
    )  # fmt: skip
    dot = alt.Chart(rows).mark_point(filled=True, size=70, opacity=1, color=BLUE).encode(
        alt.X(f"{names['propensity']}:Q", axis=axis, scale=scale), lead, tooltip=tips
    )  # fmt: skip
    layers: list[Any] = [interval, dot]
    if level is not None:
        line = alt.Chart(pd.DataFrame({"level": [level]})).mark_rule(color=GREY, strokeDash=[4, 4])
        layers.append(line.encode(alt.X("level:Q")))
    return alt.layer(*layers).properties(width="container", height=max(ROW * len(rows), 60))
