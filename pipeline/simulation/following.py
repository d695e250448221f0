"""What follows from what the leads do, and moves nothing: pages, mails, the old score, sales, stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.simulation.activities import NEVER
from pipeline.simulation.moments import Events, Ints, codes, first_of, merged, rank_within
from pipeline.simulation.rhythm import Floats, Rhythms
from pipeline.simulation.world import World

DAY = 86400
MQL_POINTS = 50
PERSONAL_POINTS = -6

_FIRST_MAIL = DAY + 8 * 3600  # a Tuesday morning
_MAIL_EVERY = 14 * DAY
_MAIL_FOR = 120 * DAY
_OPENED, _CLICKED = 0.28, 0.16
_MORE_PAGES = {"visit": 1.2, "repeated_visit": 1.2, "long_visit": 5.0, "pricing_page": 1.0}


def pages(events: Events, rng: np.random.Generator) -> tuple[Events, Floats]:
    """Return the pages seen after the first of each visit, and the seconds spent on the page before."""
    count = rng.poisson(events.each(_MORE_PAGES))
    visit = np.repeat(np.arange(len(events)), count)
    spent = np.ceil(rng.exponential(50.0, len(visit))).astype(np.int64) + 4
    total = np.cumsum(spent)
    first = np.arange(len(visit)) - rank_within(visit)
    at = events.at[visit] + total - total[first] + spent[first]
    return Events(events.lead[visit], at, codes("page_viewed", len(visit))), spent.astype(np.float64)


def mails(
    created: Ints, until: Ints, bot: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Events, Ints]:
    """Return mails sent, opened and clicked, and the number of each one's campaign.

    A mail goes out at fixed times to every lead that is open and has not unsubscribed (`until`). A
    mail gateway (`bot`) opens it and clicks every link within seconds.
    """
    begin = -(-(created - _FIRST_MAIL) // _MAIL_EVERY)
    stop = np.minimum(until, created + _MAIL_FOR)
    number = np.maximum(-(-(stop - _FIRST_MAIL) // _MAIL_EVERY) - begin, 0)
    lead = np.repeat(np.arange(len(created)), number)
    campaign = begin[lead] + rank_within(lead)
    sent = _FIRST_MAIL + campaign * _MAIL_EVERY
    scanned = bot[lead]
    opened = scanned | (rng.random(len(lead)) < _OPENED)
    delay = np.where(scanned, 1.0, rng.lognormal(np.log(5 * 3600), 1.4, len(lead)) + 1)
    opened_at = sent + np.ceil(delay).astype(np.int64)
    clicks = np.where(scanned, 3, opened & (rng.random(len(lead)) < _CLICKED))
    mail = np.repeat(np.arange(len(lead)), clicks)
    wait = np.where(scanned[mail], 1 + rng.integers(1, 8, len(mail)), rng.integers(5, 90, len(mail)))
    parts = Events(
        np.concatenate([lead, lead[opened], lead[mail]]),
        np.concatenate([sent, opened_at[opened], opened_at[mail] + wait]),
        np.concatenate(
            [
                codes("email_sent", len(lead)),
                codes("email_opened", int(opened.sum())),
                codes("email_clicked", len(mail)),
            ]
        ),
    )
    return parts, np.concatenate([campaign, campaign[opened], campaign[mail]])


@dataclass(frozen=True)
class OldScore:
    """The hand-made point score: its last value, and when it first reached the MQL threshold."""

    points: Ints
    reached: Ints


def old_score(world: World, events: Events, personal: npt.NDArray[np.bool_]) -> OldScore:
    """Return the points of each lead under the old hand-made score; (leads,). `events` must be sorted."""
    worth = events.each(world.points).astype(np.int64)
    running = np.cumsum(worth)
    first = np.arange(len(events)) - rank_within(events.lead)
    start = np.where(personal, PERSONAL_POINTS, 0)
    points = running - running[first] + worth[first] + start[events.lead]
    enough = points >= MQL_POINTS
    total = start + np.bincount(events.lead, weights=worth, minlength=len(personal)).astype(np.int64)
    return OldScore(total, first_of(events.lead[enough], events.at[enough], len(personal), NEVER))


@dataclass(frozen=True)
class Sales:
    """What sales does: calls and meetings, and when it began with each lead (`NEVER` if it did not)."""

    contacts: Events
    began: Ints
    accepted: npt.NDArray[np.bool_]


def sales(
    world: World,
    rhythms: Rhythms,
    created: Ints,
    asked: Ints,
    reached: Ints,
    closed: Ints,
    rng: np.random.Generator,
) -> Sales:
    """Return how sales works the leads: who asked, who has the points, and some at random, in office hours.

    All of it depends on the past and on chance alone, and none of it moves the hazard of winning: to
    know that sales has not called yet says nothing of the win.
    """
    leads = len(created)
    after_ask = asked + _delay(1.2, leads, rng)
    after_points = reached + _delay(3.0, leads, rng)
    by_chance = created + _delay(160.0, leads, rng)
    began = np.minimum(np.minimum(after_ask, after_points), by_chance)
    number = 1 + rng.poisson(2.2, leads)
    lead = np.repeat(np.arange(leads), number)
    gap = np.where(rank_within(lead) == 0, 0, _delay(6.0, len(lead), rng))
    total = np.cumsum(gap)
    first = np.arange(len(lead)) - rank_within(lead)
    at = began[lead] + total - total[first]
    end = np.minimum(closed, int(world.end * DAY))
    open_then = at < end[lead]
    lead, at = lead[open_then], _in_office(rhythms, at[open_then], rng)
    meets = rng.random(len(lead)) < np.where(rank_within(lead) == 0, 0.1, 0.4)
    open_still = at < end[lead]
    contacts = Events(lead, at, np.where(meets, codes("meeting", len(at)), codes("call", len(at)))).where(
        open_still
    )
    contacts = merged(contacts)
    return Sales(contacts, first_of(contacts.lead, contacts.at, leads, NEVER), rng.random(leads) < 0.82)


def _delay(mean_days: float, size: int, rng: np.random.Generator) -> Ints:
    return np.ceil(rng.exponential(mean_days, size) * DAY).astype(np.int64)


def _in_office(rhythms: Rhythms, at: Ints, rng: np.random.Generator) -> Ints:
    """Return each time itself in office hours, else some minutes into the next office hour."""
    works = np.append(np.flatnonzero(rhythms.office.rates > 0), len(rhythms.office.rates))
    hour = at // 3600
    following = works[np.searchsorted(works, hour)]
    later = following * 3600 + rng.integers(0, 3600, len(at))
    return np.where(following == hour, at, later)
