"""Servers as peers: PostgreSQL, Tryton, and the emulator of HubSpot and Salesforce."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg
from crm.peers import Held, Peer
from crm.sql_peers import CREATE, TABLE, SqlPeer
from servers.emulator import Emulator
from servers.tryton import DATABASE, PASSWORD, SCORER, Tryton
from servers.tryton import FIELDS as TRYTON_FIELDS

AUDIT = f"""
CREATE TABLE audit (number BIGINT GENERATED ALWAYS AS IDENTITY, id TEXT, field TEXT, at TIMESTAMPTZ);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (id, field, at) SELECT NEW.id, n.key, clock_timestamp()
    FROM jsonb_each(to_jsonb(NEW)) AS n JOIN jsonb_each(to_jsonb(OLD)) AS o ON o.key = n.key
    WHERE n.value IS DISTINCT FROM o.value AND n.key <> 'poisoned';
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON "{TABLE}" FOR EACH ROW EXECUTE FUNCTION note();
"""


class PostgresPeer(SqlPeer):
    """A table in a PostgreSQL database; a trigger keeps the audit."""

    type = "postgresql"
    writes = r'(?<!EXPLAIN )UPDATE .*"Le ads" AS t SET'
    mark = "%s"

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = urlsplit(url).port or 0
        self.execute(CREATE.format(key="TEXT", text="TEXT", real="DOUBLE PRECISION", time="TIMESTAMPTZ"))
        self.execute(AUDIT)

    def settings(self, port: int | None = None) -> dict[str, Any]:
        url = self.url.replace(f":{self.port}/", f":{port or self.port}/")
        return {"url": url, "table": TABLE, "key": "id"}

    def execute(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> list[tuple[Any, ...]]:
        with closing(psycopg.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            if len(rows) > 1:
                cursor.executemany(statement, rows)
            else:
                cursor.execute(statement, rows[0] or None)
            return cursor.fetchall() if cursor.description and len(rows) == 1 else []

    def effects(self) -> list[tuple[str, str]]:
        return [(key, field) for key, field in self.execute("SELECT id, field FROM audit ORDER BY number")]


class TrytonPeer(Peer):
    """Leads of a Tryton server, as many as its database has; its own history is the audit."""

    type = "tryton"
    writes = r'"model\.sale\.opportunity\.write", *"params": *\[\[\d'
    fields = TRYTON_FIELDS
    others = {"company": 1, "currency": 1, "state": "lead"}  # noqa: RUF012
    secret = PASSWORD

    def __init__(self, server: Tryton) -> None:
        self.server = server
        self.port = server.port
        self._seeded = 0

    def settings(self, port: int | None = None) -> dict[str, Any]:
        return {
            "url": f"http://127.0.0.1:{port or self.port}", "database": DATABASE, "user": SCORER,
            "password": {"env": "TEST_TRYTON_PASSWORD"},
        }  # fmt: skip

    def seed(self, count: int) -> list[str]:
        """Take so many of the leads that are there."""
        keys = self.server.ids()[self._seeded : self._seeded + count]
        assert len(keys) == count
        self._seeded += count
        return keys

    def records(self) -> Held:
        changing = {"id", "write_date", "write_uid"}
        return {
            str(key): {name: _of_tryton(name, value) for name, value in row.items() if name not in changing}
            for key, row in self.server.leads().items()
        }

    def effects(self) -> list[tuple[str, str]]:
        """Return what its history says: each state differs from the one before in what was changed."""
        rows = self.server._rows("SELECT * FROM sale_opportunity__history ORDER BY __id")
        last: dict[int, dict[str, Any]] = {}
        found = []
        for row in rows:
            before = last.get(row["id"], row)
            last[row["id"]] = row
            names = self.fields.values()
            found += [(str(row["id"]), name) for name in names if before[name] != row[name]]
        return found

    def sent(self) -> int:
        return len(self.server.writes())

    def poison(self, key: str) -> None:
        self.server.change(key, reference="frozen")

    def heal(self, key: str) -> None:
        self.server.change(key, reference=None)

    def delete(self, key: str) -> None:
        self.server.delete(key)


def _of_tryton(name: str, value: Any) -> Any:
    """Return a value of its SQLite database as its interface would show it."""
    return bool(value) if name in ("sales_ready", "active") and value is not None else value


class EmulatorPeer(Peer):
    """Records of the emulator."""

    object: str

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.port = emulator.port
        self._number = 0

    def seed(self, count: int) -> list[str]:
        first, self._number = self._number, self._number + count
        return self.emulator.seed(self.object, [self.person(n) for n in range(first, self._number)])

    def person(self, number: int) -> dict[str, Any]:
        return dict(self.others)

    def records(self) -> Held:
        names = [*self.others, *self.fields.values()]
        return {
            key: dict.fromkeys(names) | values for key, values in self.emulator.records(self.object).items()
        }

    def effects(self) -> list[tuple[str, str]]:
        return [(row["record"], row["field"]) for row in self.emulator.audit(kind="update")]

    def sent(self) -> int:
        writes = self.writes.partition(r"\n")[0]
        asked = ((f"{row['method']} {row['path']}", row["rows"]) for row in self.emulator.requests())
        return sum(rows or 0 for request, rows in asked if re.search(writes, request))

    def poison(self, key: str) -> None:
        self.emulator.fault("poison", record=key)

    def heal(self, key: str) -> None:
        self.emulator.clear_faults()

    def delete(self, key: str) -> None:
        self.emulator.delete(self.object, key)


class HubSpotPeer(EmulatorPeer):
    """Contacts of the emulated HubSpot."""

    type = "hubspot"
    writes = r'^POST /crm/v3/objects/contacts/batch/update\n.*"id"'  # one without is how rights are checked
    object = "contacts"
    secret = Emulator.hubspot_token
    others = {  # noqa: RUF012
        "firstname": "Zoë", "lastname": "O'Hara", "lifecyclestage": "opportunity", "hubspot_owner_id": "42",
    }  # fmt: skip
    fields = {  # noqa: RUF012
        "propensity": "propense_propensity", "score": "propense_score", "band": "propense_band",
        "grade": "propense_grade", "sales_ready": "propense_sales_ready", "reasons": "propense_reasons",
        "as_of": "propense_as_of", "run_id": "propense_run_id", "run_sequence": "propense_run",
    }  # fmt: skip

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        options = [{"label": band, "value": band} for band in ("mql", "nurture", "let_go")]
        types: dict[str, tuple[str, dict[str, Any]]] = {
            "propensity": ("number", {}), "score": ("number", {}), "grade": ("string", {}),
            "band": ("enumeration", {"options": options}), "sales_ready": ("bool", {}),
            "reasons": ("string", {"fieldType": "textarea"}), "as_of": ("datetime", {}),
            "run_id": ("string", {}), "run_sequence": ("number", {}),
        }  # fmt: skip
        for column, name in self.fields.items():
            type_, more = types[column]
            emulator.add_field(self.object, name, type_, **more)

    def settings(self, port: int | None = None) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{port or self.port}", "token": {"env": "TEST_HUBSPOT_TOKEN"}}


class SalesforcePeer(EmulatorPeer):
    """Leads of the emulated Salesforce."""

    type = "salesforce"
    writes = r"^(PATCH .*/composite/sobjects|PUT .*/batches)"
    object = "Lead"
    secret = Emulator.salesforce_secret
    unknown = ("00Q000000000001AAA", "none")
    others = {  # noqa: RUF012
        "FirstName": "Zoë", "LastName": "O'Hara", "Status": "Working", "OwnerId": "0055e000000EmulAAA",
    }  # fmt: skip
    fields = {  # noqa: RUF012
        "propensity": "Propense_Propensity__c", "score": "Propense_Score__c", "band": "Propense_Band__c",
        "grade": "Propense_Grade__c", "sales_ready": "Propense_Sales_Ready__c",
        "reasons": "Propense_Reasons__c", "as_of": "Propense_As_Of__c", "run_id": "Propense_Run_Id__c",
        "run_sequence": "Propense_Run__c",
    }  # fmt: skip

    def __init__(self, emulator: Emulator, bulk_from: int = 2000) -> None:
        super().__init__(emulator)
        self.bulk_from = bulk_from
        bands = [{"value": band, "active": True, "label": band} for band in ("mql", "nurture", "let_go")]
        types: dict[str, tuple[str, dict[str, Any]]] = {
            "propensity": ("double", {"precision": 18, "scale": 6}), "as_of": ("datetime", {}),
            "score": ("double", {"precision": 18, "scale": 0}), "grade": ("string", {"length": 10}),
            "band": ("picklist", {"picklistValues": bands, "restrictedPicklist": True}),
            "sales_ready": ("boolean", {}), "reasons": ("textarea", {"length": 32768}),
            "run_id": ("string", {"length": 80}), "run_sequence": ("double", {"precision": 18, "scale": 0}),
        }  # fmt: skip
        for kind in ("Lead", "Contact"):
            for column, name in self.fields.items():
                type_, more = types[column]
                emulator.add_field(kind, name, type_, **more)

    def absent(self, column: str) -> str:
        return f"Brand_New_{column}__c"

    def settings(self, port: int | None = None) -> dict[str, Any]:
        return {
            "url": f"http://127.0.0.1:{port or self.port}", "client_id": {"env": "TEST_SF_KEY"},
            "client_secret": {"env": "TEST_SF_SECRET"}, "bulk_from": self.bulk_from,
            "permission_set": "Propense",
        }  # fmt: skip
