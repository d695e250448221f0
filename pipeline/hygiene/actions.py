"""Activities that are no lead's doing: what a machine clicked, and what cannot have happened."""

from __future__ import annotations

from dataclasses import replace

import ibis.expr.types as ir
from ibis import _

from pipeline.hygiene import impossible, machines
from pipeline.hygiene.account import Measure, not_possible, switched_off
from pipeline.hygiene.machines import MailKinds
from pipeline.hygiene.records import Records
from pipeline.source.engine import Engine
from pipeline.source.leads import Reading


def real_activities(reading: Reading, records: Records) -> tuple[Records, list[Measure], tuple[str, ...]]:
    """Return the tables without such activities, the measures, and the leads whose mails a machine clicked.

    Machines come first: several clicks in one second look like one click imported several times.
    """
    config, engine = reading.config.hygiene, reading.engine
    if records.outcomes is None or not reading.config.activities:
        return records, [_nothing("bots", config.bots), _nothing("impossible", config.impossible)], ()
    kinds = machines.mail_kinds(records.activities, config)
    activities, bots, leads = _human(engine, records.activities, kinds, on=config.bots)
    activities, odd = _possible(engine, activities, kinds, on=config.impossible)
    return replace(records, activities=activities), [bots, odd], leads


def _nothing(name: str, on: bool) -> Measure:
    if on:
        return not_possible(name, "There are no activities.", "not possible: no activities")
    return switched_off(name, f"{name} = false under [hygiene]")


def _human(
    engine: Engine, activities: ir.Table, kinds: MailKinds, *, on: bool
) -> tuple[ir.Table, Measure, tuple[str, ...]]:
    if not on:
        return activities, switched_off("bots", "bots = false under [hygiene]"), ()
    clicks = activities.filter(_.kind.isin(kinds.clicked)) if kinds.clicked else None
    if clicks is None:
        why = "No kind of activity is a click in a mail; name yours in mail_clicked under [hygiene]."
        return activities, not_possible("bots", why, "not possible: no such kind"), ()
    if not machines.to_the_second(clicks):
        why = "The times of clicks have no seconds, by which a machine is told from a person."
        return activities, not_possible("bots", why, "not possible: times without seconds"), ()
    moments = machines.machine_moments(engine, activities, kinds)
    leads = tuple(moments.lead_id.as_table().distinct().order_by("lead_id").lead_id.execute())
    if not leads:
        return activities, Measure("bots", True, 0, "removed", words="No click of a machine was found."), ()
    kept = engine.keep("activities", machines.without_machines(activities, kinds, moments))
    n = _rows(activities) - _rows(kept)
    words = (
        f"{n:,} clicks and openings of mails to {len(leads):,} leads were a mail gateway's, not the lead's: "
        "several links within seconds. They were removed; the leads stay."
    )
    return kept, Measure("bots", True, n, "removed", len(leads), n, words), leads


def _possible(
    engine: Engine, activities: ir.Table, kinds: MailKinds, *, on: bool
) -> tuple[ir.Table, Measure]:
    if not on:
        return activities, switched_off("impossible", "impossible = false under [hygiene]")
    early = engine.keep("early answers", impossible.early_answers(activities, kinds))
    alike = engine.keep("alike", impossible.repeated(activities))
    undated = int(impossible.undated(activities).sum().fill_null(0).execute())
    found, kept = 0, activities
    if undated or _rows(early) or _rows(alike):
        kept = engine.keep("activities", impossible.possible(activities, early, alike))
        found = _rows(activities) - _rows(kept)
    dated = activities.filter(~impossible.undated(activities))
    answers = _rows(dated.semi_join(early, list(impossible.EARLY))) if found else 0
    details = {
        "before_1990": undated,
        "before_the_mail_was_sent": answers,
        "recorded_twice": found - undated - answers,
    }
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in details.items() if count]
    words = (
        f"{found:,} activities cannot have happened as written and were removed: {', '.join(told)}."
        if found
        else "Nothing impossible was found."
    )
    return kept, Measure("impossible", True, found, "removed", 0, found, words, details)


def _rows(table: ir.Table) -> int:
    return int(table.count().execute())
