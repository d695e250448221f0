"""The emulator of HubSpot's and Salesforce's interfaces as tests use it: started, killed, scripted, asked."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

TESTS = Path(__file__).resolve().parents[1]
Record = dict[str, Any]


class Emulator:
    """One process on 127.0.0.1, whose state is in one file; used as a context manager.

    It keeps its port and its state over `kill` and `start`. Audit rows have time, kind (update, create,
    delete, merge, field, job), object, record, field, old, new and request (its number; 0: the test did it).
    """

    # What is needed to sign in; the same as in the packages of the emulator.
    hubspot_token = "pat-emulated-private-app"
    hubspot_client_id, hubspot_client_secret = "emulated-client", "emulated-secret"
    hubspot_refresh_token = "emulated-refresh-token"
    salesforce_key, salesforce_secret = "emulated-consumer-key", "emulated-consumer-secret"
    salesforce_user, salesforce_password = "integration@example.com", "emulated-password"

    def __init__(self, folder: Path) -> None:
        self.database = folder / "emulator.sqlite"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the process ------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on the port that it had before; if it runs, do nothing."""
        if self._process and self._process.poll() is None:
            return
        self.stop()
        command = [sys.executable, "-m", "servers.emulated", str(self.database), str(self.port)]
        # It ends when its standard input does: so it never outlives the tests.
        self._process = subprocess.Popen(
            command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError(f"the emulator did not start (port {self.port})")
        self.port = json.loads(line)["port"]
        self._client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def kill(self) -> None:
        """Kill it as by kill -9, in the middle of whatever it does."""
        if self._process:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """End the process, and forget it; its state stays."""
        if self._client:
            self._client.close()
        if self._process:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream:
                    stream.close()
        self._process = self._client = None

    def wait_until_dead(self, seconds: float = 30) -> None:
        """Wait for a crash that a fault scripts."""
        assert self._process
        self._process.wait(seconds)

    # -- asking and telling ------------------------------------------------------------------------------

    def _ask(self, path: str, **parameters: Any) -> Any:
        assert self._client, "the emulator does not run"
        return self._client.get(f"/control{path}", params=parameters).raise_for_status().json()

    def _tell(self, path: str, body: Any = None) -> Any:
        assert self._client, "the emulator does not run"
        response = self._client.post(f"/control{path}", json=body if body is not None else {})
        assert response.status_code == 200, response.text
        return response.json()

    def reset(self) -> None:
        """Forget all records, fields, tokens, faults, settings, requests, and the audit."""
        self._tell("/reset")

    def set(self, **settings: Any) -> None:
        """Change how it behaves; each setting is described in `servers/emulated/limits.md`."""
        self._tell("/settings", settings)

    def seed(self, kind: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Put records there without an audit, and return their ids. Object: contacts, Lead or Contact.

        A record may give its own `id` (contacts) or `Id` (15 or 18 characters).
        """
        return self._tell("/seed", {"object": kind, "records": list(records)})["ids"]

    def fault(self, do: str, **more: Any) -> None:
        """Script a fault: see `servers/emulated/faults.py`."""
        self._tell("/faults", {"do": do, **more})

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """Script several at once."""
        self._tell("/faults", list(faults))

    def clear_faults(self) -> None:
        assert self._client, "the emulator does not run"
        self._client.delete("/control/faults").raise_for_status()

    def audit(self, people: bool = False, kind: str | None = None) -> list[Record]:
        """Return the effective writes in their order; with `people` also what tests did by hand."""
        rows = self._ask("/audit")
        return [row for row in rows if (people or row["request"]) and kind in (None, row["kind"])]

    def ineffective(self) -> list[Record]:
        """Return the writes of a value that was there already."""
        return self._ask("/audit", effective=0)

    def requests(self, path: str = "", method: str | None = None) -> list[Record]:
        """Return the requests with `path` in the path: number, time, method, path, status, rows, answered."""
        found = [row for row in self._ask("/requests") if path in row["path"]]
        return [row for row in found if method in (None, row["method"])]

    def record(self, kind: str, identifier: str) -> Record | None:
        """Return the values of a record, None if it is deleted or merged away, or never was."""
        found = self._ask(f"/records/{kind}/{identifier}")
        return None if found is None or found["deleted"] else found["data"]

    def records(self, kind: str) -> dict[str, Record]:
        """Return the values of all records that are there, by id."""
        return {row["id"]: row["data"] for row in self._ask(f"/records/{kind}")}

    def jobs(self) -> list[Record]:
        """Return the Bulk jobs in the order they were made."""
        return self._ask("/jobs")

    # -- what people do there ------------------------------------------------------------------------------

    def merge(self, kind: str, winner: str, loser: str, new: bool = True) -> str:
        """Merge two records; return the id of the one that remains, for contacts a `new` one."""
        return self._tell("/merge", {"object": kind, "winner": winner, "loser": loser, "new": new})["id"]

    def delete(self, kind: str, identifier: str) -> None:
        self._tell("/delete", {"object": kind, "id": identifier})

    def convert(self, lead: str) -> str:
        """Convert a lead into a contact, and return the contact's id."""
        return self._tell("/convert", {"id": lead})["id"]

    def add_field(self, kind: str, name: str, type: str, **more: Any) -> None:
        """Add a field.

        Of contacts: number, string, bool, enumeration (with options), date or datetime. Of Lead or
        Contact: double (with precision and scale), string or textarea (with length), boolean, datetime,
        picklist (with picklistValues and restrictedPicklist).
        """
        self._tell("/fields", {"object": kind, "name": name, "type": type, "more": more})

    def remove_field(self, kind: str, name: str) -> None:
        self._tell("/fields/remove", {"object": kind, "name": name})

    def revoke(self, for_good: bool = False) -> None:
        """Revoke all tokens; `for_good`: no new one can be had either."""
        self._tell("/revoke", {"for_good": for_good})

    def session(self) -> str:
        """Return the id of a new Salesforce session, made without signing in."""
        token = f"00D5e000000Emul!{secrets.token_urlsafe(24)}"
        self._tell("/tokens/add", {"token": token, "vendor": "salesforce"})
        return token
