"""The figures of what sets converted leads apart."""

from __future__ import annotations

from typing import Any

import altair
import pandas as pd

from features.language import Speaker, Text
from pipeline.report.figure import BLUE, FAINT, GREY, INK, ORANGE, Figure
from pipeline.report.words_rules import signed

FAMILIES = {
    "fit": Text("fit: who the lead is", "profil : qui est le lead"),
    "engagement": Text("engagement: what the lead did", "engagement : ce que le lead a fait"),
}
_ROW = 30


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return the overview, a curve for each concept shown in full, and the point table beside the model."""
    concepts = [concept for family in found["families"] for concept in family["concepts"]]
    if not concepts:
        return []
    all_figures = [_overview(concepts, speaker)]
    all_figures += [_curve(concept, found["propensity"], speaker) for concept in concepts]
    if found["rules"] and any(line["known"] for line in found["rules"]["lines"]):
        all_figures.append(_table(found["rules"]["lines"], speaker))
    return all_figures


def _overview(concepts: list[dict[str, Any]], speaker: Speaker) -> Figure:
    rows = sorted(concepts, key=lambda concept: -concept["share"])
    names = {family: speaker.say(text) for family, text in FAMILIES.items()}
    table = pd.DataFrame(
        {
            "label": [speaker.pick(row["label"]) for row in rows],
            "share": [row["share"] for row in rows],
            "family": [names[row["family"]] for row in rows],
        }
    )
    share = speaker.say(Text("share of what tells leads apart", "part dans ce qui distingue les leads"))
    family = speaker.say(Text("family", "famille"))
    what = speaker.say(Text("concept", "élément"))
    base = altair.Chart(table).encode(
        y=altair.Y("label:N", sort=None, title=None, axis=altair.Axis(labelLimit=190)),
        x=altair.X("share:Q", title=share, axis=altair.Axis(format="%", tickCount=5)),
        tooltip=[
            altair.Tooltip("label:N", title=what),
            altair.Tooltip("share:Q", title=share, format=".0%"),
            altair.Tooltip("family:N", title=family),
        ],
    )
    colour = altair.Color(
        "family:N",
        title=None,
        scale=altair.Scale(domain=list(names.values()), range=[BLUE, ORANGE]),
        legend=altair.Legend(orient="top", columns=1, labelLimit=320),
    )
    shape = altair.Shape(
        "family:N",
        title=None,
        scale=altair.Scale(domain=list(names.values()), range=["circle", "square"]),
    )
    chart = altair.layer(
        base.mark_bar(height=6).encode(color=colour),
        base.mark_point(filled=True, size=90, opacity=1).encode(color=colour, shape=shape),
    ).properties(width="container", height=_ROW * len(rows))
    first = rows[0]
    alt = Text(
        "{first} tells leads apart most, with {share} of the whole; {n} concepts are shown.",
        "{first} distingue le plus les leads, avec {share} du total ; {n} éléments sont montrés.",
    )
    return Figure(
        id="concepts-importance",
        title=speaker.say(Text("What tells leads apart most", "Ce qui distingue le plus les leads")),
        alt=speaker.say(
            alt,
            first=speaker.pick(first["label"]),
            share=speaker.percent(first["share"]),
            n=speaker.number(len(rows)),
        ),
        chart=chart,
        columns=[what, share, family],
        rows=[
            [speaker.pick(row["label"]), speaker.percent(row["share"]), names[row["family"]]] for row in rows
        ],
    )


def _curve(concept: dict[str, Any], average: float, speaker: Speaker) -> Figure:
    steps, label = concept["curve"], speaker.pick(concept["label"])
    enough = speaker.say(Text("enough leads", "assez de leads"))
    few = speaker.say(Text("few leads: take with care", "peu de leads : à prendre avec prudence"))
    leads = speaker.say(Text("leads", "leads"))
    propensity = speaker.say(
        Text("propensity of otherwise average leads", "propension de leads par ailleurs moyens")
    )
    over = speaker.pick(concept["over"])
    table = pd.DataFrame(
        {
            "values": [speaker.pick(step["values"]) for step in steps],
            "propensity": [step["propensity"] for step in steps],
            "average": average,
            "leads": [step["leads"] for step in steps],
            "many": [few if step["few"] else enough for step in steps],
        }
    )
    chart = _lollipops(table, [enough, few], {"over": over, "propensity": propensity, "leads": leads})
    return Figure(
        id=concept["figure"],
        title=speaker.say(Text("Propensity by “{over}”", "Propension selon « {over} »"), over=over),
        alt=_curve_alt(steps, label, average, speaker),
        chart=chart.properties(width="container", height=_ROW * len(steps) + 10),
        columns=[
            over,
            propensity,
            speaker.say(Text("converted, as observed", "conversion observée")),
            leads,
        ],
        rows=[
            [
                speaker.pick(step["values"]),
                speaker.percent(step["propensity"], 1),
                speaker.percent(step["converted"], 1),
                speaker.number(step["leads"]) + (f" ({few})" if step["few"] else ""),
            ]
            for step in steps
        ],
    )


def _lollipops(table: pd.DataFrame, many: list[str], said: dict[str, str]) -> altair.LayerChart:
    """Return one row a step: from the average of all leads to what it makes of it, and how many are there."""
    y = altair.Y("values:N", sort=None, title=None, axis=altair.Axis(labelLimit=190))
    scale = altair.Scale(domainMin=0, nice=True)
    x = altair.X(
        "propensity:Q", title=said["propensity"], scale=scale, axis=altair.Axis(format="%", tickCount=5)
    )
    tooltip = [
        altair.Tooltip("values:N", title=said["over"]),
        altair.Tooltip("propensity:Q", title=said["propensity"], format=".1%"),
        altair.Tooltip("leads:Q", title=said["leads"], format=","),
    ]
    base = altair.Chart(table)
    few = altair.condition(altair.datum.many == many[1], altair.value(0), altair.value(1))
    return altair.layer(
        base.mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=altair.X("mean(average):Q", scale=scale)),
        base.mark_rule(color=FAINT, strokeWidth=5).encode(y=y, x=x, x2="average:Q"),
        base.mark_point(filled=True, size=100, color=BLUE, stroke=BLUE, strokeWidth=2, opacity=1).encode(
            y=y, x=x, fillOpacity=few, tooltip=tooltip
        ),
        *(
            base.transform_filter(side)
            .mark_text(align=align, dx=dx, color=INK, fontSize=11)
            .encode(y=y, x=x, text=altair.Text("leads:Q", format=","))
            for side, align, dx in (
                (altair.datum.propensity >= altair.datum.average, "left", 10),
                (altair.datum.propensity < altair.datum.average, "right", -10),
            )
        ),
    )


def _curve_alt(steps: list[dict[str, Any]], label: str, average: float, speaker: Speaker) -> str:
    enough = [step for step in steps if not step["few"]] or steps
    high = max(enough, key=lambda step: step["propensity"])
    low = min(enough, key=lambda step: step["propensity"])
    form = Text(
        "{label}: highest propensity, {most}, at “{high}”; lowest, {least}, at “{low}”; the average of all "
        "leads is {average}. The numbers beside the points are leads.",
        "{label} : propension la plus haute, {most}, pour « {high} » ; la plus basse, {least}, pour "
        "« {low} » ; la moyenne de tous les leads est de {average}. Les nombres à côté des points sont des "
        "leads.",
    )
    return speaker.say(
        form,
        label=label,
        most=speaker.percent(high["propensity"], 1),
        high=speaker.pick(high["values"]),
        least=speaker.percent(low["propensity"], 1),
        low=speaker.pick(low["values"]),
        average=speaker.percent(average, 1),
    )


def _table(lines: list[dict[str, Any]], speaker: Speaker) -> Figure:
    known = [line for line in lines if line["known"]]
    yours = speaker.say(Text("your table", "votre barème"))
    model = speaker.say(Text("what it is worth here", "ce que cela vaut ici"))
    points = speaker.say(Text("points", "points"))
    name = speaker.say(Text("line of your table", "ligne de votre barème"))
    interval = speaker.say(Text("90% interval", "intervalle à 90 %"))
    parts = [
        {"name": line["name"], "who": who, "points": line[key], "low": line["low"], "high": line["high"]}
        for line in known
        for who, key in ((yours, "points"), (model, "worth"))
    ]
    y = altair.Y("name:N", sort=None, title=None, axis=altair.Axis(labelLimit=190))
    colour = altair.Color(
        "who:N", title=None, scale=altair.Scale(domain=[yours, model], range=[ORANGE, BLUE])
    )
    shape = altair.Shape(
        "who:N", title=None, scale=altair.Scale(domain=[yours, model], range=["square", "circle"])
    )
    base = altair.Chart(pd.DataFrame(parts))
    chart = altair.layer(
        base.mark_rule(color=GREY).encode(x=altair.datum(0)),
        base.transform_filter(altair.datum.who == model)
        .mark_rule(color=BLUE, strokeWidth=2, opacity=0.5)
        .encode(y=y, x=altair.X("low:Q", title=points), x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            y=y,
            x=altair.X("points:Q", title=points),
            color=colour,
            shape=shape,
            tooltip=[
                altair.Tooltip("name:N", title=name),
                altair.Tooltip("who:N", title=" "),
                altair.Tooltip("points:Q", title=points, format=".1f"),
            ],
        ),
    ).properties(width="container", height=max(120, 24 * len(known)))
    alt = Text(
        "For {n} lines of your table, the points that it gives beside those that the same total would give "
        "by what the model found.",
        "Pour {n} lignes de votre barème, les points qu’il donne à côté de ceux que le même total donnerait "
        "d’après ce que le modèle a trouvé.",
    )
    return Figure(
        id="concepts-points",
        title=speaker.say(Text("Your points and the model’s", "Vos points et ceux du modèle")),
        alt=speaker.say(alt, n=speaker.number(len(known))),
        chart=chart,
        columns=[name, yours, model, interval, speaker.say(Text("leads", "leads"))],
        rows=[
            [
                line["name"],
                signed(speaker, line["points"]),
                signed(speaker, line["worth"]),
                speaker.between(signed(speaker, line["low"]), signed(speaker, line["high"])),
                speaker.number(line["leads"]),
            ]
            for line in known
        ],
    )
