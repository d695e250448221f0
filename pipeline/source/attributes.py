"""Which columns become attributes, of what type, and which are left out and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ibis.expr.types as ir

from features.errors import BundleError
from features.language import Text
from features.tables import Attribute, AttributeType
from pipeline.config import Table
from pipeline.source.columns import as_number, text
from pipeline.source.engine import Raw
from pipeline.source.findings import Findings

_PERSONAL = re.compile(
    r"(^|_)(first_?name|last_?name|full_?name|surname|street|iban|ssn)(_|$)"
    r"|^(name|nom|prenom|vorname|nachname|adresse|address|contact_name|lead_name|e_?mail(_address)?)$"
    r"|^(\w+_)?(phone|telephone|mobile|fax)(_number)?$"
)
_SENSITIVE = re.compile(
    r"(^|_)(age|birth|birthdate|birthday|date_of_birth|dob|gender|sex|race|ethnicity|ethnic|religion|political"
    r"|party_membership|union|health|disability|sexual_orientation|nationality|marital|marital_status)(_|$)"
)
OWN_OUTPUT = re.compile(
    r"^propense(_|$)|^(propensity|propensity_low|propensity_high|sales_ready|model_version|run_id|reasons)$"
)
_OLD_SCORE = re.compile(r"^(lead_?score|mql_?score|old_?score|hubspot_?score|score|grade|band|lead_?grade)$")
_EMAIL_VALUE = r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"
_PHONE_VALUE = r"^\+?[0-9][0-9 ().\-/]{6,}[0-9]$"
_PADDED_VALUE = r"^0\d+$"
_SENIORITY = re.compile(r"(^|_)(job_?title|title|position|role|function)(_|$)")
_SIZE = re.compile(r"(^|_)(company_?size|employees|headcount|size|effectif)(_|$)")
_COMMA_VALUE = r"^[+-]?\d+,\d+$"
_DATE_VALUE = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?$"
_BOOLEANS = {"boolean"}
MOSTLY = 0.9
ID_DISTINCT_SHARE = 0.9
ID_MIN_ROWS = 50


@dataclass(frozen=True)
class Role:
    """What the configuration says about the columns of one table."""

    origin: Literal["lead", "entity", "history"]
    used: frozenset[str]  # columns with another role
    listed: tuple[str, ...] | None
    ignore: tuple[str, ...] = ()
    types: Mapping[str, AttributeType] | None = None
    old_score: tuple[str, ...] = ()
    own_fields: tuple[str, ...] = ()
    sensitive: Mapping[str, str] | None = None
    engagement: tuple[str, ...] = ()
    labels: Mapping[str, Text] | None = None


def plain(name: str) -> str:
    """Return a column's name in lower case with underscores: ``First Name`` is ``first_name``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def candidates(raw: Raw, role: Role, findings: Findings) -> list[str]:
    """Return the columns that may become attributes, judged by their names alone."""
    kept = []
    for column in role.listed if role.listed is not None else raw.table.columns:
        if column in role.used or column in role.ignore:
            continue
        why = _refused_by_name(column, role)
        if why:
            findings.left_out(raw.place, why, column=column)
        else:
            kept.append(column)
    return kept


def _refused_by_name(column: str, role: Role) -> str:
    name = plain(column)
    by_hand = role.listed is not None
    if name in map(plain, role.own_fields) or OWN_OUTPUT.search(name):
        return "an output of this program, never a feature"
    if name in map(plain, role.old_score):
        return "the old score, never a feature"
    if _OLD_SCORE.search(name) and not by_hand:
        return "looks like an old score: not a feature (list it in `attributes` if it is not one)"
    if _PERSONAL.search(name):
        return "personal data, never in a model"
    if _SENSITIVE.search(name) and column not in (role.sensitive or {}):
        return "sensitive: left out unless [leads.sensitive] names it with a reason"
    return ""


def infer(raw: Raw, columns: Iterable[str], config: Table, role: Role, findings: Findings) -> list[Attribute]:
    """Decide each column's type from its values, and leave out what cannot serve.

    One pass over the table. A text column of which at least nine in ten values are numbers but not
    all is a mistake, recorded as an error; a text column that differs in nearly every row is an id.
    """
    names = list(columns)
    if not names:
        return []
    stats = _profile(raw, names, config)
    attributes = []
    for column in names:
        kind = _type_of(raw, column, stats[column], role, findings)
        if kind is not None:
            label = (role.labels or {}).get(column)
            family: Literal["fit", "engagement"] = "engagement" if column in role.engagement else "fit"
            attributes.append(Attribute(column, kind, role.origin, label, family))
    return attributes


def _profile(raw: Raw, names: list[str], config: Table) -> dict[str, dict[str, Any]]:
    measures: dict[str, ir.Scalar] = {}
    texts = raw.table.select(**{f"value {i}": text(raw, column, config) for i, column in enumerate(names)})
    read = texts.mutate(**{f"number {i}": as_number(texts[f"value {i}"], config) for i in range(len(names))})
    for i in range(len(names)):
        value, number = read[f"value {i}"], read[f"number {i}"]
        measures |= {
            f"rows {i}": value.count(),
            f"numbers {i}": number.count(),
            f"whole {i}": ((number % 1) == 0).sum().fill_null(0),
            f"range {i}": number.max() - number.min(),
            f"distinct {i}": value.nunique(),
            f"no number {i}": value.max(where=number.isnull()),
            f"example {i}": value.min(),
            f"emails {i}": value.re_search(_EMAIL_VALUE).sum().fill_null(0),
            f"commas {i}": (value.re_search(_COMMA_VALUE) & number.isnull()).sum().fill_null(0),
            f"padded {i}": value.re_search(_PADDED_VALUE).sum().fill_null(0),
            f"phones {i}": (value.re_search(_PHONE_VALUE) & number.isnull()).sum().fill_null(0),
            f"dates {i}": value.re_search(_DATE_VALUE).sum().fill_null(0),
        }
    row = read.aggregate(all=read.count(), **measures).to_pyarrow().to_pylist()[0]
    everyone = row.pop("all")
    return {
        column: {"all": everyone}
        | {key.rsplit(" ", 1)[0]: v for key, v in row.items() if key.endswith(f" {i}")}
        for i, column in enumerate(names)
    }


def _type_of(
    raw: Raw, column: str, found: dict[str, Any], role: Role, findings: Findings
) -> AttributeType | None:
    declared = (role.types or {}).get(column)
    rows = found["rows"]
    place = {"column": column, "example": repr(found["example"])}
    # A column filled with one value here and empty there does tell leads apart.
    if found["distinct"] == 0 or (found["distinct"] == 1 and rows == found["all"]):
        findings.left_out(raw.place, "constant or empty: it tells no lead from another", **place)
        return None
    if found["emails"] > rows / 2 or (declared is None and _phones(column, found)):
        findings.left_out(raw.place, "values are e-mail addresses or telephone numbers", column=column)
        return None
    # Codes that start with a zero ("01000") are names, not quantities.
    numeric = found["numbers"] >= MOSTLY * rows and not found["padded"]
    if declared in (None, "number") and _decimal_commas(column, found):
        findings.error(
            raw.place, 'numbers with a decimal comma; set decimal = "," for this table, or give its type',
            column=column, rows=int(found["commas"]), example=repr(found["no number"]),
        )  # fmt: skip
        return None
    if declared in ("number", "flag") or (declared is None and numeric):
        return _number(raw, column, found, declared, findings)
    if declared is not None:
        return declared
    if str(raw.table[column].type()) in _BOOLEANS:
        return "flag"
    if found["dates"] > rows / 2:
        findings.left_out(raw.place, "dates are no attribute; give them as an activity", **place)
        return None
    if rows >= ID_MIN_ROWS and found["distinct"] > ID_DISTINCT_SHARE * rows:
        # Without an example: free text may hold a person's name.
        findings.left_out(
            raw.place, "differs in nearly every row: an id or free text, no category", column=column
        )
        return None
    return _type_by_name(column)


def _decimal_commas(column: str, found: dict[str, Any]) -> bool:
    """Tell numbers such as "4,5" from sizes such as "1,000"."""
    numbers = found["numbers"] + found["commas"]
    return found["commas"] > 0 and numbers >= MOSTLY * found["rows"] and _type_by_name(column) != "size"


def _phones(column: str, found: dict[str, Any]) -> bool:
    """Tell telephone numbers from dates, and from sizes such as "1000-5000", which look like them."""
    return found["phones"] - found["dates"] > found["rows"] / 2 and _type_by_name(column) != "size"


def _type_by_name(column: str) -> AttributeType:
    name = plain(column)
    if _SENIORITY.search(name):
        return "seniority"
    return "size" if _SIZE.search(name) else "category"


def _number(
    raw: Raw, column: str, found: dict[str, Any], declared: AttributeType | None, findings: Findings
) -> AttributeType | None:
    rows, numbers = found["rows"], found["numbers"]
    if numbers < rows:
        findings.error(
            raw.place,
            "text where a number should be; correct it, name it in `missing`, "
            'or set its type to "category" in `types`',
            column=column, rows=rows - numbers, example=repr(found["no number"]),
        )  # fmt: skip
        return None
    is_id = rows >= ID_MIN_ROWS and found["distinct"] == rows and found["whole"] == rows
    if is_id and declared is None and found["range"] < 20 * rows:
        findings.left_out(
            raw.place, "a different whole number in every row: an id, no quantity (or say so in `types`)",
            column=column, rows=rows, example=repr(found["example"]),
        )  # fmt: skip
        return None
    return declared or "number"


def values(raw: Raw, attribute: Attribute, config: Table) -> ir.Column:
    """Return an attribute's canonical column: float for numbers and flags, text otherwise."""
    source = raw.table[attribute.name]
    if attribute.type == "flag" and source.type().is_boolean():
        return source.cast("int8").cast("float64")
    if attribute.type in ("number", "flag"):
        return as_number(text(raw, attribute.name, config), config)
    return text(raw, attribute.name, config)


def require(raw: Raw, attributes: Iterable[Attribute], config: Table) -> None:
    """Check that the columns a model was trained on are there and still hold the same type.

    Raises
    ------
    BundleError
        A column is missing, or text stands where the model knows numbers.
    """
    known = list(attributes)
    absent = [a.name for a in known if a.name not in raw.table.columns]
    if absent:
        raise BundleError(
            f"The data to score lacks columns that the model was trained on: {', '.join(map(repr, absent))}.",
            where=raw.place,
            todo="export them again (an empty column is enough), or train without them",
        )
    numbers = [a for a in known if a.type in ("number", "flag")]
    if not numbers:
        return
    checks: dict[str, ir.Scalar] = {}
    for i, a in enumerate(numbers):
        given = text(raw, a.name, config)
        bad = given.notnull() & values(raw, a, config).isnull()
        checks |= {f"bad {i}": bad.sum().fill_null(0), f"example {i}": given.max(where=bad)}
    row = raw.table.aggregate(**checks).to_pyarrow().to_pylist()[0]
    changed = [
        f"'{a.name}' ({row[f'bad {i}']:,} rows, for example {row[f'example {i}']!r})"
        for i, a in enumerate(numbers)
        if row[f"bad {i}"]
    ]
    if changed:
        raise BundleError(
            f"Columns that were numbers when the model was trained now hold text: {', '.join(changed)}.",
            where=raw.place,
            todo="correct the export, or train again on it",
        )
