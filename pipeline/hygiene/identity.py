"""Who a lead is, in spellings that can be compared: e-mail address, name and company.

The only place where these are read. They live in the engine's tables for as long as a run does;
what leaves this package are lead ids and counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
from ibis import _

from pipeline.source.columns import text
from pipeline.source.engine import Raw
from pipeline.source.leads import EMAIL, Reading, lead_ids

_FIRST = ("firstname", "givenname", "forename", "vorname", "prenom", "nome", "nombre")
_LAST = ("lastname", "surname", "familyname", "nachname", "nomdefamille", "nom", "cognome", "apellido")
_WHOLE = ("fullname", "name", "contactname", "leadname", "personname", "nomcomplet", "vollername")
_COMPANY = (
    *("company", "companyname", "organisation", "organization", "organisationname", "organizationname"),
    *("accountname", "firma", "firmenname", "unternehmen", "societe", "entreprise", "raisonsociale"),
    *("azienda", "empresa", "employer"),
)
_EMAIL_COLUMN = ("email", "emailaddress", "mail", "mailaddress", "emailadresse", "courriel", "adressemail")
_NOBODY = (
    *("unknown", "none", "null", "nil", "na", "n a", "nan", "no name", "not provided", "not specified"),
    *("anonymous", "inconnu", "inconnue", "aucun", "aucune", "non renseigne", "unbekannt", "keine", "kein"),
    *("keine angabe", "k a", "privat", "private", "prive", "self employed", "freelance", "freelancer"),
    *("selbststandig", "selbstandig", "freiberufler", "privatperson", "independant", "individual"),
    *("x", "xx", "xxx", "tbd", "other", "particulier", "student", "retired", "unemployed", "rentner"),
    *("not applicable", "not available", "no company", "keine firma", "a", "aa", "aaa"),
)
_TITLE = r"\b(?:dr|prof|mr|mrs|ms|miss|herr|frau|mme|mlle|monsieur|madame|dipl ing|ing)\b"
# Written without dots: they are dropped before ("S.A.R.L.", "S.p.A.").
_LEGAL_FORM = (
    r"(?: (?:gmbh|mbh|ag|kg|kgaa|ohg|ug|gbr|se|ev|inc|incorporated|llc|llp|lp|ltd|limited|plc|pty|corp"
    r"|corporation|co|cie|sa|sas|sasu|sarl|eurl|snc|srl|spa|sl|bv|nv|vof|oy|oyj|ab|as|asa|aps|kft|zrt|sro|doo))+$"
)
_GMAIL = ("gmail.com", "googlemail.com")


@ibis.udf.scalar.builtin(name="strip_accents", signature=(("string",), "string"))
def _without_accents(text):  # type: ignore[no-untyped-def]
    """Return a text with its accents removed."""


@dataclass(frozen=True)
class Identities:
    """``table``: lead_id, email, local, tag, domain, name, company, each null where it is not known.

    `email` is the address as it is delivered: lower case, without the tag after a plus, without the
    dots that Gmail ignores. `local` is its first part as words, `tag` what followed the plus. `name` is
    the words of the name in alphabetical order, `company` the company's words without its legal form;
    both without accents and case. The three flags say which columns the leads have.
    """

    table: ir.Table
    has_email: bool
    has_name: bool
    has_company: bool


def read_identities(reading: Reading, raw: Raw) -> Identities:
    """Read who the leads are, from configured columns or those with usual names.

    Raises
    ------
    DataError
        A column that ``[hygiene]`` names is not there.
    """
    config, hygiene = reading.config.leads, reading.config.hygiene
    raw.need({**{f"hygiene name {i}": c for i, c in enumerate(hygiene.name, 1)}, "company": hygiene.company})
    ids = {config.id} if config.id else set()
    email = config.email or _usual(raw, _EMAIL_COLUMN, ids)
    names = hygiene.name or name_columns(raw, ids)
    company = hygiene.company or _usual(raw, _COMPANY, ids)
    nothing = ibis.null("string")
    given = {
        "lead_id": lead_ids(reading, raw),
        "address": text(raw, email, config).lower() if email else nothing,
        "name": _joined([text(raw, c, config) for c in names]) if names else nothing,
        "company": text(raw, company, config) if company else nothing,
    }
    table = _comparable(raw.table.select(**given))
    if email or names or company:
        table = reading.engine.keep("identities", table)
    return Identities(table, email is not None, bool(names), company is not None)


def _usual(raw: Raw, usual: tuple[str, ...], other: set[str]) -> str | None:
    """Return the column with the first of some usual names, whatever its case, accents and separators."""
    plain = {_plain(column): column for column in reversed(raw.table.columns) if column not in other}
    return next((plain[name] for name in usual if name in plain), None)


def _plain(column: str) -> str:
    accents = str.maketrans("éèêàâôûçïîöüä", "eeeaaoucii" + "oua")
    return re.sub(r"[^a-z]", "", column.lower().translate(accents))


def name_columns(raw: Raw, other: set[str]) -> list[str]:
    """Return the columns that hold a name, by their usual names; `other` columns are something else."""
    first, last = _usual(raw, _FIRST, other), _usual(raw, _LAST, other)
    if first and last:
        return [first, last]
    whole = _usual(raw, _WHOLE, other)
    return [c for c in ([whole] if whole else [first, last]) if c]


def _joined(parts: list[ir.StringValue]) -> ir.StringValue:
    """Return the whole name; null where a part is missing: "Van Dyck" alone is nobody's full name."""
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + " " + part
    return joined


def _words(value: ir.StringValue) -> ir.StringValue:
    """Return the words of a text: lower case, no accents, no punctuation, one space between them."""
    plain = _without_accents(value.lower()).replace("ß", "ss").replace(".", "")
    return plain.re_replace(r"[^\p{L}\p{N}]+", " ").strip()


def _comparable(given: ir.Table) -> ir.Table:
    sound = ibis.cases((given.address.re_search(EMAIL), given.address))
    at = given.mutate(local=sound.re_extract(r"^(.*)@", 1), domain=sound.re_extract(r"@([^@]*)$", 1))
    at = at.mutate(
        base=_.local.re_replace(r"\+.*$", ""),
        tag=_.local.re_extract(r"\+(.*)$", 1),
        provider=ibis.cases((_.domain.isin(_GMAIL), "gmail.com"), else_=_.domain),
    )
    base = ibis.cases((at.provider == "gmail.com", at.base.replace(".", "")), else_=at.base)
    name = _words(ibis.cases((~at.name.contains("@"), at.name.replace(".", ". ")))).re_replace(_TITLE, " ")
    name = name.re_replace(r"\s+", " ").strip()
    company = _words(at.company)
    short = company.re_replace(_LEGAL_FORM, "")
    return at.select(
        "lead_id",
        email=ibis.cases((base != "", base + "@" + at.provider)),
        local=at.base.re_replace(r"[^\p{L}\p{N}]+", " ").strip().nullif(""),
        tag=at.tag.nullif(""),
        domain=at.domain.nullif(""),
        name=_known(name.split(" ").sort().join(" "), name),
        company=_known(short, company),
    )


def _known(value: ir.StringValue, whole: ir.StringValue) -> ir.StringValue:
    """Return a value unless the whole says, in one word or in all of them, that it is not known."""
    word = "|".join(_NOBODY)
    nobody = whole.isin(["", *_NOBODY]) | whole.re_search(f"^(?:{word})(?: (?:{word}))*$")
    return ibis.cases((nobody, ibis.null("string")), else_=value)
