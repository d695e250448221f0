"""Salesforce's interface: queries, and their pages."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from .answers import as_json, salesforce_error
from .context import saw, store
from .salesforce import checked_fields, short_enough, shown
from .salesforce_setup import BASE, PERMISSION_SET, PREFIXES, fields_of, long_id, session
from .soql import Query, parse

routes = Blueprint("salesforce_query", __name__)
Record = dict[str, Any]


@routes.get(f"{BASE}/query/")
@routes.get(f"{BASE}/query")
@session
def query(version: str) -> Response:
    return _query(version, deleted=False)


@routes.get(f"{BASE}/queryAll/")
@routes.get(f"{BASE}/queryAll")
@session
def query_all(version: str) -> Response:
    return _query(version, deleted=True)


def _query(version: str, deleted: bool) -> Response:
    short_enough()
    try:
        asked = parse(request.args.get("q", ""))
    except ValueError as error:
        return salesforce_error(400, "MALFORMED_QUERY", str(error))
    if asked.kind == "PermissionSet":
        records = [{"attributes": {"type": "PermissionSet"}, "Id": PERMISSION_SET}]
    elif asked.kind not in PREFIXES:
        text = f"sObject type '{asked.kind}' is not supported."
        return salesforce_error(400, "INVALID_TYPE", text)
    else:
        records = _found(asked, version, deleted)
    if asked.count:
        return as_json({"totalSize": len(records), "done": True, "records": []}, 200)
    page = store().setting("sf_query_page", 2000)
    cursor = f"01g5e{int(time.time() * 1e6) % 10**10:010d}AAA"
    if len(records) > page:
        store().run("insert or replace into cursors values (?, ?)", (cursor, json.dumps(records)))
    return _page(version, cursor, records, 0)


def _found(asked: Query, version: str, deleted: bool) -> list[Record]:
    names = checked_fields(asked.kind, asked.fields)
    wanted = {checked_fields(asked.kind, [name])[0]: value for name, value in asked.where.items()}
    ids = wanted.pop("Id", None)
    if ids is None:
        records = store().all(asked.kind, deleted)
    else:
        found = [store().find(asked.kind, one) for one in dict.fromkeys(long_id(str(i)) for i in ids)]
        records = [one for one in found if one and deleted >= one["deleted"]]
    every = list(fields_of(asked.kind))
    fits = [
        one
        for one in records
        if all(shown(asked.kind, one, every, version)[name] in values for name, values in wanted.items())
    ]
    return [shown(asked.kind, one, names, version) for one in fits][: asked.limit]


@routes.get(f"{BASE}/query/<cursor>")
@routes.get(f"{BASE}/queryAll/<cursor>")
@session
def more(version: str, cursor: str) -> Response:
    name, _, place = cursor.partition("-")
    kept = store().rows("select records from cursors where id = ?", (name,))
    if not kept or not place.isdigit():
        return salesforce_error(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(version, name, json.loads(kept[0]["records"]), int(place))


def _page(version: str, cursor: str, records: list[Record], place: int) -> Response:
    page = store().setting("sf_query_page", 2000)
    done = place + page >= len(records)
    saw(len(records[place:][:page]))
    answer: dict[str, Any] = {"totalSize": len(records), "done": done}
    if not done:
        answer["nextRecordsUrl"] = f"/services/data/v{version}/query/{cursor}-{place + page}"
    return as_json({**answer, "records": records[place:][:page]}, 200)
