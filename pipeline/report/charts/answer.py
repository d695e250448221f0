"""The answer's figure: customers found with the same effort, by who chose the leads."""

from __future__ import annotations

from typing import Any

import altair

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, GREY, Figure

# The longest bar leaves room on a narrow screen for the number beside it.
ROOM = 1.12


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return the figure, or none where nothing was compared."""
    effort = found["effort"]
    return [_same_effort(effort, speaker)] if effort else []


def _same_effort(effort: dict[str, Any], speaker: Speaker) -> Figure:
    policies = [
        {"name": speaker.pick(of["label"]), "customers": of["customers"], "ours": of["policy"] == "propense"}
        for of in effort["policies"]
    ]
    customers = speaker.say(Text("customers", "clients"))
    order = [of["name"] for of in policies]
    base = altair.Chart(altair.Data(values=policies)).encode(
        y=altair.Y("name:N", sort=order, title=None, axis=altair.Axis(labelLimit=220)),
        x=altair.X(
            "customers:Q",
            title=customers,
            axis=altair.Axis(format=",.0f", tickMinStep=1),
            scale=altair.Scale(
                domain=[0, ROOM * max(1.0, *(of["customers"] for of in policies))], nice=False
            ),
        ),
        tooltip=[
            altair.Tooltip("name:N", title=speaker.say(Text("chosen by", "choisis par"))),
            altair.Tooltip("customers:Q", title=customers, format=",.0f"),
        ],
    )
    colour = altair.when("datum.ours").then(altair.value(BLUE)).otherwise(altair.value(GREY))
    bars = base.mark_bar().encode(color=colour)
    texts = base.mark_text(align="left", dx=4).encode(text=altair.Text("customers:Q", format=",.0f"))
    best, second = policies[0], max(policies[1:], key=lambda of: of["customers"])
    return Figure(
        id="same-effort",
        title=speaker.say(
            Text(
                "Customers found with the same {n} calls, by who chose the leads",
                "Clients trouvés avec les mêmes {n} appels, selon qui choisit les leads",
            ),
            n=speaker.number(effort["calls"]),
        ),
        alt=speaker.say(
            Text(
                "Bars: {best} found {n} customers; next comes {second} with {m}.",
                "Barres : {best} a trouvé {n} clients ; ensuite vient {second} avec {m}.",
            ),
            best=best["name"],
            n=speaker.number(round(best["customers"])),
            second=second["name"],
            m=speaker.number(round(second["customers"])),
        ),
        chart=(bars + texts).properties(width="container", height=max(120, 40 * len(policies))),
        columns=[speaker.say(Text("Leads chosen by", "Leads choisis par")), customers],
        rows=[[of["name"], speaker.number(round(of["customers"]))] for of in policies],
    )
