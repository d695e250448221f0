"""One lead a person: duplicates found, merged into the earliest, and people who came back kept together."""

from __future__ import annotations

from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from pipeline.hygiene.account import Measure, not_possible, switched_off
from pipeline.hygiene.duplicates import NO_KEYS, Found, assign, find_duplicates
from pipeline.hygiene.identity import Identities
from pipeline.hygiene.merging import merged_labels, merged_leads, merged_outcomes, moved, moved_versions
from pipeline.hygiene.records import Records
from pipeline.source.leads import Reading

_MERGED = {"lead_id": "string", "survivor_id": "string", "created_at": "timestamp(6)"}


def one_lead_a_person(
    reading: Reading, records: Records, who: Identities, lives: ir.Table
) -> tuple[Records, Found, Measure]:
    """Return the tables with duplicates merged, who was one person, and the measure."""
    nobody = Found(*assign(NO_KEYS), placeholders=0)
    if not reading.config.hygiene.duplicates:
        return records, nobody, switched_off("duplicates", "duplicates = false under [hygiene]")
    if not (who.has_email or (who.has_name and who.has_company)):
        why = "The leads have no column with an e-mail address, nor both a name and a company."
        return records, nobody, not_possible("duplicates", why)
    there = lives.semi_join(records.leads, "lead_id")
    if records.outcomes is not None:  # without a time a lead has no place among the others
        there = there.filter(_.created_at.notnull())
    found = find_duplicates(reading.engine, who, there)
    moved_activities = 0
    if len(found.merged):
        merged = reading.engine.keep("merged", ibis.memtable(found.merged, schema=_MERGED))
        moved_activities = int(records.activities.semi_join(merged, "lead_id").count().execute())
        records = _merge(reading, records, merged, found.merged)
    records = _kept_together(reading, records, found.returned)
    return records, found, _told(found, moved_activities)


def _told(found: Found, activities: int) -> Measure:
    n, back, odd = len(found.merged), len(found.returned), found.placeholders
    sentences = [f"{n + back:,} leads are of a person who was a lead before; {n:,} were merged into it."]
    if back:
        sentences.append(f"{back:,} came back after that lead was closed and have a lead of their own.")
    if odd:
        sentences.append(f"{odd:,} addresses or names that too many leads share were not taken for a person.")
    return Measure(
        "duplicates", True, n + back, "merged into the earliest lead", leads=n, activities=activities,
        words=" ".join(sentences), details={"came_back": back, "shared_by_too_many": odd},
    )  # fmt: skip


def _merge(reading: Reading, records: Records, merged: ir.Table, pairs: pd.DataFrame) -> Records:
    keep = reading.engine.keep
    outcomes, labels, stages = records.outcomes, records.labels, records.stages
    if outcomes is not None:
        outcomes = _outcomes(reading, records.leads, outcomes, pairs)
    return Records(
        leads=keep("leads", merged_leads(records.leads, merged)),
        activities=keep("activities", moved(records.activities, merged, ("known_at",))),
        versions=tuple(keep("versions", moved_versions(v, merged)) for v in records.versions),
        outcomes=outcomes,
        stages=None if stages is None else keep("stages", moved(stages, merged, ("at",))),
        labels=None if labels is None else keep("labels", merged_labels(labels, merged)),
    )


def _outcomes(reading: Reading, leads: ir.Table, outcomes: ir.Table, pairs: pd.DataFrame) -> ir.Table:
    survivors = pairs["survivor_id"].drop_duplicates()
    people = pd.concat(
        [pairs[["lead_id", "survivor_id"]], pd.DataFrame({"lead_id": survivors, "survivor_id": survivors})],
        ignore_index=True,
    )
    ids = reading.engine.keep("people", ibis.memtable(people[["lead_id"]], schema={"lead_id": "string"}))
    created = leads.semi_join(ids, "lead_id").select("lead_id", "created_at").to_pandas()
    config = reading.config.outcomes
    reasons = [r.lower() for r in config.exclude_reasons] if config else []
    own = outcomes.semi_join(ids, "lead_id").to_pandas()
    theirs = merged_outcomes(own, people.merge(created, on="lead_id"), reasons)
    others = outcomes.anti_join(ids, "lead_id")
    return reading.engine.keep(
        "outcomes", ibis.union(others, ibis.memtable(theirs, schema=outcomes.schema()))
    )


def _kept_together(reading: Reading, records: Records, returned: pd.DataFrame) -> Records:
    """Give a person who came back one account with the earlier lead: both belong in one window.

    Accounts only group leads; no feature sees them.
    """
    if returned.empty:
        return records
    ids = ibis.memtable(
        pd.DataFrame({"lead_id": pd.unique(returned.to_numpy().ravel())}), schema={"lead_id": "string"}
    )
    rows = records.leads.semi_join(ids, "lead_id").select("lead_id", "account_id").to_pandas()
    account = dict(
        zip(
            rows["lead_id"],
            rows["account_id"].astype(object).where(rows["account_id"].notna(), None),
            strict=True,
        )
    )
    for lead, earlier in returned.itertuples(index=False):
        shared = account[earlier] or account[lead] or f"person of lead {earlier}"
        account[lead], account[earlier] = account[lead] or shared, account[earlier] or shared
    table = pd.DataFrame({"person": list(account), "shared": list(account.values())})
    shared = ibis.memtable(table, schema={"person": "string", "shared": "string"})
    joined = records.leads.left_join(shared, records.leads.lead_id == shared.person)
    joined = joined.mutate(account_id=ibis.coalesce(joined.account_id, joined.shared))
    leads = reading.engine.keep("leads", joined.select(*records.leads.columns))
    return replace(records, leads=leads)
