"""Ids, fields and values of Salesforce: which objects, what fields must be, how values are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.destinations.base import Fatal, Kind, Value

# The objects that hold leads, by the first three characters of their ids.
OBJECTS = {"00Q": "Lead", "003": "Contact"}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_BANDS = {"mql": "MQL", "nurture": "Nurture", "let_go": "Let go"}
_GRADES = tuple(f"{fit}{engagement}" for fit in "ABCD" for engagement in "1234")
# What is ever written by the column that it comes from, where a field may be a list of values.
_OPTIONS: Mapping[str, Iterable[str]] = {"band": _BANDS, "grade": _GRADES}
_TEXTS = ("string", "textarea", "picklist", "multipicklist", "url", "email", "phone", "encryptedstring")
# What the Tooling API is to create by kind. 18 digits are the most.
_METADATA: Mapping[Kind, Mapping[str, Any]] = {
    "number": {"type": "Number", "precision": 18, "scale": 6},
    "integer": {"type": "Number", "precision": 18, "scale": 0},
    "text": {"type": "Text", "length": 255},
    "long_text": {"type": "LongTextArea", "length": 4096, "visibleLines": 4},
    "boolean": {"type": "Checkbox", "defaultValue": "false"},
    "time": {"type": "DateTime"},
    "choice": {
        "type": "Picklist",
        "valueSet": {
            "restricted": True,
            "valueSetDefinition": {
                "sorted": False,
                "value": [
                    {"fullName": value, "label": label, "default": False} for value, label in _BANDS.items()
                ],
            },
        },
    },
}


def long_id(key: str) -> str | None:
    """Return the id with 18 characters, None if it is none, or of neither a lead nor a contact.

    The last three characters tell which of the others are capitals, five at a time; so an id whose case
    was lost on the way, in a spreadsheet for example, is put right.
    """
    if not _ID.fullmatch(key):
        return None
    groups = [key[start : start + 5] for start in (0, 5, 10)]
    if len(key) == 18:
        groups = [
            _cased(group, _LETTERS.find(one)) for group, one in zip(groups, key[15:].upper(), strict=True)
        ]
    capitals = [sum(1 << place for place, one in enumerate(group) if one.isupper()) for group in groups]
    full = "".join([*groups, *(_LETTERS[number] for number in capitals)])
    return full if full[:3] in OBJECTS and full[15:] == (key[15:].upper() or full[15:]) else None


def _cased(group: str, capitals: int) -> str:
    """Return five characters with those in capitals whose bit is set."""
    return "".join(one.upper() if capitals >> place & 1 else one.lower() for place, one in enumerate(group))


def object_of(identifier: str) -> str:
    """Return the name of the object that a valid id is of."""
    return OBJECTS[identifier[:3]]


def rendered(value: Value, field: Mapping[str, Any]) -> Value:
    """Return a value as a field takes it in JSON; a longer text than it holds is cut."""
    kind = field.get("type")
    if kind == "boolean":
        return bool(value)  # a checkbox knows no null
    if value is None:
        return None
    if kind in ("date", "datetime"):
        moment = datetime.fromisoformat(str(value)).astimezone(UTC)
        written = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return written if kind == "datetime" else moment.date().isoformat()
    if kind in _TEXTS:
        return _text(value)[: field.get("length") or None] or None
    return value


def cell(value: Value) -> str:
    """Return a rendered value as a cell of a Bulk upload; an empty one would leave the field as it is."""
    return "#N/A" if value is None or value == "" else _text(value).replace("\r\n", "\n").replace("\r", "\n")


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format(Decimal(repr(value)), "f")  # never 1e-06
    return str(value)


def check(found: Mapping[str, Any], where: str, column: str) -> None:
    """Raise `Fatal` if a field cannot be written by this user, or lacks a value of its list."""
    if not found.get("updateable"):
        raise Fatal(
            f"The field {where} cannot be written by this user.",
            todo="give its permission set edit access to the field; a formula is never written",
        )
    values = {one.get("value") for one in found.get("picklistValues") or [] if one.get("active", True)}
    lacking = [value for value in _OPTIONS.get(column, ()) if value not in values]
    if found.get("restrictedPicklist") and lacking:
        raise Fatal(
            f"The list of {where} has no {', '.join(lacking)}.", todo="add these as API names of values"
        )


def definition(where: str, kind: Kind) -> dict[str, Any]:
    """Return what the Tooling API is to create; `where` is as ``Lead.score__c``."""
    label = where.partition(".")[2].removesuffix("__c").replace("_", " ").strip().capitalize()
    return {"FullName": where, "Metadata": {"label": label, "required": False, **_METADATA[kind]}}


def by_hand(fields: Mapping[str, Kind]) -> str:
    """Return what a person is to create."""
    return ", ".join(f"{where} ({_METADATA[kind]['type']})" for where, kind in fields.items())
