"""Activities that cannot have happened as they are written.

A short list, on purpose: what is merely odd stays. Web visits before the lead's creation are the rule
with anonymous tracking, and people come to webinars without registering.
"""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir
from ibis import _

from pipeline.hygiene.machines import MailKinds

# Earlier times are a system's empty date (1899-12-30, 1900-01-01, 1970-01-01), not something that happened.
EARLIEST = datetime(1990, 1, 1)
# Two systems' clocks may differ by so much before an answer to a mail comes "before" the mail.
CLOCKS_DIFFER = ibis.interval(minutes=5)


EARLY = ("lead_id", "kind", "asset", "occurred_at")
ALIKE = ("lead_id", "kind", "occurred_at")


def undated(activities: ir.Table) -> ir.BooleanValue:
    """Whether an activity is dated before anything was recorded."""
    return activities.occurred_at < ibis.literal(EARLIEST, "timestamp(6)")


def early_answers(activities: ir.Table, kinds: MailKinds) -> ir.Table:
    """Return `EARLY` of openings of, and clicks in, a mail before it was first sent to the lead.

    Judged only where the mail's name is in both and a delivery of it to this lead is recorded. A
    delivery with a date alone may have happened from the start of that day on.
    """
    sent = activities.filter(_.kind.isin(kinds.sent) & _.asset.notnull())
    day_only = sent.occurred_local == sent.occurred_local.truncate("D")
    sent = sent.mutate(at=ibis.ifelse(day_only, sent.occurred_at - ibis.interval(days=1), sent.occurred_at))
    first = sent.group_by(["lead_id", "asset"]).agg(sent_at=_["at"].min())
    answers = activities.filter(_.kind.isin([*kinds.opened, *kinds.clicked]))
    both = answers.inner_join(first, ["lead_id", "asset"])
    return both.filter(both.occurred_at + CLOCKS_DIFFER < both.sent_at).select(*EARLY).distinct()


def repeated(activities: ir.Table) -> ir.Table:
    """Return `ALIKE` of the activities of which one lead has several at one instant: perhaps imported twice.

    Times without seconds may be rounded to the minute or the day, in which the same can happen twice:
    such activities are not asked about.
    """
    precise = (activities.occurred_at.second() != 0) | (activities.occurred_at.microsecond() != 0)
    counted = activities.filter(precise).group_by(list(ALIKE)).agg(rows=_.count())
    return counted.filter(_.rows > 1).select(*ALIKE)


def possible(activities: ir.Table, early: ir.Table, alike: ir.Table) -> ir.Table:
    """Return the activities that can have happened; of those the same in every column, one."""
    sound = activities.filter(~undated(activities)).anti_join(early, list(EARLY))
    # Few are alike; only they are compared in all columns.
    once = sound.semi_join(alike, list(ALIKE)).distinct()
    return ibis.union(sound.anti_join(alike, list(ALIKE)), once)
