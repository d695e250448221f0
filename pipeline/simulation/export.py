"""A block of simulated leads as the tables that a CRM exports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.simulation import vocabulary as words
from pipeline.simulation.fates import Fates
from pipeline.simulation.following import OldScore, Sales
from pipeline.simulation.moments import Events, Ints, first_of
from pipeline.simulation.people import FLAWS, People
from pipeline.simulation.world import KIND_NAMES, World

_MARKETING_CHANNEL = {
    "email_sent": "email",
    "email_opened": "email",
    "email_clicked": "email",
    "unsubscribed": "email",
    "webinar_registered": "webinar",
    "webinar_attended": "webinar",
    "social_follow": "social",
    "ad_clicked": "ads",
    "trade_fair_met": "fair",
}
_BY_MARKETING = ["email_sent", "trade_fair_met"]
_DEAL = {"1-9": 2_500.0, "10-49": 6_000.0, "50-199": 15_000.0, "200-999": 40_000.0, "1000+": 90_000.0}


@dataclass(frozen=True)
class Clock:
    """Turns whole seconds since the start of the world into what is exported."""

    world: World

    def text(self, at: Ints) -> pa.Array:
        """Return ISO 8601 in UTC with its offset."""
        moments = (at + int(self.world.started.timestamp())).astype("datetime64[s]")
        return pa.array(np.char.add(np.datetime_as_string(moments), "+00:00"))

    def stamp(self, at: Ints) -> pa.Array:
        """Return timestamps in UTC with microseconds."""
        moments = (at + int(self.world.started.timestamp())) * 1_000_000
        return pa.array(moments.astype(np.int64)).cast(pa.timestamp("us", tz="UTC"))


def lead_ids(index: Ints) -> pa.Array:
    """Return the identifiers of leads, numbered from 1 in the order of their creation."""
    return _numbered("L", index)


def account_ids(organisation: Ints, has_account: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the identifiers of accounts, null for leads without one."""
    return pc.if_else(pa.array(has_account), _numbered("A", organisation), pa.scalar(None, pa.string()))


def _numbered(letter: str, index: Ints) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(index + 1).cast(pa.string()), 7, padding="0")
    return pc.binary_join_element_wise(pa.scalar(letter), digits, "")


def _kinds(events: Events) -> pa.Array:
    return pa.array(KIND_NAMES).take(pa.array(events.kind))


def companies(organisation: Ints) -> npt.NDArray[np.str_]:
    """Return fictional company names, one an organisation."""
    first = np.array(words.COMPANY_FIRST)[organisation % 20]
    second = np.array(words.COMPANY_SECOND)[(organisation // 20) % 20]
    return np.char.add(np.char.add(np.char.add(first, second), " "), (organisation + 1).astype(str))


def emails(people: People, rows: slice) -> pa.Array:
    """Return addresses; a duplicate's is another spelling of the address of the same person."""
    frame, person = people.frame.iloc[rows], (people.person[rows] + 1).astype(str)
    first = np.char.lower(frame["first_name"].to_numpy(dtype=str))
    last = np.char.lower(frame["last_name"].to_numpy(dtype=str))
    spelling = people.spelling[rows]
    given = np.where(spelling == 3, [name[:1] for name in first], first)
    # No provider's real customer is likely to be called so.
    local = np.char.add(np.char.add(np.char.add(np.char.add(given, "."), last), ".sim"), person)
    local = np.where(spelling == 1, np.char.title(local), local)
    local = np.where(spelling == 2, np.char.add(local, "+info"), local)
    own = np.char.replace(np.char.lower(companies(people.organisation[rows])), " ", "-")
    own = np.char.add(own, ".example")
    domain = np.where(frame["domain"].isna(), own, frame["domain"].astype(object).fillna("").to_numpy(str))
    missing = (frame["email_class"] == "missing").to_numpy()
    return pa.array(np.char.add(np.char.add(local, "@"), domain), mask=missing)


@dataclass(frozen=True)
class Versions:
    """Which leads changed an attribute, when, and to what; (leads,). `at` counts only where changed."""

    changed: npt.NDArray[np.bool_]
    at: Ints
    title: npt.NDArray[np.object_]
    country: npt.NDArray[np.object_]


def draw_versions(world: World, people: People, rows: slice, rng: np.random.Generator) -> Versions:
    """Change job or country of a few leads; never the seniority, so that no probability changes."""
    frame, created = people.frame.iloc[rows], people.created[rows]
    leads = len(frame)
    changed = rng.random(leads) < 0.04
    at = created + 1 + (rng.random(leads) * (world.end * 86400 - created - 2)).astype(np.int64)
    moves = rng.random(leads) < 0.5
    title, country = frame["job_title"].to_numpy(object), frame["country"].to_numpy(object)
    following = {
        name: titles[(nth + 1) % len(titles)]
        for titles in words.TITLES.values()
        for nth, name in enumerate(titles)
    }
    for row in np.flatnonzero(changed):
        if moves[row] or title[row] not in following:
            country[row] = "CH" if country[row] == "DE" else "DE"
        else:
            title[row] = following[title[row]]
    return Versions(changed, at, title, country)


def history_table(clock: Clock, people: People, rows: slice, versions: Versions) -> pa.Table:
    """Return each lead's attributes as first known, and the few changes."""
    frame, index = people.frame.iloc[rows], np.arange(len(people))[rows]
    which = np.flatnonzero(versions.changed)
    return pa.table(
        {
            "lead_id": lead_ids(np.concatenate([index, index[which]])),
            "known_at": clock.text(np.concatenate([people.created[rows], versions.at[which]])),
            "job_title": _texts(frame["job_title"].to_numpy(object), versions.title[which]),
            "country": _texts(frame["country"].to_numpy(object), versions.country[which]),
        }
    )


def _texts(*parts: npt.NDArray[np.object_]) -> pa.Array:
    return pa.array(np.concatenate(parts), type=pa.string(), from_pandas=True)


def leads_table(
    clock: Clock,
    people: People,
    rows: slice,
    versions: Versions,
    score: OldScore,
    fates: Fates,
    rng: np.random.Generator,
) -> pa.Table:
    """Return the leads as the CRM shows them today: newest job and country, contract and old score."""
    frame, index = people.frame.iloc[rows], np.arange(len(people))[rows]
    test = people.flaw[rows] == FLAWS.index("test")
    joined, organisation = people.has_account[rows], people.organisation[rows]
    company = np.where(test, "Test", companies(organisation))
    unnamed = ~joined & ~test & (organisation % 5 < 2)
    contract = np.array(words.CONTRACTS)[rng.choice(3, len(frame), p=[0.6, 0.28, 0.12])]
    return pa.table(
        {
            "lead_id": lead_ids(index),
            "account_id": account_ids(organisation, joined),
            "created_at": clock.text(people.created[rows]),
            "email": emails(people, rows),
            "first_name": np.where(test, "Test", frame["first_name"].to_numpy(str)),
            "last_name": np.where(test, "Test", frame["last_name"].to_numpy(str)),
            "company": pa.array(company, mask=unnamed),
            "industry": _texts(frame["industry"].to_numpy(object)),
            "company_size": _texts(frame["company_size"].to_numpy(object)),
            "job_title": _texts(versions.title),
            "country": _texts(versions.country),
            "source": _texts(frame["source"].to_numpy(object)),
            "contract_type": pa.array(contract, mask=~fates.won),
            "lead_score": score.points,
        }
    )


def accounts_table(people: People) -> pa.Table:
    """Return the accounts that have leads."""
    account, first = np.unique(people.organisation, return_index=True)
    account, first = account[people.has_account[first]], first[people.has_account[first]]
    frame = people.frame.iloc[first]
    return pa.table(
        {
            "account_id": account_ids(account, np.ones(len(account), dtype=bool)),
            "company": companies(account),
            "industry": _texts(frame["industry"].to_numpy(object)),
            "company_size": _texts(frame["company_size"].to_numpy(object)),
            "country": _texts(frame["country"].to_numpy(object)),
        }
    )


def _assets(events: Events, rng: np.random.Generator) -> npt.NDArray[np.object_]:
    asset = np.full(len(events), None, dtype=object)
    for name, choices in words.ASSETS.items():
        rows = np.flatnonzero(events.are(name))
        asset[rows] = np.array(choices, dtype=object)[rng.integers(0, len(choices), len(rows))]
    return asset


def web_table(
    clock: Clock,
    first: int,
    events: Events,
    seconds_before: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> pa.Table:
    """Return the web log; `seconds_before` is the time on the page before, NaN where there was none."""
    channel = rng.choice(len(words.CHANNELS), len(events), p=list(words.CHANNELS.values()))
    return pa.table(
        {
            "lead_id": lead_ids(events.lead + first),
            "occurred_at": clock.stamp(events.at),
            "kind": _kinds(events),
            "asset": pa.array(_assets(events, rng), type=pa.string()),
            "channel": pa.array(list(words.CHANNELS)).take(pa.array(channel)),
            "seconds": pa.array(seconds_before, from_pandas=True),
        }
    )


def marketing_table(
    clock: Clock, first: int, events: Events, campaign: Ints, rng: np.random.Generator
) -> pa.Table:
    """Return the marketing log; `campaign` numbers the mails, -1 where the activity is no mail."""
    asset = _assets(events, rng)
    mailed = campaign >= 0
    asset[mailed] = np.char.add("mail-", np.char.zfill(campaign[mailed].astype(str), 2))
    channel = pa.array([_MARKETING_CHANNEL.get(name, "website") for name in KIND_NAMES])
    return pa.table(
        {
            "lead_id": lead_ids(events.lead + first),
            "occurred_at": clock.stamp(events.at),
            "kind": _kinds(events),
            "actor": pa.array(np.where(events.are(*_BY_MARKETING), "marketing", "lead")),
            "asset": pa.array(asset, type=pa.string()),
            "channel": channel.take(pa.array(events.kind)),
        }
    )


def sales_table(clock: Clock, first: int, contacts: Events) -> pa.Table:
    """Return calls and meetings."""
    who = np.array(words.SALESPEOPLE)[contacts.lead % len(words.SALESPEOPLE)]
    return pa.table(
        {
            "lead_id": lead_ids(contacts.lead + first),
            "occurred_at": clock.text(contacts.at),
            "kind": _kinds(contacts),
            "actor": pa.array(np.full(len(contacts), "sales")),
            "by": pa.array(who),
        }
    )


def outcomes_table(
    clock: Clock, people: People, rows: slice, fates: Fates, rng: np.random.Generator
) -> pa.Table:
    """Return one row a closed lead; the flaw gives the reason for which it was disqualified."""
    leads = len(fates.closed)
    flaw = people.flaw[rows]
    named = {"duplicate": 0.9, "test": 1.0, "spam": 0.95}
    noticed = np.array([named.get(name, 0.0) for name in FLAWS])[flaw] > rng.random(leads)
    unfit = rng.random(leads) < 0.05
    reason = np.array(words.LOST_REASONS)[rng.choice(len(words.LOST_REASONS), leads, p=words.LOST_SHARES)]
    reason = np.where(unfit, "wrong target", np.where(noticed, np.array(FLAWS)[flaw], reason))
    reason = np.where(unfit & noticed, np.array(FLAWS)[flaw], reason)
    outcome = np.where(fates.won, "won", np.where(noticed | unfit, "disqualified", "lost"))
    size = people.frame["company_size"].iloc[rows].astype(object)
    amount = size.map(_DEAL).fillna(8_000.0).to_numpy(float) * rng.lognormal(0.0, 0.6, leads)
    rows_closed = np.flatnonzero(fates.closed <= clock.world.end * 86400)
    index = np.arange(len(people))[rows][rows_closed]
    won = fates.won[rows_closed]
    return pa.table(
        {
            "lead_id": lead_ids(index),
            "outcome": pa.array(outcome[rows_closed]),
            "closed_at": clock.text(fates.closed[rows_closed]),
            "amount": pa.array(np.round(amount[rows_closed], 2), mask=~won),
            "reason": pa.array(reason[rows_closed], mask=won),
        }
    )


def stages_table(
    clock: Clock, first: int, created: Ints, asked: Ints, score: OldScore, sold: Sales, fates: Fates
) -> pa.Table:
    """Return where each lead stood in the funnel, and who said so why."""
    meeting = sold.contacts.where(sold.contacts.are("meeting"))
    met = first_of(meeting.lead, meeting.at, len(created), np.iinfo(np.int64).max)
    qualified = np.minimum(asked, score.reached)
    why_qualified = np.where(asked <= score.reached, "asked for sales", "50 points")
    end = np.minimum(fates.closed, int(clock.world.end * 86400))
    taken = sold.began < end
    always = np.ones(len(created), dtype=bool)
    parts: list[tuple[str, Ints, npt.NDArray[np.bool_], str, str | npt.NDArray[np.str_]]] = [
        ("lead", created, always, "system", "created"),
        ("MQL", qualified, qualified < end, "marketing", why_qualified),
        ("SQL", sold.began, taken & sold.accepted, "sales", "accepted"),
        ("lead", sold.began, taken & ~sold.accepted, "sales", "not ready"),
        ("opportunity", met, (met < end) & sold.accepted, "sales", "meeting held"),
        ("customer", fates.closed, fates.won, "sales", "won"),
    ]
    lead = np.concatenate([np.flatnonzero(rows) for _, _, rows, _, _ in parts])
    at = np.concatenate([when[rows] for _, when, rows, _, _ in parts])
    stage = np.concatenate([np.full(rows.sum(), name, "U16") for name, _, rows, _, _ in parts])
    by = np.concatenate([np.full(rows.sum(), who, "U16") for _, _, rows, who, _ in parts])
    reason = np.concatenate(
        [np.broadcast_to(np.asarray(why), rows.shape)[rows] for _, _, rows, _, why in parts]
    )
    order = np.lexsort((at, lead))
    return pa.table(
        {
            "lead_id": lead_ids(lead[order] + first),
            "stage": pa.array(stage[order]),
            "at": clock.text(at[order]),
            "by": pa.array(by[order]),
            "reason": pa.array(reason[order]),
        }
    )


def hygiene_table(people: People) -> pa.Table:
    """Return which leads are duplicates (and of whom), tests, spam and bots."""
    rows = np.flatnonzero(people.flaw > 0)
    duplicate = people.flaw[rows] == FLAWS.index("duplicate")
    return pa.table(
        {
            "lead_id": lead_ids(rows),
            "flaw": pa.array(np.array(FLAWS)[people.flaw[rows]]),
            "survivor_id": pc.if_else(
                pa.array(duplicate), lead_ids(people.person[rows]), pa.scalar(None, pa.string())
            ),
        }
    )
