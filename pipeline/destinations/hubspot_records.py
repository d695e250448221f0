"""Reading and updating records of HubSpot in batches; merged ones are followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.destinations import hubspot_answers as answers
from pipeline.destinations.base import Record, Refused, Written
from pipeline.destinations.http import Api

BATCH = 100


def read(api: Api, path: str, fields: Sequence[str], ids: Iterable[str]) -> dict[str, Record]:
    """Return records by the ids that were asked for: of a merged one, the record that it was merged into."""
    found: dict[str, Record] = {}
    asked = list(dict.fromkeys(ids))
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        wanted = {"inputs": [{"id": one} for one in some], "properties": [*fields, answers.MERGED]}
        answer = api.ask_object("POST", f"{path}/batch/read", json=wanted)
        there, gone = answers.records(answer, fields), answers.gone(answer)
        for one in some:
            record = there.get(one) or (None if one in gone else _alone(api, path, fields, one))
            if record is not None:
                found[one] = record
    return found


def _alone(api: Api, path: str, fields: Sequence[str], identifier: str) -> Record | None:
    """Return what one id leads to: batches leave some records out without a word."""
    response = api.request("GET", f"{path}/{identifier}", params={"properties": ",".join(fields)})
    if response.status_code == 404:
        return None
    return answers.record(api.parse(api.accepted(response)), fields)


def update(api: Api, path: str, rows: Mapping[str, Mapping[str, str]]) -> Written:
    """Write values by id, at most `BATCH`.

    Raises
    ------
    Problem
        `Refused` if HubSpot refuses the whole batch, as it does for one conflict in it.
    """
    # With a trace id on each row, HubSpot answers row by row instead of refusing a batch for one.
    wanted = [{"id": one, "objectWriteTraceId": one, "properties": values} for one, values in rows.items()]
    response = api.request("POST", f"{path}/batch/update", json={"inputs": wanted})
    answer = api.parse(response)
    if response.status_code == 404 and len(rows) == 1 and answers.is_gone(answer):
        return Written(gone=tuple(rows))
    if response.status_code >= 400:
        said = api.tell(answers.told(answer))
        raise Refused(f"HubSpot refused the batch ({response.status_code}): {said}")
    return answers.verdict(rows, answer if isinstance(answer, dict) else {})
