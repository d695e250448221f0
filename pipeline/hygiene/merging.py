"""Leads of one person become one lead: everything dated goes to the survivor, with its own time.

A duplicate's activities, versions and outcomes say nothing of the survivor until the duplicate exists,
so none is known before its creation, however long ago it happened. Its attributes without times stay
behind: filling the survivor's empty cells from a later lead would be knowledge from the future.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

_Life = tuple[pd.Timestamp, pd.Timestamp]
# Excluded reasons that say something of the person, not of the record: they hold for the survivor too.
OF_THE_PERSON = ("test", "spam")
# What a real end says beside its time, and the end of a mere record does not.
_OF_THE_END = ("outcome", "reason", "comment")


def moved(table: ir.Table, merged: ir.Table, times: tuple[str, ...]) -> ir.Table:
    """Give the rows of duplicates to their survivors, no time in `times` before the duplicate's creation.

    `merged` has lead_id, survivor_id and created_at.
    """
    to = merged.select(duplicate=_.lead_id, survivor_id=_.survivor_id, exists_from=_.created_at)
    joined = table.left_join(to, table.lead_id == to.duplicate)
    changed = {t: ibis.coalesce(ibis.greatest(joined[t], joined.exists_from), joined[t]) for t in times}
    return joined.mutate(lead_id=ibis.coalesce(joined.survivor_id, joined.lead_id), **changed).select(
        *table.columns
    )


def moved_versions(versions: ir.Table, merged: ir.Table) -> ir.Table:
    """Give the versions of duplicates to their survivors.

    A cell that is empty in a duplicate's version keeps what was known of the person: a second form
    that did not ask for the country says nothing about it.
    """
    names = [c for c in versions.columns if c not in ("lead_id", "known_at")]
    touched = ibis.union(merged.select(lead_id=_.survivor_id), merged.select("lead_id")).distinct()
    others = versions.anti_join(touched, "lead_id")
    theirs = versions.semi_join(touched, "lead_id")
    theirs = theirs.mutate(foreign=theirs.lead_id.isin(merged.lead_id))
    gathered = moved(theirs, merged, ("known_at",))
    so_far = ibis.window(group_by="lead_id", order_by=["known_at", "foreign"], preceding=None, following=0)
    # A run begins with a filled cell and goes on through the empty ones after it. (Ibis compiles `last`
    # over a window without IGNORE NULLS, whatever it is told.)
    runs = gathered.mutate(**{f"run of {n}": gathered[n].count().over(so_far) for n in names})
    filled = {n: runs[n].max().over(ibis.window(group_by=["lead_id", f"run of {n}"])) for n in names}
    values = {n: ibis.ifelse(runs.foreign, filled[n], runs[n]) for n in names}
    kept = runs.mutate(**values).select(*versions.columns)
    # In one order, whatever the engine's threads do: two runs write the same.
    return ibis.union(others, kept.cast(versions.schema()).order_by(versions.columns))


def merged_leads(leads: ir.Table, merged: ir.Table) -> ir.Table:
    """Leave out duplicates; a survivor is a customer from when any of its records was, once it existed."""
    named = merged.inner_join(leads.select("lead_id", "customer_since"), "lead_id")
    since = named.group_by("survivor_id").agg(
        also_since=ibis.greatest(_.customer_since, _.created_at).min(where=_.customer_since.notnull())
    )
    kept = leads.anti_join(merged, "lead_id")
    joined = kept.left_join(since, kept.lead_id == since.survivor_id)
    first = ibis.least(joined.customer_since, joined.also_since)
    first = ibis.coalesce(first, joined.customer_since, joined.also_since)
    return joined.mutate(customer_since=first).select(*leads.columns)


def merged_outcomes(outcomes: pd.DataFrame, records: pd.DataFrame, reasons: list[str]) -> pd.DataFrame:
    """Return the outcomes of people from those of their records.

    A win is the person's win. A person is closed otherwise only when the last open record is: as long
    as one is open, so is the person. A record closed only because it is a duplicate ends that
    record and says nothing of the person; if it is the last one, the latest real outcome holds.
    Each outcome depends on what was known at its time alone.

    Parameters
    ----------
    outcomes
        lead_id, outcome, closed_at, closed_from, amount, reason, comment, of the records.
    records
        lead_id, survivor_id (its own id for a survivor) and created_at, all records of merged people.
    reasons
        Reasons, in lower case, for which a disqualified lead is left out.

    Returns
    -------
    The outcomes with the survivor's id, in the columns of `outcomes`.
    """
    survivor_of = dict(zip(records["lead_id"], records["survivor_id"], strict=True))
    first_end = outcomes.groupby("lead_id")["closed_at"].min().to_dict()
    lives: dict[str, list[_Life]] = defaultdict(list)
    for lead, survivor, created in records[["lead_id", "survivor_id", "created_at"]].itertuples(index=False):
        lives[survivor].append((created, first_end.get(lead, pd.NaT)))
    theirs: dict[str, list[dict[Hashable, Any]]] = defaultdict(list)
    for row in outcomes.sort_values(["closed_at", "lead_id"]).to_dict("records"):
        theirs[survivor_of[row["lead_id"]]].append(row)
    about_record = set(reasons) - set(OF_THE_PERSON)
    kept = [
        {**row, "lead_id": survivor}
        for survivor, rows in theirs.items()
        for row in _of_person(rows, lives[survivor], about_record)
    ]
    return pd.DataFrame(kept, columns=outcomes.columns).astype(outcomes.dtypes.to_dict())


def _of_person(
    outcomes: list[dict[Hashable, Any]], lives: list[_Life], about_record: set[str]
) -> Iterator[dict[Hashable, Any]]:
    """Yield a person's outcomes; `lives` are creation and first outcome (or NaT) of all its records."""
    real: dict[Hashable, Any] | None = None
    for row in outcomes:
        if row["outcome"] == "won":
            yield row
            continue
        only_record = row["outcome"] == "disqualified" and str(row["reason"]).lower() in about_record
        if not only_record:
            real = row
        # Compared with NaT everything is false: a record without an end is open.
        if not any(created <= row["closed_at"] and not end <= row["closed_at"] for created, end in lives):
            yield {**row, **{name: real[name] for name in _OF_THE_END if name in real}} if real else row


def merged_labels(labels: ir.Table, merged: ir.Table) -> ir.Table:
    """Return the labels of a flat table: won if any record was, else open if any is."""
    to = merged.select(duplicate=_.lead_id, survivor_id=_.survivor_id)
    joined = labels.left_join(to, labels.lead_id == to.duplicate)
    gathered = joined.mutate(lead_id=ibis.coalesce(joined.survivor_id, joined.lead_id))
    one = gathered.group_by("lead_id").agg(
        highest=_.label.max(), some_open=_.open.any(), position=_.position.min()
    )
    won = (one.highest == 1).fill_null(False)
    label = ibis.cases((~won & one.some_open, ibis.null("int8")), else_=one.highest)
    return one.select("lead_id", label=label, open=one.some_open & ~won, position="position")
