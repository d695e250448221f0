"""What Salesforce's answers mean: of a request, and of each row in a collection or a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.destinations.answers import retry_after, tidy
from pipeline.destinations.base import Fatal, Problem, Retriable, Written

if TYPE_CHECKING:
    import httpx

# Why a row was not written: the code and the message. None: it was.
Outcome = tuple[str, str] | None

_GONE = {"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"}
# Another try helps: a lock; a lead that was converted since it was read, so that its contact is written.
_AGAIN = {
    "UNABLE_TO_LOCK_ROW",
    "SERVER_UNAVAILABLE",
    "REQUEST_RUNNING_TOO_LONG",
    "CANNOT_UPDATE_CONVERTED_LEAD",
}
# A result that says nothing of the row: it is read back.
_UNKNOWN: Outcome = ("REQUEST_RUNNING_TOO_LONG", "no result")
_FATAL = {
    "INVALID_SESSION_ID": "sign in again: renew the token, or check the external client app, or the "
    "connected app that is there already",
    "INVALID_FIELD": "create the field with `propense sync setup`, or correct the fields of the destination; "
    "a field that field-level security hides is not there for this user either",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "give the user's permission set edit access to the field",
    "INVALID_TYPE": "give the user's permission set access to leads and contacts",
    "INSUFFICIENT_ACCESS": "give the user's permission set edit access to leads and contacts",
    "API_DISABLED_FOR_ORG": "give the user the permission 'API Enabled'; not every edition has it",
    "API_CURRENTLY_DISABLED": "give the user the permission 'API Enabled'",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "set a new password for the user",
    "INACTIVE_ORG_OR_USER": "activate the user",
}
# Of one record: somebody else's. Of all: the user may write none.
_ACCESS = "INSUFFICIENT_ACCESS_OR_READONLY"
_FIELD_IN_JOB = "Field name not found"


def codes(response: httpx.Response) -> list[tuple[str, str]]:
    """Return the codes and messages of an answer that is an error; an empty list if it is none."""
    try:
        found = response.json()
    except ValueError:
        return []
    errors = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [
        (str(one["errorCode"]), tidy(str(one.get("message", "")))) for one in errors if "errorCode" in one
    ]


def meaning(response: httpx.Response) -> Problem | None:
    """Return what an answer means, None if its status says all of it."""
    found, status = codes(response), response.status_code
    if not found:
        return None
    code, said = found[0]
    if code == "REQUEST_LIMIT_EXCEEDED":
        if status == 429 or "Concurrent" in said:
            return Retriable(f"Salesforce has too many requests: {said}", after=retry_after(response))
        return Fatal(
            f"Salesforce's daily quota is used up; the rest is pending: {said}",
            todo="run the same command again when requests of the last 24 hours have expired",
        )
    if code in _FATAL:
        return Fatal(f"Salesforce: {code}: {said}", todo=_FATAL[code])
    if code in _AGAIN and status < 500:
        return Retriable(f"Salesforce: {code}: {said}", after=retry_after(response))
    if status < 400:
        return Retriable(f"Salesforce answered with an error inside a success: {code}: {said}", applied=True)
    return None


def outcome(result: Any, identifier: str) -> Outcome:
    """Return what became of one row of a collection, by its result."""
    if not isinstance(result, Mapping):
        return _UNKNOWN
    if result.get("success") is True:
        return None if str(result.get("id", ""))[:15] == identifier[:15] else _UNKNOWN
    errors: list[Mapping[str, Any]] = result.get("errors") or [{}]
    return str(errors[0].get("statusCode", "UNKNOWN")), tidy(str(errors[0].get("message", "")))


def settled(
    keys: Sequence[str], outcomes: Mapping[str, Outcome], refused: Mapping[str, str], *, applied: bool = True
) -> Written:
    """Return what became of each row, by what was said of it; of whom nothing was said is unconfirmed.

    Raises
    ------
    Fatal
        Nothing but a person helps, whichever row it was said of.
    """
    wrong = {key: found for key in keys if (found := outcomes.get(key)) is not None}
    for code, said in wrong.values():
        if code in _FATAL:
            raise Fatal(f"Salesforce: {code}: {said}", todo=_FATAL[code], applied=applied)
    if len(wrong) == len(keys) > 1 and all(code == _ACCESS for code, _ in wrong.values()):
        raise Fatal(
            "Salesforce lets this user write none of these records.", todo=_FATAL["INSUFFICIENT_ACCESS"]
        )
    again = {key for key, (code, _) in wrong.items() if code in _AGAIN}
    gone = [key for key, (code, _) in wrong.items() if code in _GONE]
    said_no = {
        key: f"{code}: {text}"
        for key, (code, text) in wrong.items()
        if key not in again and code not in _GONE
    }
    left = [key for key in keys if key in again or key not in outcomes]
    return Written({**refused, **said_no}, gone=tuple(gone), unconfirmed=tuple(left))


def lacks_field(message: str) -> Fatal | None:
    """Return what a job means that failed because of a field."""
    return Fatal(f"Salesforce: {message}", todo=_FATAL["INVALID_FIELD"]) if _FIELD_IN_JOB in message else None
