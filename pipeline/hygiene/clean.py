"""Hygiene as a whole: the canonical tables without what is no lead's, and an account of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from pipeline.hygiene import suspects
from pipeline.hygiene.account import (
    CUSTOMER,
    DUPLICATE,
    MEASURES,
    REASONS,
    REMOVED,
    SURVIVORS,
    Cleaned,
    Measure,
    no_leads,
    not_possible,
    switched_off,
)
from pipeline.hygiene.actions import real_activities
from pipeline.hygiene.identity import Identities, read_identities
from pipeline.hygiene.persons import one_lead_a_person
from pipeline.hygiene.records import Records
from pipeline.source.engine import Engine, Raw
from pipeline.source.leads import Reading

_MISTAKES = "Not looked for: the mistakes in the data come first."


def clean(reading: Reading, raw: Raw, records: Records) -> tuple[Records, Cleaned]:
    """Return the tables without what hygiene leaves out, merges or removes, and the account of it.

    Leads are left out first, then machines' and impossible activities removed, then leads of one
    person merged: a person's two leads get every mail twice, which is no repetition.

    Raises
    ------
    DataError
        A column that ``[hygiene]`` names is not there.
    """
    if reading.findings.errors:
        # Nothing is trained or scored from these tables, and ids may be null or repeated.
        return records, Cleaned(tuple(not_possible(m, _MISTAKES, "not looked for") for m in MEASURES))
    who = read_identities(reading, raw)
    lives = _lives(records)
    of_leads, reasons = _suspects(reading, records, who)
    records = _without(reading.engine, records, reasons)
    records, of_activities, bots = real_activities(reading, records)
    records, people, of_people = one_lead_a_person(reading, records, who, lives)
    merged = people.merged[["lead_id", "survivor_id"]]
    told = {m.name: m for m in (*of_leads, *of_activities, of_people)}
    gone = pd.concat([reasons, merged.assign(reason=DUPLICATE)], ignore_index=True)
    measures = tuple(told[name] for name in MEASURES)
    return records, Cleaned(
        measures=measures,
        removed=_removed(gone, lives),
        customers=_customers(merged, lives),
        came_back=people.returned,
        own_ends=_own_ends(merged, lives),
        bot_leads=bots,
    )


def _lives(records: Records) -> ir.Table:
    """Return what each lead's own record says of it: times, won, position and is_open."""
    never = ibis.null("timestamp(6)")
    leads = records.leads.select("lead_id", "created_at", "customer_since")
    if records.outcomes is not None:
        ends = records.outcomes.group_by("lead_id").agg(
            closed_at=_.closed_at.min(), won_at=_.closed_at.min(where=_.outcome == "won")
        )
        lives = leads.left_join(ends, "lead_id").select(*leads.columns, "closed_at", "won_at")
        lives = lives.mutate(
            position=ibis.null("float64"), is_open=ibis.null("boolean"), won=_.won_at.notnull()
        )
    elif records.labels is not None:
        own = records.labels.select(
            "lead_id", "position", is_open=_.open, won=(_.label == 1).fill_null(False)
        )
        lives = leads.left_join(own, "lead_id").select(*leads.columns, "position", "is_open", "won")
        lives = lives.mutate(closed_at=never, won_at=never)
    else:  # leads of a flat table given to be scored
        lives = leads.mutate(
            closed_at=never, won_at=never, position=ibis.null("float64"), is_open=ibis.literal(True),
            won=ibis.literal(False),
        )  # fmt: skip
    return lives


def _suspects(reading: Reading, records: Records, who: Identities) -> tuple[list[Measure], pd.DataFrame]:
    """Return the measures that leave out leads, and lead_id and reason of those left out."""
    hygiene, config = reading.config.hygiene, reading.config.leads
    has_domain = who.has_email or config.email_domain is not None
    leads = records.leads.select("lead_id", "email_domain")
    if who.has_email:
        both = leads.left_join(who.table, "lead_id", rname="{name} of person")
        domain = ibis.coalesce(both.email_domain, both.domain)
        leads = reading.engine.keep("addresses", both.select("lead_id", email_domain=domain))
    chosen: dict[str, list[str]] = {}
    measures = [
        _tests(who, on=hygiene.tests, chosen=chosen),
        _employees(leads, hygiene.own_domains, has_domain, chosen),
        *_classes(reading, leads, has_domain, chosen),
    ]
    parts = [pd.DataFrame({"lead_id": chosen[m], "reason": REASONS[m]}) for m in REASONS if m in chosen]
    reasons = pd.concat(parts, ignore_index=True) if parts else no_leads(REMOVED)[["lead_id", "reason"]]
    return measures, reasons.astype("str").drop_duplicates("lead_id", ignore_index=True)


def _tests(who: Identities, *, on: bool, chosen: dict[str, list[str]]) -> Measure:
    if not on:
        return switched_off("tests", "tests = false under [hygiene]")
    if not (who.has_email or who.has_name or who.has_company):
        return not_possible("tests", "The leads have no column with an e-mail address, a name or a company.")
    ids = chosen["tests"] = suspects.tests(who).lead_id.execute().tolist()
    words = (
        f"{_leads(len(ids))} entered to try something out, left out." if ids else "No test lead was found."
    )
    return Measure("tests", True, len(ids), "left out", leads=len(ids), words=words)


def _employees(leads: ir.Table, own: list[str], has_domain: bool, chosen: dict[str, list[str]]) -> Measure:
    if not own:
        return switched_off("employees", "own_domains under [hygiene] names no domain")
    if not has_domain:
        return not_possible("employees", "The leads have no column with an e-mail address.")
    ids = chosen["employees"] = suspects.employees(leads, own).lead_id.execute().tolist()
    words = f"{_leads(len(ids))} of the company itself, left out." if ids else "No employee was found."
    return Measure("employees", True, len(ids), "left out", leads=len(ids), words=words)


def _classes(
    reading: Reading, leads: ir.Table, has_domain: bool, chosen: dict[str, list[str]]
) -> list[Measure]:
    """Count the classes of addresses, and choose the leads of those to be left out."""
    names = ("disposable", "student", "personal")
    if not has_domain:
        return [not_possible(n, "The leads have no column with an e-mail address.") for n in names]
    config = reading.config
    classes = ibis.memtable(
        suspects.address_classes(leads), schema={"email_domain": "string", "email_class": "string"}
    )
    of_class = reading.engine.keep("address classes", leads.inner_join(classes, "email_domain"))
    counts = of_class.group_by("email_class").agg(n=_.count()).to_pandas().set_index("email_class")["n"]
    a_feature = config.leads.email is not None or config.leads.email_domain is not None
    kept = "kept as a feature" if a_feature else "kept"
    measures = []
    for name in names:
        n = int(counts.get(name, 0))
        out = name in config.hygiene.leave_out
        if out:
            chosen[name] = of_class.filter(_.email_class == name).lead_id.execute().tolist()
        done = "left out" if out else kept
        words = f"{_leads(n)} with a {name} e-mail address, {done}."
        measures.append(Measure(name, True, n, done, leads=n if out else 0, words=words))
    return measures


def _without(engine: Engine, records: Records, reasons: pd.DataFrame) -> Records:
    """Leave out leads with all that belongs to them."""
    if reasons.empty:
        return records
    out = engine.keep("left out", ibis.memtable(reasons[["lead_id"]], schema={"lead_id": "string"}))

    def kept(name: str, table: ir.Table | None) -> ir.Table | None:
        return None if table is None else engine.keep(name, table.anti_join(out, "lead_id"))

    return _with_each(records, kept)


def _with_each(records: Records, change: Callable[[str, Any], Any]) -> Records:
    return Records(
        leads=change("leads", records.leads),
        activities=change("activities", records.activities),
        versions=tuple(change("versions", v) for v in records.versions),
        outcomes=change("outcomes", records.outcomes),
        stages=change("stages", records.stages),
        labels=change("labels", records.labels),
    )


def _removed(gone: pd.DataFrame, lives: ir.Table) -> pd.DataFrame:
    """Return the table of removed leads (see `Cleaned`), in the order of their ids."""
    if gone.empty:
        return no_leads(REMOVED)
    found = gone.merge(_of(lives, gone["lead_id"]), on="lead_id", how="left").astype(REMOVED)
    return found[list(REMOVED)].sort_values("lead_id", ignore_index=True)


def _customers(merged: pd.DataFrame, lives: ir.Table) -> pd.DataFrame:
    """Return the survivors of whom a duplicate was won: their own records may be open still."""
    if merged.empty:
        return no_leads(SURVIVORS)
    theirs = merged.merge(_of(lives, merged["lead_id"]), on="lead_id")
    theirs["customer_at"] = theirs[["won_at", "customer_since"]].min(axis=1)
    won = theirs[theirs["won"] | theirs["customer_at"].notna()]
    first = won.groupby("survivor_id")["customer_at"].min().rename_axis("lead_id").reset_index()
    found = first.merge(_of(lives, first["lead_id"]), on="lead_id").assign(reason=CUSTOMER)
    return found[list(SURVIVORS)].astype(SURVIVORS)


def _own_ends(merged: pd.DataFrame, lives: ir.Table) -> pd.DataFrame:
    """Return lead_id and closed_at of the survivors whose own record was closed."""
    if merged.empty:
        return pd.DataFrame(columns=["lead_id", "closed_at"])
    theirs = _of(lives, merged["survivor_id"].drop_duplicates())
    return theirs.loc[theirs["closed_at"].notna(), ["lead_id", "closed_at"]]


def _of(lives: ir.Table, ids: pd.Series) -> pd.DataFrame:
    wanted = ibis.memtable(pd.DataFrame({"lead_id": ids}), schema={"lead_id": "string"})
    return lives.semi_join(wanted, "lead_id").to_pandas()


def _leads(n: int) -> str:
    return f"{n:,} {'lead' if n == 1 else 'leads'}"
