"""Reading and updating leads and contacts of Salesforce; converted and merged ones are followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.destinations.base import Record, Retriable, Value
from pipeline.destinations.http import Api
from pipeline.destinations.salesforce_answers import Outcome, outcome
from pipeline.destinations.salesforce_fields import OBJECTS, long_id, object_of

# Records in one call to write and to read; ids in one query, whose address may have 16,384 characters.
UPDATED, RETRIEVED, QUERIED = 200, 2000, 300
# Sent with every write: without it the vendor's interface lets active assignment rules give an updated lead
# another owner. A Bulk job runs none unless it names one (assignmentRuleId); there it is a second lock.
OWNER_STAYS = {"Sforce-Auto-Assign": "FALSE"}
_OF_LEADS = ("IsConverted", "ConvertedContactId")


def read(api: Api, base: str, fields: Sequence[str], ids: Iterable[str]) -> dict[str, Record]:
    """Return records by the ids that were asked for: a converted lead's contact, a merged record's survivor.

    Parameters
    ----------
    base
        Where the API of a version is, as ``/services/data/v62.0``.
    ids
        With 18 characters. What is not there, or deleted, is left out.
    """
    asked = list(dict.fromkeys(ids))
    found: dict[str, Record] = {}
    leads_to: dict[str, str] = {}
    todo = set(asked)
    while todo:
        there, onward = _look(api, base, fields, todo)
        found |= there
        leads_to |= onward
        todo = set(onward.values()) - set(found) - set(leads_to)
    ends = {one: _follow(one, leads_to) for one in asked}
    return {one: found[end] for one, end in ends.items() if end in found}


def update(api: Api, base: str, rows: Mapping[str, Mapping[str, Value]]) -> dict[str, Outcome]:
    """Write values by id, at most `UPDATED`; return what became of each, as far as is known."""
    ids = sorted(rows)  # leads and contacts apart: in one call, objects may alternate ten times only
    wanted = [{"attributes": {"type": object_of(one)}, "id": one, **rows[one]} for one in ids]
    body = {"allOrNone": False, "records": wanted}
    results = api.ask("PATCH", f"{base}/composite/sobjects", json=body, headers=OWNER_STAYS)
    if not isinstance(results, list) or len(results) != len(ids):  # else they are in the order of the rows
        return {}
    return {one: outcome(result, one) for one, result in zip(ids, results, strict=True)}


def _follow(identifier: str, leads_to: Mapping[str, str]) -> str:
    seen = set[str]()
    while identifier in leads_to and identifier not in seen:
        seen.add(identifier)
        identifier = leads_to[identifier]
    return identifier


def _look(
    api: Api, base: str, fields: Sequence[str], ids: set[str]
) -> tuple[dict[str, Record], dict[str, str]]:
    """Return the records that are there, and where those that are elsewhere now lead to."""
    found: dict[str, Record] = {}
    leads_to: dict[str, str] = {}
    for kind in OBJECTS.values():
        mine = sorted(one for one in ids if object_of(one) == kind)
        lost = []
        for some in _parts(mine, RETRIEVED):
            wanted = {"ids": some, "fields": ["Id", *fields, *(_OF_LEADS if kind == "Lead" else ())]}
            answer = api.ask("POST", f"{base}/composite/sobjects/{kind}", json=wanted)
            if not isinstance(answer, list):  # else what is not in it would count as gone
                raise Retriable("Salesforce gave an answer that says nothing.")
            shown = {str(one["Id"]): one for one in answer if one}
            for one in some:
                record = shown.get(one)
                contact = (record or {}).get("ConvertedContactId")
                if record is None:
                    lost.append(one)
                elif record.get("IsConverted") and contact and long_id(contact):
                    leads_to[one] = str(long_id(contact))
                else:
                    found[one] = Record(one, {name: record.get(name) for name in fields})
        leads_to |= _masters(api, base, kind, lost)
    return found, leads_to


def _masters(api: Api, base: str, kind: str, ids: Sequence[str]) -> dict[str, str]:
    """Return which of these records were merged, and into which."""
    found: dict[str, str] = {}
    for some in _parts(ids, QUERIED):
        listed = ", ".join(f"'{one}'" for one in some)
        query = f"SELECT Id, MasterRecordId FROM {kind} WHERE IsDeleted = true AND Id IN ({listed})"
        for one in api.ask_object("GET", f"{base}/queryAll", params={"q": query}).get("records", []):
            master = long_id(str(one.get("MasterRecordId") or ""))
            if master:
                found[str(one["Id"])] = master
    return found


def _parts(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])
