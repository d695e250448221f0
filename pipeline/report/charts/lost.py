"""The figures of why leads are lost: the coded reasons by band, and the themes of the comments."""

from __future__ import annotations

from typing import Any

import altair
import pandas as pd

from features.language import Speaker, Text
from features.wording import spaced
from pipeline.report.figure import BLUE, GREY, ORANGE, Figure

_BANDS = {
    "mql": (Text("would have been an MQL", "aurait été MQL"), BLUE),
    "nurture": (Text("nurture", "à entretenir"), ORANGE),
    "let_go": (Text("let go", "à laisser"), GREY),
}
_ROW = 30
_COUNTS = altair.Axis(tickMinStep=1, format=",d")


def figures(found: dict[str, Any], about: dict[str, Any], speaker: Speaker) -> list[Figure]:
    """Return the reasons' figure and the themes', each where there is something to show."""
    if found["missing"]:
        return []
    drawn = []
    if any(row["seen"] for row in found["reasons"]["rows"]):
        drawn.append(_reasons(found["reasons"]["rows"], speaker))
    if found["themes"]["rows"]:
        drawn.append(_themes(found["themes"]["rows"], speaker))
    return drawn


def theme_name(words: list[str]) -> str:
    """Name a theme by its words."""
    return ", ".join(words)


def _reasons(rows: list[dict[str, Any]], speaker: Speaker) -> Figure:
    seen = [row for row in rows if row["seen"]]
    names = {band: speaker.say(text) for band, (text, _) in _BANDS.items()}
    data = pd.DataFrame(
        [
            {"reason": spaced(row["reason"]), "band": names[band], "leads": row["bands"][band],
             "share": row["bands"][band] / row["seen"], "order": order}
            for row in seen
            for order, band in enumerate(_BANDS)
        ]
    )  # fmt: skip
    what = {
        "reason": speaker.say(Text("reason", "motif")),
        "band": speaker.say(Text("band", "catégorie")),
        "leads": speaker.say(Text("leads", "leads")),
        "share": speaker.say(Text("share of the leads lost for it", "part des leads perdus pour ce motif")),
    }
    chart = (
        altair.Chart(data)
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            y=altair.Y("reason:N", sort=None, title=None, axis=altair.Axis(labelLimit=180)),
            x=altair.X("leads:Q", title=what["leads"], stack="zero", axis=_COUNTS),
            order=altair.Order("order:Q"),
            color=altair.Color(
                "band:N", title=None, legend=altair.Legend(orient="top", labelLimit=240),
                scale=altair.Scale(domain=list(names.values()), range=[c for _, c in _BANDS.values()]),
            ),
            tooltip=[
                altair.Tooltip("reason:N", title=what["reason"]),
                altair.Tooltip("band:N", title=what["band"]),
                altair.Tooltip("leads:Q", title=what["leads"], format=",d"),
                altair.Tooltip("share:Q", title=what["share"], format=".0%"),
            ],
        )
        .properties(width="container", height=_ROW * len(seen))
    )  # fmt: skip
    first = seen[0]
    alt = Text(
        "Of the leads that the model saw before they ended, {n} were lost for “{reason}”, of which {mqls} "
        "would have been MQLs.",
        "Parmi les leads que le modèle avait vus avant leur fin, {n} ont été perdus pour « {reason} », dont "
        "{mqls} auraient été MQL.",
    )
    numbers = {"n": speaker.number(first["seen"]), "mqls": speaker.number(first["bands"]["mql"])}
    return Figure(
        id="lost-reasons",
        title=speaker.say(
            Text(
                "Reasons, by what the model made of the leads", "Motifs, selon l’avis du modèle sur les leads"
            )
        ),
        alt=speaker.say(alt, reason=spaced(first["reason"]), **numbers),
        chart=chart,
        columns=[what["reason"].capitalize(), *names.values()],
        rows=[
            [spaced(row["reason"]), *(speaker.number(row["bands"][band]) for band in _BANDS)] for row in seen
        ],
    )


def _themes(rows: list[dict[str, Any]], speaker: Speaker) -> Figure:
    data = pd.DataFrame(
        {"theme": [theme_name(r["words"]) for r in rows], "leads": [r["leads"] for r in rows]}
    )
    leads = speaker.say(Text("leads", "leads"))
    theme = speaker.say(Text("words of the theme", "mots du thème"))
    chart = (
        altair.Chart(data)
        .mark_bar(color=BLUE)
        .encode(
            y=altair.Y("theme:N", sort=None, title=None, axis=altair.Axis(labelLimit=260)),
            x=altair.X("leads:Q", title=leads, axis=_COUNTS),
            tooltip=[
                altair.Tooltip("theme:N", title=theme),
                altair.Tooltip("leads:Q", title=leads, format=",d"),
            ],
        )
        .properties(width="container", height=_ROW * len(rows))
    )
    alt = Text(
        "The most frequent theme, “{theme}”, is that of {n} leads; {k} themes are shown.",
        "Le thème le plus fréquent, « {theme} », est celui de {n} leads ; {k} thèmes sont montrés.",
    )
    first = rows[0]
    return Figure(
        id="lost-themes",
        title=speaker.say(Text("Themes of the comments", "Thèmes des commentaires")),
        alt=speaker.say(
            alt,
            theme=theme_name(first["words"]),
            n=speaker.number(first["leads"]),
            k=speaker.number(len(rows)),
        ),
        chart=chart,
        columns=[theme.capitalize(), leads.capitalize(), speaker.say(Text("Share", "Part"))],
        rows=[
            [theme_name(r["words"]), speaker.number(r["leads"]), speaker.percent(r["share"])] for r in rows
        ],
    )
