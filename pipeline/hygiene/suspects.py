"""Leads that are no prospects: tests, the company's own people, and classes of addresses.

A test lead is accused by one sign that no person carries (an address in a reserved domain, "test.user"
before the at sign, "Test Test" as a name), or by two weak signs of different kinds: of a person (a
part of the name or the address) and of an organisation (the company's name or a part of the domain).
One weak sign accuses nobody: there are people called Test, and crash-test.fr has employees.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from features.domains import domain_class
from pipeline.hygiene.identity import Identities

_WORD = (
    r"(?:(?:test|demo|dummy)(?:user|account|acc|lead|mail|email|kunde|client|customer|company|firma|person"
    r"|name)?|tests|testing|fake|foobar|(?:asdf)+(?:gh?j?k?l?)?|qwert[yz]?(?:uiop?)?|azerty|lorem|ipsum)\d*"
)
_FILLER = (
    r"(?:users?|leads?|accounts?|kunde|client|customer|company|firma|person|name|first|last|vorname"
    r"|nachname|nom|prenom|crm|form|formular|formulaire|qa|dev|abc|foo|a+|x+|only|\d+)"
)
ALL_TEST = rf"^(?:{_FILLER} )*{_WORD}(?: (?:{_WORD}|{_FILLER}))*$"
HAS_TEST = rf"(?:^| ){_WORD}(?: |$)"
JUNK = r"^(?:abc|foo|a+|x+|asd|qwe|\d+)$"
# Top-level domains that are nobody's by RFC 2606, and the example domains. Not `.example` alone:
# documentation and simulations give whole companies such addresses.
RESERVED = r"(?:^|\.)example\.(?:com|org|net|edu)$|\.(?:test|invalid|localhost)$"
# Where more of the addresses than this are in reserved domains, somebody made the addresses anonymous.
RESERVED_AT_MOST = 0.2
IN_DOMAIN = rf"(?:^|[.-]){_WORD}[.-]"
TAG = r"^(?:test|tests|testing)\d*$"


def tests(who: Identities) -> ir.Table:
    """Return lead_id of the leads that somebody entered to try something out."""
    t = who.table

    def says(value: ir.StringValue, pattern: str) -> ir.BooleanValue:
        return value.re_search(pattern).fill_null(False)

    reserved = says(t.domain, RESERVED)
    share = t.filter(t.domain.notnull()).aggregate(share=reserved.cast("float64").mean()).share
    is_sign = bool((share <= RESERVED_AT_MOST).fill_null(False).execute()[0])
    certain = (reserved if is_sign else ibis.literal(False)) | says(t.tag, TAG) | says(t.local, ALL_TEST)
    certain |= says(t.name, ALL_TEST) & t.name.contains(" ").fill_null(False)
    person = says(t.name, HAS_TEST) | says(t.local, HAS_TEST) | says(t.local, JUNK)
    organisation = says(t.company, ALL_TEST) | says(t.domain, IN_DOMAIN)
    return t.filter(certain | (person & organisation)).select("lead_id")


def employees(leads: ir.Table, own_domains: list[str]) -> ir.Table:
    """Return lead_id of the leads whose address is in one of the company's own domains or below it."""
    own = [name.strip().lower().lstrip("@").strip(".") for name in own_domains]
    domain = leads.email_domain.lower()
    inside = [(domain == name) | domain.endswith(f".{name}") for name in own if name]
    return leads.filter(ibis.or_(*inside)).select("lead_id") if inside else leads.limit(0).select("lead_id")


def address_classes(leads: ir.Table) -> pd.DataFrame:
    """Return email_domain and its class, for the domains of private people, students and throw-aways."""
    domains = leads.filter(_.email_domain.notnull()).select("email_domain").distinct().to_pandas()
    classes = domains["email_domain"].map(domain_class)
    found = domains.assign(email_class=classes)
    return found[found["email_class"].isin(["personal", "student", "disposable"])].reset_index(drop=True)
