"""What HubSpot's answers mean: of a request, of a batch, of each row in it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.destinations.answers import retry_after, tidy
from pipeline.destinations.base import Fatal, Problem, Record, Refused, Retriable, Written

if TYPE_CHECKING:
    import httpx

# The window that the rate limit is counted in, seconds: so long a 429 lasts that does not say how long.
WINDOW = 10.0
# HubSpot locks records for 2 s while many of them are written at once (423).
LOCK = 2.0
_RENEW = "renew the token: a service key, or that of a private app that is there already"
# The property with the ids of the records that were merged into a record; its own id is new after a merge.
MERGED = "hs_merged_object_ids"
# What scopes call an object that the settings name by its number; those made by an account have one name.
_OBJECTS = {"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-136": "leads", "contact": "contacts"}
_CUSTOM = re.compile(r"2-\d+|p\d*_.+")


def meaning(response: httpx.Response, kind: str = "contacts") -> Problem | None:
    """Return what an answer means, None if its status says all of it; `kind` is the type of object."""
    error, status = _json(response), response.status_code
    said = tidy(told(error))
    if status == 429:
        return _too_many(error, response)
    if status in (423, 477):  # records are locked; the account is being moved, for up to a day
        return Retriable(f"HubSpot is busy ({status}): {said}", after=retry_after(response) or LOCK)
    if status >= 500 or error.get("status") != "error":
        return None
    if status == 403 or error.get("category") == "MISSING_SCOPES":
        return Fatal(f"HubSpot does not allow this ({status}): {said}", todo=_scopes(kind))
    if "AUTHENTICATION" in str(error.get("category")):
        return Fatal(f"HubSpot does not accept the sign-in ({status}): {said}", todo=_RENEW)
    if status < 400:  # an error that says it is none
        return Retriable(f"HubSpot answered with an error inside a success: {said}", applied=True)
    return _property_problem(error)


def told(error: Any) -> str:
    """Return the messages of an error, without the JSON that HubSpot puts into some of them."""
    if not isinstance(error, Mapping):
        return ""
    first, _, details = str(error.get("message") or error.get("category") or "").partition(": [{")
    try:
        found = [str(one["message"]) for one in json.loads(f"[{{{details}" if details else "[]")]
    except (ValueError, KeyError, TypeError):
        found = []
    return " ".join(dict.fromkeys(found)) or first


def is_gone(error: Any) -> bool:
    """Whether an error says that there is no such record."""
    return isinstance(error, Mapping) and error.get("category") == "OBJECT_NOT_FOUND"


def gone(answer: Mapping[str, Any]) -> set[str]:
    """Return the ids of records that are not there, of those that a batch asked for."""
    return {key for error in _errors(answer) if is_gone(error) for key in _ids(error)}


def record(found: Mapping[str, Any], fields: Iterable[str]) -> Record:
    """Return a record as it was shown."""
    held = found.get("properties") or {}
    return Record(str(found["id"]), {name: held.get(name) for name in fields})


def records(answer: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Record]:
    """Return the records of a batch by their ids, and by the ids of those that were merged into them."""
    own: dict[str, Record] = {}
    merged: dict[str, Record] = {}
    for found in answer.get("results") or []:
        one = record(found, fields)
        own[one.id] = one
        formerly = (found.get("properties") or {}).get(MERGED) or ""
        merged |= dict.fromkeys((former.strip() for former in str(formerly).split(";")), one)
    return merged | own


def verdict(keys: Collection[str], answer: Mapping[str, Any]) -> Written:
    """Return what became of each row of a batch: only those in the results were written.

    Raises
    ------
    Problem
        `Fatal` if a property is not there; `Refused` if an error does not say which row it is of.
    """
    written = {str(result.get("id")) for result in answer.get("results") or []}
    refused: dict[str, str] = {}
    lost, unplaced = set[str](), ""
    for error in _errors(answer):
        problem = _property_problem(error, applied=True)
        if problem is not None:
            raise problem
        ids = [key for key in _ids(error) if key in keys]
        if is_gone(error):
            lost.update(ids)
        else:
            refused |= dict.fromkeys(ids, tidy(told(error)))
        unplaced = unplaced if ids else tidy(told(error))
    left = [key for key in keys if key not in written and key not in lost and key not in refused]
    if unplaced and left:
        raise Refused(unplaced, applied=True)
    return Written(refused, gone=tuple(sorted(lost)), unconfirmed=tuple(left))


def _scopes(kind: str) -> str:
    name = "custom" if _CUSTOM.fullmatch(kind) else _OBJECTS.get(kind, kind)
    return (
        "give the service key, or the private app that is there already, the scopes "
        f"crm.objects.{name}.read, crm.objects.{name}.write and crm.schemas.{name}.read, and, to create "
        f"properties, crm.schemas.{name}.write"
    )


def _too_many(error: Mapping[str, Any], response: httpx.Response) -> Problem:
    if "DAILY" in str(error.get("policyName")).upper():
        return Fatal(
            "HubSpot's daily quota is used up; the rest is pending until tomorrow.",
            todo="run the same command again after midnight of the account's time zone",
        )
    said = tidy(told(error))
    return Retriable(f"HubSpot has too many requests: {said}", after=retry_after(response) or WINDOW)


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _errors(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [error for error in answer.get("errors") or [] if isinstance(error, dict)]


def _ids(error: Mapping[str, Any]) -> Iterator[str]:
    """Give the ids that an error is of; HubSpot names them in several ways."""
    context = error.get("context") or {}
    for found in (context.get("ids"), context.get("id"), context.get("objectWriteTraceId"), error.get("id")):
        if found is not None:
            yield from map(str, found if isinstance(found, list) else [found])


def _property_problem(error: Mapping[str, Any], *, applied: bool = False) -> Problem | None:
    whole = json.dumps(error)
    if "PROPERTY_DOESNT_EXIST" not in whole and "READ_ONLY_VALUE" not in whole:
        return None
    return Fatal(
        f"HubSpot has no such property, or it cannot be written: {tidy(told(error))}",
        todo="create it with `propense sync setup`, or correct the fields of the destination",
        applied=applied,
    )
