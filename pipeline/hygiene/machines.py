"""Clicks that a machine made: a mail gateway that follows every link before anybody has read the mail.

Two signs. *At delivery*: several clicks within seconds of the mail's delivery; a mail takes longer
than that to be noticed, let alone read. *A burst*: several links within seconds of each other,
whenever; each click leads a person to a page first. One quick click accuses nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
from ibis import _

from pipeline.config import Hygiene
from pipeline.source.engine import Engine

# Nobody has received, opened and clicked a mail twice within so many seconds of its being sent.
AT_DELIVERY_SECONDS = 10
AT_DELIVERY_CLICKS = 2
# Links opened one after the other by hand take some two seconds each, and a page to come back from.
BURST_SECONDS = 5
BURST_LINKS = 3
# Where the log does not tell links apart, an impatient person may click one link two or three times.
BURST_CLICKS = 4
# Below this share of clicks with seconds other than :00 the log's clock is too coarse to tell.
TO_THE_SECOND = 0.5

_MAIL = r"mail|newsletter|courriel"
# A word begins after what is no letter, or after "mail" itself ("mailSent"): "consent" is not "sent".
_WORD = r"(?:^|[^a-z]|mail)"
_NOT_DELIVERED = _WORD + r"(?:bounce|fail|reject|block)"
_VERBS = {
    "clicked": _WORD + r"(?:click|clic|klick|geklickt)",
    "opened": _WORD + r"(?:open|ouvert|geoffnet|geöffnet|gelesen)",
    "sent": _WORD + r"(?:sent|send|deliver|dispatch|envoy|versand|versend|gesendet|zugestellt)",
}
_PAGE = _WORD + r"(?:visit|page|view|session|seite|besuch)"


@dataclass(frozen=True)
class MailKinds:
    """Kinds of activities by what they are: a mail's delivery, opening, a click in it, a page seen."""

    sent: tuple[str, ...]
    opened: tuple[str, ...]
    clicked: tuple[str, ...]
    page: tuple[str, ...]


def mail_kinds(activities: ir.Table, config: Hygiene) -> MailKinds:
    """Return the kinds that the configuration names, or those found by their usual names.

    A kind is of mails if it or its channel says so: "email_clicked", or "click" through "email".
    """
    pairs = activities.select("kind", "channel").distinct().to_pandas()
    named: dict[str, set[str]] = {"sent": set(), "opened": set(), "clicked": set(), "page": set()}
    for kind, channel in pairs.fillna("").itertuples(index=False):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
        of_mail = re.search(_MAIL, f"{name} {channel.lower()}") and not re.search(_NOT_DELIVERED, name)
        role = next((r for r, verb in _VERBS.items() if of_mail and re.search(verb, name)), None)
        if role or re.search(_PAGE, name):
            named[role or "page"].add(kind)
    return MailKinds(
        sent=tuple(config.mail_sent or sorted(named["sent"])),
        opened=tuple(sorted(named["opened"] - {*config.mail_sent, *config.mail_clicked})),
        clicked=tuple(config.mail_clicked or sorted(named["clicked"])),
        page=tuple(sorted(named["page"] - {*config.mail_sent, *config.mail_clicked})),
    )


def to_the_second(rows: ir.Table) -> bool:
    """Whether the times of some activities are precise enough to speak of seconds."""
    precise = (rows.occurred_at.second() != 0) | (rows.occurred_at.microsecond() != 0)
    share = precise.cast("float64").mean().execute()
    return bool(share == share and share is not None and share >= TO_THE_SECOND)


def machine_moments(engine: Engine, activities: ir.Table, kinds: MailKinds) -> ir.Table:
    """Return lead_id, since and until of the seconds in which a machine clicked, and at_delivery."""
    mails = activities.filter(_.kind.isin(kinds.sent)).select("lead_id", "asset", at=_.occurred_at)
    mails = engine.keep("mails", mails)
    names = mails.filter(_.asset.notnull()).select("asset").distinct()
    clicks = activities.filter(_.kind.isin(kinds.clicked)).select("lead_id", "asset", at=_.occurred_at)
    clicks = engine.keep(
        "clicks", clicks.mutate(mail=ibis.cases((clicks.asset.isin(names.asset), clicks.asset)))
    )
    # Once each: an import that ran twice must not make four clicks of two.
    both = ibis.union(_at_delivery(mails, clicks), _bursts(engine.keep("clicks", clicks.distinct())))
    return engine.keep("machine moments", both)


def _at_delivery(mails: ir.Table, clicks: ir.Table) -> ir.Table:
    sent = mails.select(to="lead_id", sent_at="at", sent_asset="asset").distinct()
    limit = ibis.interval(seconds=AT_DELIVERY_SECONDS)
    joined = clicks.inner_join(sent, clicks.lead_id == sent.to)
    near = joined.filter(
        joined["at"].between(joined.sent_at, joined.sent_at + limit)
        # A click that names its mail is judged by this mail's delivery alone.
        & (joined.mail.isnull() | (joined.mail == joined.sent_asset))
    )
    counted = near.group_by(["lead_id", "sent_at"]).agg(clicks=_.count())
    return counted.filter(_.clicks >= AT_DELIVERY_CLICKS).select(
        "lead_id", since="sent_at", until=_.sent_at + limit, at_delivery=ibis.literal(True)
    )


def _bursts(clicks: ir.Table) -> ir.Table:
    limit = ibis.interval(seconds=BURST_SECONDS)
    in_order = ibis.window(group_by="lead_id", order_by="at")
    nth = clicks["at"].lead(BURST_LINKS - 1).over(in_order)
    dense = clicks.mutate(nth=nth).filter(_.nth <= _["at"] + limit)
    starts = dense.select(who="lead_id", since="at").distinct()
    joined = starts.inner_join(clicks, starts.who == clicks.lead_id)
    within = joined.filter(joined["at"].between(joined.since, joined.since + limit))
    counted = within.group_by(["who", "since"]).agg(
        links=_.asset.nunique(), clicks=_.count(), until=_["at"].max()
    )
    machine = (_.links >= BURST_LINKS) | (_.clicks >= BURST_CLICKS)
    return counted.filter(machine).select(
        lead_id="who", since="since", until="until", at_delivery=ibis.literal(False)
    )


def without_machines(activities: ir.Table, kinds: MailKinds, moments: ir.Table) -> ir.Table:
    """Return the activities without those that a machine made in its seconds.

    Those are clicks and openings; at a delivery also the pages that these clicks opened. In a later
    burst the pages stay: gateways scan again when a person clicks, and then the person sees the page.
    """
    mailed, pages = [*kinds.opened, *kinds.clicked], list(kinds.page)
    seconds = moments.select(who="lead_id", since="since", until="until", at_delivery="at_delivery")
    seen = activities.kind.isin(pages) & seconds.at_delivery if pages else ibis.literal(False)
    return activities.anti_join(
        seconds,
        [
            activities.lead_id == seconds.who,
            activities.actor == "lead",
            activities.occurred_at >= seconds.since,
            activities.occurred_at <= seconds.until,
            activities.kind.isin(mailed) | seen,
        ],
    )
