"""Engagement over all kinds of activity: who starts them, when, through what, and how many kinds."""

from __future__ import annotations

import ibis.expr.types as ir

from features.activity import ALONE, Activity, EndOfPath, OverAll
from features.aggregates import COUNT, INBOUND, OUTBOUND, WEEKEND, WORKING, packed
from features.declare import total
from features.language import Text
from features.vocabulary import coded
from features.wording import WEEKDAYS


def _share(part: ir.Value, whole: ir.Value) -> ir.Value:
    return part.cast("float64") / whole.nullif(0)


OVERALL: tuple[Activity, ...] = (
    Activity(
        suffix="kinds",
        label=Text("different kinds of activity", "nombre de types d’activité"),
        description=Text(
            "How many different kinds of activity there are; rare kinds together count as one.",
            "Nombre de types d’activité ; les types rares comptent ensemble pour un.",
        ),
        unit="kinds of activity",
        sentence=ALONE,
        needs=lambda scope: (total("new_kind"),),
        over_all=OverAll("variety"),
        per_kind=False,
        more=1,
    ),
    Activity(
        suffix="inbound",
        label=Text("activities of the lead's own", "activités du lead"),
        description=Text("How many activities the lead did.", "Nombre d’activités faites par le lead."),
        unit="own activities",
        sentence=Text("{value} of their own", "{value} de sa propre initiative"),
        needs=lambda scope: (INBOUND,),
        over_all=OverAll("initiative"),
        per_kind=False,
        more=1,
    ),
    Activity(
        suffix="outbound",
        label=Text("contacts by marketing", "contacts par le marketing"),
        description=Text(
            "How many activities marketing did towards the lead.",
            "Nombre d’activités du marketing envers le lead.",
        ),
        unit="times",
        sentence=Text("contacted by marketing {value}", "contact par le marketing : {value}"),
        needs=lambda scope: (OUTBOUND,),
        over_all=OverAll("initiative"),
        per_kind=False,
    ),
    Activity(
        suffix="inbound_share",
        label=Text("share of the lead's own activities", "part des activités du lead"),
        description=Text(
            "Own activities as a share of own and marketing's; missing without any.",
            "Activités du lead parmi les siennes et celles du marketing ; absent s’il n’y en a aucune.",
        ),
        unit="share",
        sentence=Text("{value} of it the lead's own", "dont {value} de la part du lead"),
        needs=lambda scope: (INBOUND, OUTBOUND),
        formula=lambda inbound, outbound: _share(inbound, inbound + outbound),
        over_all=OverAll("initiative"),
        per_kind=False,
        told="never",
    ),
    Activity(
        suffix="last_hour",
        label=Text("hour of the last activity", "heure de la dernière activité"),
        description=Text(
            "Hour of the day, on the clock of the project's zone, of the last activity.",
            "Heure de la dernière activité, dans le fuseau du projet.",
        ),
        unit="hour",
        sentence=Text("last activity {value}", "dernière activité {value}"),
        needs=lambda scope: (packed("max", "hour", 24, lambda rows: rows.hour),),
        formula=lambda last: last % 24,
        over_all=OverAll("time_of_day"),
        per_kind=False,
    ),
    Activity(
        suffix="working_hours_share",
        label=Text("share in working hours", "part aux heures ouvrées"),
        description=Text(
            "Share of the activities on Monday to Friday from 9 to 18 o'clock in the project's zone.",
            "Part des activités du lundi au vendredi de 9 h à 18 h, dans le fuseau du projet.",
        ),
        unit="share",
        sentence=Text("{value} of activities in working hours", "{value} des activités aux heures ouvrées"),
        needs=lambda scope: (WORKING, COUNT),
        formula=_share,
        over_all=OverAll("time_of_day"),
        per_kind=False,
    ),
    Activity(
        suffix="weekend_share",
        label=Text("share at weekends", "part le week-end"),
        description=Text(
            "Share of the activities on Saturday and Sunday in the project's zone.",
            "Part des activités du samedi et du dimanche, dans le fuseau du projet.",
        ),
        unit="share",
        sentence=Text("{value} of activities at weekends", "{value} des activités le week-end"),
        needs=lambda scope: (WEEKEND, COUNT),
        formula=_share,
        over_all=OverAll("time_of_day"),
        per_kind=False,
        told="never",
    ),
)


def _channel(rows: ir.Table, levels: tuple[str, ...]) -> ir.Value:
    return coded(rows.channel, levels)


ENDS: tuple[EndOfPath, ...] = (
    EndOfPath(
        name="first_channel",
        concept="channel",
        label=Text("first channel", "premier canal"),
        description=Text(
            "Channel of the first activity that has one; rare channels are pooled.",
            "Canal de la première activité qui en a un ; les canaux rares sont regroupés.",
        ),
        sentence=Text("first channel: {value}", "premier canal : {value}"),
        end="min",
        levels=lambda vocabulary: vocabulary.channels,
        code=_channel,
    ),
    EndOfPath(
        name="last_channel",
        concept="channel",
        label=Text("last channel", "dernier canal"),
        description=Text(
            "Channel of the last activity that has one; rare channels are pooled.",
            "Canal de la dernière activité qui en a un ; les canaux rares sont regroupés.",
        ),
        sentence=Text("last channel: {value}", "dernier canal : {value}"),
        end="max",
        levels=lambda vocabulary: vocabulary.channels,
        code=_channel,
    ),
    EndOfPath(
        name="last_weekday",
        concept="time_of_day",
        label=Text("weekday of the last activity", "jour de semaine de la dernière activité"),
        description=Text(
            "Weekday, in the project's zone, of the last activity.",
            "Jour de la semaine de la dernière activité, dans le fuseau du projet.",
        ),
        sentence=Text("last activity on a {value}", "dernière activité un {value}"),
        end="max",
        levels=lambda vocabulary: tuple(day.en for day in WEEKDAYS),
        level_words=WEEKDAYS,
        code=lambda rows, levels: rows.weekday,
    ),
)
