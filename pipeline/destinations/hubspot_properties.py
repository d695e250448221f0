"""Properties of HubSpot: what they must be to hold scores, how values are written, how they are created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.destinations.base import Fatal, Kind, Value
from pipeline.destinations.http import Api

GROUP = "propense"
# What is ever written by the column that it comes from, where a property may be a list of options.
_GRADES = tuple(f"{fit}{engagement}" for fit in "ABCD" for engagement in "1234")
_BANDS = {"mql": "MQL", "nurture": "Nurture", "let_go": "Let go"}
OPTIONS: Mapping[str, Iterable[str]] = {"band": _BANDS, "grade": _GRADES, "sales_ready": ("true", "false")}
# By kind: the property's type, and how HubSpot shows it.
TYPES: Mapping[Kind, tuple[str, str]] = {
    "number": ("number", "number"),
    "integer": ("number", "number"),
    "text": ("string", "text"),
    "long_text": ("string", "textarea"),
    "choice": ("enumeration", "select"),
    "boolean": ("bool", "booleancheckbox"),
    "time": ("datetime", "date"),
}


def text(value: Value, type_: str | None = None) -> str:
    """Return a value as HubSpot takes it for a property of a type: all are texts, and "" clears."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format(Decimal(repr(value)), "f")  # never 1e-06
    if type_ not in ("date", "datetime"):
        return value
    moment = datetime.fromisoformat(value).astimezone(UTC)
    written = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return written if type_ == "datetime" else moment.date().isoformat()


def check(found: Mapping[str, Any], column: str) -> None:
    """Raise `Fatal` if a property is HubSpot's own, cannot be written, or lacks an option."""
    name = found["name"]
    if found.get("hubspotDefined"):
        raise Fatal(f"'{name}' is HubSpot's own property.", todo="name a property of your own")
    if found.get("calculated") or (found.get("modificationMetadata") or {}).get("readOnlyValue"):
        raise Fatal(f"The property '{name}' cannot be written.", todo="name one that is not calculated")
    options = {str(option.get("value")) for option in found.get("options") or []}
    lacking = [option for option in OPTIONS.get(column, ()) if option not in options]
    if found.get("type") == "enumeration" and lacking:
        raise Fatal(
            f"The property '{name}' has no option {', '.join(lacking)}.",
            todo="add these as internal values of its options, or name a property for text",
        )


def definition(name: str, kind: Kind) -> dict[str, Any]:
    """Return what HubSpot is to create."""
    type_, shown_as = TYPES[kind]
    labels = {"choice": _BANDS, "boolean": {"true": "Yes", "false": "No"}}.get(kind, {})
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": type_,
        "fieldType": shown_as,
        "groupName": GROUP,
        "formField": False,
        "options": [
            {"value": value, "label": label, "displayOrder": place, "hidden": False}
            for place, (value, label) in enumerate(labels.items())
        ],
    }


def create(api: Api, path: str, fields: Mapping[str, Kind]) -> None:
    """Create properties in a group of their own. Raises `Fatal` with what a person is to create instead."""
    wanted: list[tuple[str, dict[str, Any]]] = [(f"{path}/groups", {"name": GROUP, "label": "Propense"})]
    wanted += [(path, definition(name, kind)) for name, kind in fields.items()]
    for where, made in wanted:
        response = api.request("POST", where, json=made)
        if response.status_code >= 400 and response.status_code != 409:  # 409: it is there already
            raise Fatal(
                f"HubSpot does not create '{made['name']}'{api.said(response)}",
                todo=f"create by hand, in Settings, Properties: {by_hand(fields)}",
            )


def by_hand(fields: Mapping[str, Kind]) -> str:
    """Return what a person is to create."""
    return ", ".join(
        f"{name} (type {TYPES[kind][0]}, shown as {TYPES[kind][1]})" for name, kind in fields.items()
    )
