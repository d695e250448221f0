"""Which leads are one person: found in the order in which they were created.

Two leads are one person if they have the same e-mail address, or the same name at the same company.
Each lead is compared with those created before it, and joins the earliest person that it matches: so
what a lead is merged into is known the moment it is created, and no later lead changes it. (Connected
components over all leads would: a third lead that shares the address of one and the name of another
would merge these two long before it existed.)

A person whose lead was closed without a win and who comes back opens a lead of their own: merged into
the closed one it would vanish from the leads to be scored. Whoever was won is a customer, not a lead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd
from ibis import _

from pipeline.hygiene.identity import Identities
from pipeline.source.engine import Engine

# One value that so many leads share is no person: a placeholder, or a mailbox that signs everybody up.
# The one thing here that is judged over the whole table, later leads too: what a placeholder looks like.
LARGEST = 20
# A name of one word ("Keller" at a large company) is too little to tell people apart.
WORDS_OF_A_NAME = 2
SHARED_MAILBOXES = (
    *("info", "sales", "contact", "kontakt", "contatti", "contacto", "office", "buero", "mail", "email"),
    *("post", "hello", "hallo", "hi", "bonjour", "support", "help", "helpdesk", "admin", "administration"),
    *("accueil", "empfang", "reception", "service", "vertrieb", "verkauf", "vente", "ventes", "commercial"),
    *("marketing", "team", "einkauf", "purchasing", "procurement", "achats", "achat", "hr", "rh", "jobs"),
    *("personal", "billing", "invoice", "invoices", "rechnung", "buchhaltung", "compta", "comptabilite"),
    *("accounting", "accounts", "finance", "direction", "secretariat", "sekretariat", "zentrale", "anfrage"),
    *("enquiries", "enquiry", "inquiry", "booking", "reservation", "orders", "order", "shop", "webshop"),
    *("webmaster", "postmaster", "hostmaster", "press", "presse", "newsletter", "news", "legal", "it"),
    *("noreply", "no reply", "donotreply", "none", "noemail", "no email", "unknown", "nomail", "na"),
)
# What `assign` takes, without a row.
NO_KEYS = pd.DataFrame(
    {
        **{name: pd.Series(dtype="str") for name in ("lead_id", "key", "name")},
        **{name: pd.Series(dtype="datetime64[us]") for name in ("created_at", "closed_at", "won_at")},
    }
)


@dataclass(frozen=True)
class Found:
    """Leads that are one person.

    ``merged``: lead_id, survivor_id, and created_at of the duplicate (NaT in a flat table).
    ``returned``: lead_id of a person who came back, and earlier_id, the lead that was closed.
    ``placeholders`` is how many values were too common to be a person.
    """

    merged: pd.DataFrame
    returned: pd.DataFrame
    placeholders: int


def find_duplicates(engine: Engine, who: Identities, lives: ir.Table) -> Found:
    """Return which leads are which person's.

    Parameters
    ----------
    lives
        lead_id, created_at, position (what orders leads without times), closed_at (the lead's own first
        outcome) and won_at; null where there is none.
    """
    keys = engine.keep("keys", recognised_by(who.table).inner_join(lives.select("lead_id"), "lead_id"))
    shared = keys.group_by("key").having(_.lead_id.nunique() > 1).agg(leads=_.lead_id.nunique())
    shared = engine.keep("shared keys", shared)
    placeholders = int((shared.leads > LARGEST).sum().fill_null(0).execute())
    alike = keys.semi_join(shared.filter(_.leads <= LARGEST), "key")
    rows = (
        alike.inner_join(lives, "lead_id").order_by(["created_at", "position", "lead_id", "key"]).to_pandas()
    )
    merged, returned = assign(rows)
    return Found(merged, returned, placeholders)


def recognised_by(who: ir.Table) -> ir.Table:
    """Return lead_id, key and name, one row for each thing by which a lead can be recognised."""
    boxes = sorted({box for name in SHARED_MAILBOXES for box in (name, name.replace(" ", ""))})
    shared = who.local.isin(boxes)
    by_email = ibis.cases(
        (~shared, "e " + who.email), (who.name.notnull(), "e " + who.email + " " + who.name)
    )
    words = who.name.split(" ").length()
    by_name = ibis.cases((words >= WORDS_OF_A_NAME, "n " + who.name + " @ " + who.company))
    both = ibis.union(who.select("lead_id", "name", key=by_email), who.select("lead_id", "name", key=by_name))
    return both.filter(_.key.notnull()).distinct()


@dataclass(eq=False)
class _Person:
    """The records of one person so far; `number` counts people in the order of their first record."""

    number: int
    root: str
    closed_at: list[float] = field(default_factory=list)
    won_at: float = np.inf
    names: list[frozenset[str]] = field(default_factory=list)

    def may_be(self, name: frozenset[str]) -> bool:
        """Whether the names allow it: one is not known, or they have a word in common.

        An address alone may be a family's, an office's, or "keine@keine.de".
        """
        return not name or not self.names or any(name & own for own in self.names)

    def takes_in(self, created_at: float) -> bool:
        """Whether a record created then is one more of the same: one is still open, or was won."""
        return self.won_at < created_at or not max(self.closed_at) < created_at


def assign(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return merged and returned leads (see `Found`) of leads in the order of their creation.

    `rows` has lead_id, key, name, created_at, closed_at and won_at, one row a lead and key, all rows of a
    lead together. Only what was so before a lead's creation decides what becomes of it.
    """
    people: dict[str, list[_Person]] = {}
    count = 0
    merged: list[tuple[str, str]] = []
    returned: list[tuple[str, str]] = []
    for lead, keys, name, created_at, closed_at, won_at in _one_by_one(rows):
        known = {
            person.number: person for key in keys for person in people.get(key, ()) if person.may_be(name)
        }
        taking = [number for number in known if known[number].takes_in(created_at)]
        if taking:
            person = known[min(taking)]
            merged.append((lead, person.root))
        else:
            person, count = _Person(count, lead), count + 1
            if known:
                returned.append((lead, known[max(known)].root))
        if name:
            person.names.append(name)
        person.closed_at.append(closed_at)
        person.won_at = min(person.won_at, won_at)
        for key in keys:
            same = people.setdefault(key, [])
            if person not in same:
                same.append(person)
    created = rows.drop_duplicates("lead_id").set_index("lead_id")["created_at"]
    pairs = pd.DataFrame(merged, columns=["lead_id", "survivor_id"], dtype="str")
    pairs["created_at"] = created.reindex(pairs["lead_id"]).to_numpy("datetime64[us]")
    return pairs, pd.DataFrame(returned, columns=["lead_id", "earlier_id"], dtype="str")


def _one_by_one(
    rows: pd.DataFrame,
) -> Iterator[tuple[str, list[str], frozenset[str], float, float, float]]:
    """Yield lead_id, keys, words of the name and three times as numbers, infinite if it has not happened."""
    numbers = {c: _as_numbers(rows[c]) for c in ("created_at", "closed_at", "won_at")}
    ids, keys = rows["lead_id"].to_numpy(object), rows["key"].to_numpy(object)
    names = rows["name"].fillna("").to_numpy(object)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])[: len(ids)])
    for start, end in zip(starts, np.append(starts[1:], len(ids))[: len(starts)], strict=True):
        created_at, closed_at, won_at = (float(times[start]) for times in numbers.values())
        name = frozenset(word for word in names[start].split() if len(word) > 1)
        yield str(ids[start]), list(keys[start:end]), name, created_at, closed_at, won_at


def _as_numbers(times: pd.Series) -> npt.NDArray[np.float64]:
    micros = times.astype("datetime64[us]")
    return np.where(micros.isna(), np.inf, micros.astype("int64").to_numpy(np.float64))
