"""Engagement by kind of activity: what the lead did, how often and how long ago.

Every declaration here is one family of columns: for each kind of activity, mostly over all kinds too,
and for each window or half-life where its name holds ``{days}``.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis.expr.types as ir

from features.activity import ALONE, Activity, OverAll
from features.aggregates import (
    COUNT,
    VALUE,
    VALUE_UNITS,
    WEIGHT_UNITS,
    decayed,
    within,
)
from features.declare import greatest, least, total
from features.language import Text
from features.past import SECONDS_A_DAY

# Beside a count in a window it has to be said that this one is not.
IN_ALL = Text("{value} in all", "{value} au total")


def _scaled(units: float) -> Callable[[ir.Value], ir.Value]:
    return lambda first, *_: first.cast("float64") / units


def _mean_gap(earliest: ir.Value, latest: ir.Value, count: ir.Value) -> ir.Value:
    return (earliest - latest) / SECONDS_A_DAY / (count - 1).nullif(0)


BY_KIND: tuple[Activity, ...] = (
    Activity(
        suffix="count_{days}d",
        label=Text("{what}: times {window}", "{what} : nombre de fois {window}"),
        description=Text(
            "How often it happened, at most {time} before the snapshot.",
            "Combien de fois cela s’est produit, {time} au plus avant l’instantané.",
        ),
        unit="times",
        sentence=Text("{label} {value}", "{label} : {value}"),
        needs=lambda scope: (within(scope, scope.days),),
        over_all=OverAll("frequency", unit="activities", sentence=ALONE),
        days="windows_days",
        more=1,
        told="narrowest",
    ),
    Activity(
        suffix="count",
        label=Text("{what}: times ever", "{what} : nombre de fois au total"),
        description=Text(
            "How often it happened (over all: how many activities there are).",
            "Combien de fois cela s’est produit (toutes activités : combien il y en a).",
        ),
        unit="times",
        sentence=Text("{label} {value}", "{label} : {value}"),
        needs=lambda scope: (COUNT,),
        over_all=OverAll("frequency", unit="activities", sentence=ALONE),
        more=1,
        told="narrowest",
    ),
    Activity(
        suffix="last_days",
        label=Text("{what}: days since the last", "{what} : jours depuis la dernière fois"),
        description=Text(
            "How long ago it happened last; missing if never.",
            "Temps écoulé depuis la dernière fois ; absent si jamais.",
        ),
        unit="days ago",
        sentence=Text("last {value}", "la dernière {value}"),
        needs=lambda scope: (least("age"),),
        formula=_scaled(SECONDS_A_DAY),
        over_all=OverAll("recency", sentence=Text("last activity {value}", "dernière activité {value}")),
        more=-1,
    ),
    Activity(
        suffix="first_days",
        label=Text("{what}: days since the first", "{what} : jours depuis la première fois"),
        description=Text(
            "How long ago it happened first; missing if never.",
            "Temps écoulé depuis la première fois ; absent si jamais.",
        ),
        unit="days ago",
        sentence=Text("first {value}", "la première {value}"),
        needs=lambda scope: (greatest("age"),),
        formula=_scaled(SECONDS_A_DAY),
        over_all=OverAll("recency"),
        told="never",
    ),
    Activity(
        suffix="active_days",
        label=Text("{what}: different days", "{what} : nombre de jours différents"),
        description=Text(
            "On how many calendar days of the project's zone it happened.",
            "Nombre de jours du calendrier, dans le fuseau du projet, où cela s’est produit.",
        ),
        unit="calendar days",
        sentence=Text("{label} on {value}", "{label} : {value}"),
        needs=lambda scope: (total(scope.column("new_day")),),
        over_all=OverAll("frequency"),
        more=1,
        told="never",
    ),
    Activity(
        suffix="decayed_{days}d",
        label=Text(
            "{what}: times, fading with a half-life of {time}",
            "{what} : nombre de fois, avec une demi-vie de {time}",
        ),
        description=Text(
            "Times weighted by how recent they are: one that is {time} old counts half.",
            "Nombre de fois pondéré par l’ancienneté : à {time}, une fois compte pour moitié.",
        ),
        unit="weighted times",
        sentence=Text(
            "{label}: {value}, weighted by how recent", "{label} : {value}, pondéré par l’ancienneté"
        ),
        needs=lambda scope: (decayed(scope.days),),
        formula=_scaled(WEIGHT_UNITS),
        over_all=OverAll("frequency"),
        days="half_lives_days",
        more=1,
        told="never",
    ),
    Activity(
        suffix="trend",
        label=Text(
            "{what}: last week against the week before",
            "{what} : 7 derniers jours par rapport aux 7 précédents",
        ),
        description=Text(
            "Times in the last 7 days minus times in the 7 days before those.",
            "Nombre de fois ces 7 derniers jours moins celui des 7 jours précédents.",
        ),
        unit="difference",
        sentence=Text(
            "{label}: {value} against the week before", "{label} : {value} par rapport aux 7 jours précédents"
        ),
        needs=lambda scope: (within(scope, 7), within(scope, 14, since=7)),
        formula=lambda last, before: last - before,
        over_all=OverAll("frequency"),
        told="never",
    ),
    Activity(
        suffix="longest_gap_days",
        label=Text("{what}: longest pause", "{what} : plus longue pause"),
        description=Text(
            "Longest time between two in a row; missing with fewer than two.",
            "Plus long temps entre deux fois de suite ; absent s’il y en a moins de deux.",
        ),
        unit="days",
        sentence=Text("longest pause {value}", "plus longue pause : {value}"),
        needs=lambda scope: (greatest("kind_gap" if scope.of_kind else "gap"),),
        formula=_scaled(SECONDS_A_DAY),
        over_all=OverAll("rhythm", told="always"),
        told="never",
    ),
    Activity(
        suffix="mean_gap_days",
        label=Text("{what}: mean pause", "{what} : pause moyenne"),
        description=Text(
            "Mean time between two in a row; missing with fewer than two.",
            "Temps moyen entre deux fois de suite ; absent s’il y en a moins de deux.",
        ),
        unit="days",
        sentence=Text("{value} between two on average", "{value} en moyenne entre deux"),
        needs=lambda scope: (greatest("age"), least("age"), COUNT),
        formula=_mean_gap,
        over_all=OverAll(
            "rhythm",
            sentence=Text(
                "{value} between two activities on average", "{value} en moyenne entre deux activités"
            ),
            told="always",
        ),
        told="never",
    ),
    Activity(
        suffix="sessions",
        label=Text("{what}: sessions", "{what} : nombre de sessions"),
        description=Text(
            "In how many sessions it happened; a long pause (30 minutes) starts a new one.",
            "Nombre de sessions où cela s’est produit ; une longue pause (30 minutes) en ouvre une nouvelle.",
        ),
        unit="sessions",
        sentence=Text("{label} in {value}", "{label} : {value}"),
        needs=lambda scope: (total(scope.column("new_session")),),
        over_all=OverAll("frequency"),
        more=1,
        told="never",
    ),
    Activity(
        suffix="assets",
        label=Text("{what}: different assets", "{what} : nombre de contenus différents"),
        description=Text(
            "How many different pages, offers or campaigns it was about.",
            "Nombre de pages, d’offres ou de campagnes différentes.",
        ),
        unit="assets",
        sentence=IN_ALL,
        needs=lambda scope: (total(scope.column("new_asset")),),
        over_all=OverAll("variety", sentence=ALONE),
        varying="assets",
        more=1,
    ),
    Activity(
        suffix="channels",
        label=Text("{what}: different channels", "{what} : nombre de canaux différents"),
        description=Text("Through how many different channels it happened.", "Nombre de canaux différents."),
        unit="channels",
        sentence=IN_ALL,
        needs=lambda scope: (total(scope.column("new_channel")),),
        over_all=OverAll("variety", sentence=ALONE),
        varying="channels",
        more=1,
    ),
    Activity(
        suffix="value",
        label=Text("{what}: sum of values", "{what} : somme des valeurs"),
        description=Text(
            "Sum of the activities' values, to a thousandth.", "Somme des valeurs des activités, au millième."
        ),
        unit="value",
        sentence=Text("sum of values: {value}", "somme des valeurs : {value}"),
        needs=lambda scope: (VALUE,),
        formula=_scaled(VALUE_UNITS),
        over_all=OverAll("value", told="always"),
        varying="values",
        told="never",
    ),
)
