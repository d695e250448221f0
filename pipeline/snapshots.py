"""The second station: leads seen at moments while they were open, with what became of them.

A lead is open from the start of an episode until it is known to be closed, handed over to sales,
silent for too long, or a customer; each judged by what was known strictly before the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from pipeline.config import format_duration
from pipeline.source.columns import local
from pipeline.source.dataset import Dataset


def episodes(dataset: Dataset, *, for_scoring: bool = False) -> ir.Table:
    """Return every episode of every lead.

    Columns: lead_id, group_id (the account where people share one, else the lead), episode,
    opened_at, closed_at (null while open), closed_from (the earliest it may have closed: before
    closed_at where only the date is known), outcome ('won', 'lost', 'disqualified', 'excluded' or
    null), handed_at (first activity of sales in the episode, or null), customer_since, won_at (the
    lead's win, whichever episode it ended).

    The first episode opens with the lead; a later one with the lead's first own activity after the
    previous outcome. After a win there are no more: a customer is not a lead.
    """
    ended, tails = _ended(dataset), _unended(dataset)
    opened = _with_opening(dataset, ibis.union(ended, tails))
    which = dataset.config.outcomes.episodes if dataset.config.outcomes else "all"
    if which == "first":
        opened = opened.filter(_.episode == 1)
    # Before episodes that nothing opened are dropped: a win that sales brought back counts too.
    won = opened.closed_at.min(where=opened.outcome == "won")
    opened = opened.mutate(won_at=won.over(ibis.window(group_by="lead_id")))
    opened = dataset.engine.keep("opened", opened.filter(_.opened_at.notnull()))
    if which == "latest" and not for_scoring:  # with hindsight, which scoring does not have
        newest = opened.episode.max().over(ibis.window(group_by="lead_id"))
        opened = opened.filter(_.episode == newest)
    return dataset.engine.keep("episodes", _with_handover(dataset, opened))


def first_lives(dataset: Dataset) -> ir.Table:
    """Return lead_id, group_id and opened_at of each group's first lead, from its creation on.

    Nothing that happened later decides which lead that is.
    """
    leads = dataset.tables.leads.filter(_.created_at.notnull())
    named = leads.select("lead_id", group_id=group_of(leads), opened_at=leads.created_at)
    order = ibis.window(group_by="group_id", order_by=[_.opened_at, _.lead_id])
    return named.mutate(rank=ibis.row_number().over(order)).filter(_["rank"] == 0).drop("rank")


def group_of(leads: ir.Table) -> ir.StringValue:
    """Return what leads are grouped by: the account where people share one, else the lead itself."""
    return ibis.coalesce("account " + leads.account_id, "lead " + leads.lead_id)


def _outcomes(dataset: Dataset) -> ir.Table:
    assert dataset.outcomes is not None, "a table with times has outcomes"
    return dataset.outcomes


def _ended(dataset: Dataset) -> ir.Table:
    """Return the episodes that have an outcome, up to and including a first win."""
    config = dataset.config.outcomes
    reasons = [r.lower() for r in config.exclude_reasons] if config else []
    outcomes = _outcomes(dataset)
    # Of outcomes at one time (dates without a time) the win stands.
    order = [_.closed_at, _.outcome != "won", _.outcome]
    by_lead = ibis.window(group_by="lead_id", order_by=order)
    before = ibis.window(group_by="lead_id", order_by=order, preceding=(None, 1))
    excluded = (_.outcome == "disqualified") & _.reason.lower().isin(reasons)
    numbered = outcomes.mutate(
        episode=ibis.row_number().over(by_lead) + 1,
        previous=_.closed_at.lag().over(by_lead),
        customer=(_.outcome == "won").cast("int8").max().over(before).fill_null(0),
        outcome=ibis.cases((excluded, "excluded"), else_=_.outcome),
    )
    return numbered.filter(_.customer == 0).select(
        "lead_id", "episode", "previous", "closed_at", "closed_from", "outcome"
    )


def _unended(dataset: Dataset) -> ir.Table:
    """Return, for each lead that was never won, the episode after its last outcome."""
    last = (
        _outcomes(dataset)
        .group_by("lead_id")
        .agg(episodes=_.count(), previous=_.closed_at.max(), won=(_.outcome == "won").any())
    )
    leads = dataset.tables.leads.select("lead_id")
    tails = leads.left_join(last, "lead_id").filter(~_.won.fill_null(False))
    return tails.select(
        "lead_id",
        episode=_.episodes.fill_null(0) + 1,
        previous=_.previous,
        closed_at=ibis.null("timestamp(6)"),
        closed_from=ibis.null("timestamp(6)"),
        outcome=ibis.null("string"),
    )


def _with_opening(dataset: Dataset, spans: ir.Table) -> ir.Table:
    leads = dataset.tables.leads.select("lead_id", "account_id", "created_at", "customer_since")
    # Of those that features may see: an outcome in the log opens no new episode.
    own = dataset.tables.activities.filter(_.actor == "lead").select("lead_id", at=_.known_at)
    later = spans.filter(_.previous.notnull())
    again = (
        later.inner_join(own, "lead_id")
        .filter((_.at > _.previous) & (_.closed_at.isnull() | (_.at <= _.closed_at)))
        .group_by(["lead_id", "episode"])
        .agg(reopened_at=_.at.min())
    )
    joined = spans.left_join(again, ["lead_id", "episode"]).inner_join(leads, "lead_id")
    return joined.select(
        "lead_id",
        "episode",
        "closed_at",
        "closed_from",
        "outcome",
        "customer_since",
        group_id=group_of(joined),
        opened_at=ibis.cases((_.previous.isnull(), _.created_at), else_=_.reopened_at),
    )


def _with_handover(dataset: Dataset, opened: ir.Table) -> ir.Table:
    if not dataset.config.snapshots.end_at_handover:
        return opened.mutate(handed_at=ibis.null("timestamp(6)"))
    sales = dataset.activities_all.filter(_.actor == "sales").select("lead_id", at=_.known_at)
    handed = (
        opened.inner_join(sales, "lead_id")
        .filter(((_.episode == 1) | (_.at >= _.opened_at)) & (_.closed_at.isnull() | (_.at <= _.closed_at)))
        .group_by(["lead_id", "episode"])
        .agg(handed_at=_.at.min())
    )
    return opened.left_join(handed, ["lead_id", "episode"]).select(*opened.columns, "handed_at")


def at_ages(dataset: Dataset, spans: ir.Table, ages: Sequence[timedelta]) -> ir.Table:
    """Return each episode at each age, with the age's name, whether or not it was still open."""
    table = ibis.memtable(
        {"age": [format_duration(a) for a in ages], "seconds": [int(a.total_seconds()) for a in ages]}
    )
    seen = spans.cross_join(table)
    return seen.mutate(as_of=(_.opened_at + _.seconds.as_interval("s")).cast("timestamp(6)")).drop("seconds")


def at_dates(dataset: Dataset, spans: ir.Table, dates: Sequence[datetime]) -> ir.Table:
    """Return each episode at each date after it began, whether or not it was still open."""
    schema = {"as_of": "timestamp(6)"}
    table = ibis.memtable(pd.DataFrame({"as_of": pd.to_datetime(list(dates))}), schema=schema)
    return spans.cross_join(table).filter(_.opened_at < _.as_of).mutate(age=ibis.literal("calendar"))


def while_open(dataset: Dataset, seen: ir.Table, *, for_scoring: bool = False) -> ir.Table:
    """Keep the snapshots of leads that were open, by what was known strictly before each.

    ``for_scoring`` keeps those that sales had taken over too: they are open, but not scored. To learn
    from, snapshots are kept neither of leads that turned out to be tests, spam or duplicates, nor on
    the day of an outcome that has a date but no time: on it, the lead may have been won already.
    """
    is_open = (_.closed_at.isnull() | (_.closed_at >= _.as_of)) & (
        _.customer_since.isnull() | (_.customer_since >= _.as_of)
    )
    if not for_scoring:
        is_open &= _.handed_at.isnull() | (_.handed_at >= _.as_of)
        # What follows is hindsight: it may choose what to learn from, never whom to score.
        is_open &= (_.outcome != "excluded") | _.outcome.isnull()
        is_open &= _.closed_from.isnull() | (_.closed_from >= _.as_of)
    kept = seen.filter(is_open)
    stale_after = dataset.config.outcomes.stale_after if dataset.config.outcomes else None
    return _not_stale(dataset, kept, stale_after) if stale_after else kept


def _not_stale(dataset: Dataset, seen: ir.Table, stale_after: timedelta) -> ir.Table:
    """Drop snapshots of leads that had been silent for longer than `stale_after`."""
    life = dataset.activities_all.filter(_.actor != "marketing").select("lead_id", at=_.known_at)
    last = (
        seen.inner_join(life, "lead_id")
        .filter(_.at < _.as_of)
        .group_by(["lead_id", "episode", "as_of"])
        .agg(last_at=_.at.max())
    )
    joined = seen.left_join(last, ["lead_id", "episode", "as_of"]).select(*seen.columns, "last_at")
    since = ibis.greatest(_.opened_at, ibis.coalesce(_.last_at, _.opened_at))
    limit = ibis.interval(seconds=int(stale_after.total_seconds()))
    return joined.filter(since + limit >= _.as_of).drop("last_at")


def matured(dataset: Dataset, seen: ir.Table) -> ir.Table:
    """Keep the snapshots whose horizon lies within what was observed, and label them.

    The label is 1 for a win in ``[as_of, as_of + horizon)`` and 0 otherwise, whatever else is
    already known: letting fast outcomes in early would inflate the rate.
    """
    horizon = ibis.interval(seconds=int(dataset.config.snapshots.horizon.total_seconds()))
    won = (_.won_at >= _.as_of) & (_.won_at < _.as_of + horizon)
    whole = seen.filter(_.as_of + horizon <= ibis.literal(dataset.observed_until, "timestamp(6)"))
    return whole.mutate(label=won.fill_null(False).cast("int8"))


def numbered(dataset: Dataset, seen: ir.Table) -> ir.Table:
    """Give snapshots their number, in the order of the key ``(lead_id, as_of)``, and keep them."""
    zone = dataset.config.project.timezone
    order = [_.lead_id, _.as_of, _.age] if "age" in seen.columns else [_.lead_id, _.as_of]
    number = ibis.row_number().over(ibis.window(order_by=order)).cast("int64")
    named = seen.mutate(snapshot=number, as_of_local=local(seen.as_of, zone))
    return dataset.engine.keep("snapshots", named)


def keys(snapshots: ir.Table) -> pd.DataFrame:
    """Return snapshots in memory: the index is the number, the order that of the key."""
    columns = ["snapshot", "lead_id", "group_id", "as_of", "age", "opened_at", "label"]
    present = [c for c in columns if c in snapshots.columns]
    return snapshots.select(*present).order_by("snapshot").to_pandas().set_index("snapshot")
