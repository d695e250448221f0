"""Engagement: what the lead did, how often and how long ago.

Every declaration here is one family of columns: for each kind of activity, over all kinds, or both,
and for each window or half-life where its name holds ``{days}``.
"""

from __future__ import annotations

from collections.abc import Callable

import ibis.expr.types as ir

from features.activity import Activity, EndOfPath
from features.aggregates import (
    COUNT,
    INBOUND,
    OUTBOUND,
    VALUE,
    VALUE_UNITS,
    WEEKEND,
    WEIGHT_UNITS,
    WORKING,
    decayed,
    packed,
    within,
)
from features.declare import greatest, least, total
from features.past import SECONDS_A_DAY
from features.vocabulary import coded
from features.wording import WEEKDAYS


def _scaled(units: float) -> Callable[[ir.Value], ir.Value]:
    return lambda first, *_: first.cast("float64") / units


def _share(part: ir.Value, whole: ir.Value) -> ir.Value:
    return part.cast("float64") / whole.nullif(0)


def _mean_gap(earliest: ir.Value, latest: ir.Value, count: ir.Value) -> ir.Value:
    return (earliest - latest) / SECONDS_A_DAY / (count - 1).nullif(0)


BY_KIND: tuple[Activity, ...] = (
    Activity(
        suffix="count_{days}d",
        label="{what}: times in the last {days} days",
        description="How often it happened in the {days} days before the snapshot.",
        unit="times",
        sentence="{label} {value} in {window}",
        needs=lambda scope: (within(scope, scope.days),),
        concept="frequency",
        days="windows_days",
        more=1,
        told="narrowest",
    ),
    Activity(
        suffix="count",
        label="{what}: times ever",
        description="How often it happened (over all: how many activities there are).",
        unit="times",
        sentence="{label} {value}",
        needs=lambda scope: (COUNT,),
        concept="frequency",
        more=1,
        told="narrowest",
    ),
    Activity(
        suffix="last_days",
        label="{what}: days since the last",
        description="How long ago it happened last; missing if never.",
        unit="days ago",
        sentence="last {value}",
        overall_sentence="last active {value}",
        needs=lambda scope: (least("age"),),
        formula=_scaled(SECONDS_A_DAY),
        concept="recency",
        more=-1,
    ),
    Activity(
        suffix="first_days",
        label="{what}: days since the first",
        description="How long ago it happened first; missing if never.",
        unit="days ago",
        sentence="first {value}",
        needs=lambda scope: (greatest("age"),),
        formula=_scaled(SECONDS_A_DAY),
        concept="recency",
        told="never",
    ),
    Activity(
        suffix="active_days",
        label="{what}: different days",
        description="On how many calendar days of the project's zone it happened.",
        unit="calendar days",
        sentence="{label} on {value}",
        needs=lambda scope: (total(scope.column("new_day")),),
        concept="frequency",
        more=1,
        told="never",
    ),
    Activity(
        suffix="decayed_{days}d",
        label="{what}: times, fading with a half-life of {days} days",
        description="Times weighted by how recent they are: one {days} days ago counts half.",
        unit="weighted times",
        sentence="{label} {value}, weighted by how recent",
        needs=lambda scope: (decayed(scope.days),),
        formula=_scaled(WEIGHT_UNITS),
        concept="frequency",
        days="half_lives_days",
        more=1,
        told="never",
    ),
    Activity(
        suffix="trend",
        label="{what}: last week against the week before",
        description="Times in the last 7 days minus times in the 7 days before those.",
        unit="times",
        sentence="{label} {value} than in the week before",
        needs=lambda scope: (within(scope, 7), within(scope, 14, since=7)),
        formula=lambda last, before: last - before,
        concept="frequency",
        told="never",
    ),
    Activity(
        suffix="longest_gap_days",
        label="{what}: longest pause",
        description="Longest time between two in a row; missing with fewer than two.",
        unit="days",
        sentence="longest pause between two {value}",
        needs=lambda scope: (greatest("kind_gap" if scope.of_kind else "gap"),),
        formula=_scaled(SECONDS_A_DAY),
        concept="rhythm",
        told="never",
    ),
    Activity(
        suffix="mean_gap_days",
        label="{what}: mean pause",
        description="Mean time between two in a row; missing with fewer than two.",
        unit="days",
        sentence="{value} between two on average",
        needs=lambda scope: (greatest("age"), least("age"), COUNT),
        formula=_mean_gap,
        concept="rhythm",
        told="never",
    ),
    Activity(
        suffix="sessions",
        label="{what}: sessions",
        description="In how many sessions it happened; a long pause (30 minutes) starts a new one.",
        unit="sessions",
        sentence="{label} in {value}",
        needs=lambda scope: (total(scope.column("new_session")),),
        concept="frequency",
        more=1,
        told="never",
    ),
    Activity(
        suffix="assets",
        label="{what}: different assets",
        description="How many different pages, offers or campaigns it was about.",
        unit="assets",
        sentence="{value}",
        needs=lambda scope: (total(scope.column("new_asset")),),
        concept="variety",
        varying="assets",
        more=1,
    ),
    Activity(
        suffix="channels",
        label="{what}: different channels",
        description="Through how many different channels it happened.",
        unit="channels",
        sentence="{value}",
        needs=lambda scope: (total(scope.column("new_channel")),),
        concept="variety",
        varying="channels",
        more=1,
    ),
    Activity(
        suffix="value",
        label="{what}: sum of values",
        description="Sum of the activities' values, to a thousandth.",
        unit="value",
        sentence="worth {value} in all",
        needs=lambda scope: (VALUE,),
        formula=_scaled(VALUE_UNITS),
        concept="value",
        varying="values",
        told="never",
    ),
)

OVERALL: tuple[Activity, ...] = (
    Activity(
        suffix="kinds",
        label="different kinds of activity",
        description="How many different kinds of activity there are; rare kinds together count as one.",
        unit="kinds of activity",
        sentence="{value}",
        needs=lambda scope: (total("new_kind"),),
        concept="variety",
        per_kind=False,
        more=1,
    ),
    Activity(
        suffix="inbound",
        label="activities of the lead's own",
        description="How many activities the lead did.",
        unit="times",
        sentence="active {value} on their own",
        needs=lambda scope: (INBOUND,),
        concept="initiative",
        per_kind=False,
        more=1,
    ),
    Activity(
        suffix="outbound",
        label="contacts by marketing",
        description="How many activities marketing did towards the lead.",
        unit="times",
        sentence="contacted by marketing {value}",
        needs=lambda scope: (OUTBOUND,),
        concept="initiative",
        per_kind=False,
    ),
    Activity(
        suffix="inbound_share",
        label="share of the lead's own activities",
        description="Own activities as a share of own and marketing's; missing without any.",
        unit="share",
        sentence="{value} of it the lead's own",
        needs=lambda scope: (INBOUND, OUTBOUND),
        formula=lambda inbound, outbound: _share(inbound, inbound + outbound),
        concept="initiative",
        per_kind=False,
        told="never",
    ),
    Activity(
        suffix="last_hour",
        label="hour of the last activity",
        description="Hour of the day, on the clock of the project's zone, of the last activity.",
        unit="hour",
        sentence="last active at {value}",
        needs=lambda scope: (packed("max", "hour", 24, lambda rows: rows.hour),),
        formula=lambda last: last % 24,
        concept="time_of_day",
        per_kind=False,
    ),
    Activity(
        suffix="working_hours_share",
        label="share in working hours",
        description="Share of the activities on Monday to Friday from 9 to 18 o'clock in the project's zone.",
        unit="share",
        sentence="{value} of all in working hours",
        needs=lambda scope: (WORKING, COUNT),
        formula=_share,
        concept="time_of_day",
        per_kind=False,
    ),
    Activity(
        suffix="weekend_share",
        label="share at weekends",
        description="Share of the activities on Saturday and Sunday in the project's zone.",
        unit="share",
        sentence="{value} of all at weekends",
        needs=lambda scope: (WEEKEND, COUNT),
        formula=_share,
        concept="time_of_day",
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
        label="first channel",
        description="Channel of the first activity that has one; rare channels are pooled.",
        sentence="came through {value}",
        end="min",
        levels=lambda vocabulary: vocabulary.channels,
        code=_channel,
    ),
    EndOfPath(
        name="last_channel",
        concept="channel",
        label="last channel",
        description="Channel of the last activity that has one; rare channels are pooled.",
        sentence="last seen through {value}",
        end="max",
        levels=lambda vocabulary: vocabulary.channels,
        code=_channel,
    ),
    EndOfPath(
        name="last_weekday",
        concept="time_of_day",
        label="weekday of the last activity",
        description="Weekday, in the project's zone, of the last activity.",
        sentence="last active on a {value}",
        end="max",
        levels=lambda vocabulary: WEEKDAYS,
        code=lambda rows, levels: rows.weekday,
    ),
)
