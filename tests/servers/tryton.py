"""A Tryton server for tests: the real one, as a process of its own, on a copy of a database of leads.

Tryton is GPL-3: it is installed for the tests only, and nothing here imports it.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import distributions
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

HERE = Path(__file__).resolve().parent
MODULE = HERE / "tryton_module"
DATABASE = "crm"
PASSWORD = "a kettle of blue fish"
# Whose rights are what an integration should have: to read and write leads, and nothing else.
SCORER = "scorer"
# May read leads but not write them; may write them but for the score; has no rights at all.
READER, HALF, STRANGER = "reader", "half", "stranger"
LEADS = 600
# Columns of scores.parquet, and the fields of the module in `tryton_module` that they are written to.
FIELDS = {
    "propensity": "propensity", "score": "score", "band": "band", "grade": "grade",
    "sales_ready": "sales_ready", "reasons": "reasons", "as_of": "scored_at", "run_id": "run_id",
    "run_sequence": "run_sequence",
}  # fmt: skip
_PATIENCE = 90


class Refusal(Exception):
    """What a server said in place of a result."""


class Tryton:
    """A server on 127.0.0.1 whose database has `LEADS` leads; used as a context manager.

    `start` and `kill` may follow each other as often as one likes: the address stays.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="propense-tryton-"))
        self.path = self.folder / f"{DATABASE}.sqlite"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.switches = self.folder / "switches"
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(timeout=60, trust_env=False)
        self._session: str | None = None
        self._changed = True

    def __enter__(self) -> Tryton:
        try:
            self.reset()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The process.

    def start(self) -> None:
        """Start the server, also after it was killed; return when it answers."""
        if self._process is not None:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trytond.cli", "-c", str(_configure(self.folder, self.port)),
                 "-d", DATABASE],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=_environment({"PROPENSE_TEST_SWITCHES": str(self.switches)}),
            )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"trytond did not start: {self.log()[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server; nothing happens if it does not run."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """Crash: SIGKILL. What was not committed is gone."""
        self._end(subprocess.Popen.kill)

    def reset(self) -> None:
        """Bring the database back to what it was at first, and the server to life."""
        shutil.rmtree(self.switches, ignore_errors=True)
        self.switches.mkdir()
        self._session = None
        if self._changed or self._process is None:
            # It keeps rights and users in memory, so a restored database alone would not do.
            self.kill()
            for left in self.folder.glob(f"{self.path.name}*"):
                left.unlink()
            shutil.copyfile(template(), self.path)
            self._changed = False
            self.start()
        else:
            with closing(sqlite3.connect(template())) as first, closing(sqlite3.connect(self.path)) as now:
                first.backup(now)

    def close(self) -> None:
        """Stop the server and remove all that it has written."""
        self.kill()
        self._client.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the server has said so far."""
        return (self.folder / "log").read_text("utf-8", "replace")

    # As its administrator.

    def call(self, method: str, *params: Any) -> Any:
        """Call a method, as "model.sale.opportunity.write", and return its result. Raises `Refusal`."""
        if not method.startswith("model.sale.opportunity."):
            self._changed = True
        if self._session is None:
            user, key, *_ = self._ask("common.db.login", ["admin", {"password": PASSWORD}])
            self._session = base64.b64encode(f"admin:{user}:{key}".encode()).decode()
        return self._ask(method, [*params, {}], {"Authorization": f"Session {self._session}"})

    def change(self, lead: int | str, **values: Any) -> None:
        """Change a lead, as somebody does who works in the CRM."""
        self.call("model.sale.opportunity.write", [int(lead)], values)

    def delete(self, lead: int | str) -> None:
        """Delete a lead; Tryton wants it cancelled first."""
        self.call("model.sale.opportunity.cancel", [int(lead)])
        self.call("model.sale.opportunity.delete", [int(lead)])

    def write_user(self, login: str, **values: Any) -> None:
        """Change a user, as their rights or password."""
        found = self.call("model.res.user.search", [["login", "=", login]], 0, None, None)
        self.call("model.res.user.write", found, values)

    def groups(self, login: str) -> list[int]:
        """Return the groups that a user is in: its rights."""
        who = [["login", "=", login]]
        return list(self.call("model.res.user.search_read", who, 0, None, None, ["groups"])[0]["groups"])

    def sign_out_everybody(self) -> None:
        """Revoke all sessions: what happens when they expire, or somebody changes a password."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.execute("DELETE FROM ir_session")
        self._session = None

    # Its database, whether it runs or not.

    def leads(self) -> dict[int, dict[str, Any]]:
        """Return all leads by id, as the database holds them."""
        return {row["id"]: row for row in self._rows("SELECT * FROM sale_opportunity ORDER BY id")}

    def ids(self) -> list[str]:
        """Return the ids of all leads, in order, as text."""
        return [str(row["id"]) for row in self._rows("SELECT id FROM sale_opportunity ORDER BY id")]

    def count(self) -> int:
        """Return how many leads there are, active or not."""
        return len(self.ids())

    def writes(self) -> list[dict[str, Any]]:
        """Return each state that a lead was ever brought to by a write, in order, with its ``id``.

        Tryton keeps it itself, as history, and nothing removes a line of it.
        """
        return self._rows("SELECT * FROM sale_opportunity__history WHERE write_date NOTNULL ORDER BY __id")

    def sessions(self) -> int:
        """Return how many are signed in."""
        return len(self._rows("SELECT id FROM ir_session"))

    def _rows(self, query: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def _answers(self) -> bool:
        try:
            return bool(self._ask("common.server.version", [], database=""))
        except (httpx.TransportError, Refusal):
            return False

    def _ask(
        self,
        method: str,
        params: list[Any],
        headers: Mapping[str, str] | None = None,
        database: str = DATABASE,
    ) -> Any:
        path = f"/{database}/rpc/" if database else "/rpc/"
        body = {"id": 1, "method": method, "params": params}
        answer = self._client.post(self.url + path, json=body, headers=headers)
        said = answer.json() if answer.is_success else {"error": answer.status_code}
        if said.get("error"):
            raise Refusal(said["error"])
        return said["result"]

    def _end(self, how: Any) -> None:
        if self._process is not None:
            how(self._process)
            self._process.wait(_PATIENCE)
            self._process = None


def template() -> Path:
    """Return a database with company, users and leads, made once for these versions and this module.

    It takes half a minute, so it is kept in the user's cache folder.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "propense-tests"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = cache / f"tryton-{_digest()}.sqlite"
    with (cache / "tryton.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in cache.glob("tryton-*.sqlite"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _initialise(Path(folder)).replace(made)
    return made


def _initialise(folder: Path) -> Path:
    (folder / "password").write_text(PASSWORD, "utf-8")
    (folder / f"{DATABASE}.sqlite").touch()  # trytond-admin fills a file, it makes none
    configuration = _configure(folder, 0)
    done = subprocess.run(
        [sys.executable, "-m", "trytond.cli.admin", "-c", str(configuration), "-d", DATABASE,
         "-u", "ir", "sale_opportunity", "propense_score", "--activate-dependencies",
         "--email", "admin@example.com"],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, timeout=600, check=False,
        env=_environment({"TRYTONPASSFILE": str(folder / "password")}),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"trytond-admin failed: {done.stderr.decode('utf-8', 'replace')[-3000:]}")
    server = Tryton()
    try:
        shutil.copyfile(folder / f"{DATABASE}.sqlite", server.path)
        server.switches.mkdir()
        server.start()
        _seed(server)
        server.stop()
        result = folder / "seeded.sqlite"
        with closing(sqlite3.connect(server.path)) as connection:
            connection.execute("DELETE FROM ir_session")
            connection.commit()
            connection.execute("VACUUM INTO ?", (str(result),))
        return result
    finally:
        server.close()


def _seed(server: Tryton) -> None:
    """Make a company, its users and its leads."""

    def create(model: str, *values: dict[str, Any]) -> list[int]:
        made: list[int] = server.call(f"model.{model}.create", list(values))
        return made

    [currency] = create("currency.currency", {"name": "Euro", "symbol": "€", "code": "EUR"})
    [party] = create("party.party", {"name": "Ours"})
    [company] = create("company.company", {"party": party, "currency": currency})
    employer = {"companies": [["add", [company]]], "company": company}
    server.write_user("admin", **employer)
    groups = {row["name"]: row["id"] for row in server.call(
        "model.res.group.search_read", [], 0, None, None, ["name"])}  # fmt: skip
    writes, reads = groups["Sale Opportunity"], groups["Sales"]
    [restricted] = create("res.group", {"name": "Not the score"})
    rights = {SCORER: [writes], READER: [reads], HALF: [writes, restricted], STRANGER: []}
    create(
        "res.user",
        *({"name": login, "login": login, "password": PASSWORD, "groups": [["add", ids]], **employer}
          for login, ids in rights.items()),
    )  # fmt: skip
    create(
        "ir.model.field.access",
        {"model": "sale.opportunity", "field": "score", "group": restricted, "perm_read": True,
         "perm_write": False, "active": True},
    )  # fmt: skip
    create(
        "sale.opportunity",
        *({"external": f"x-{n}", "company": company, "currency": currency,
           "description": f"Lead {n}"} for n in range(1, LEADS + 1)),
    )  # fmt: skip


def _digest() -> str:
    """Return what a database depends on: versions, the module, and how it is filled."""
    versions = sorted(
        f"{found.metadata['Name']} {found.version}"
        for found in distributions()
        if (found.metadata["Name"] or "").startswith("trytond")
    )
    digest = hashlib.sha256(" ".join(versions).encode())
    for path in [Path(__file__), *sorted(p for p in MODULE.rglob("*") if p.is_file() and p.suffix != ".pyc")]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _configure(folder: Path, port: int) -> Path:
    path = folder / "trytond.conf"
    path.write_text(
        f"[database]\nuri = sqlite://\npath = {folder}\n[web]\nlisten = 127.0.0.1:{port}\nroot =\n"
        "[session]\nmax_attempt = 2\n",  # wrong passwords, before the door is shut for minutes
        "utf-8",
    )
    return path


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Tryton finds the module, and no settings of somebody else's server."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TRYTON")}
    return {**mine, "PYTHONPATH": str(MODULE), "PYTHONDONTWRITEBYTECODE": "1", **more}


def _free_port() -> int:
    """Return a port that the system does not hand out by itself: between crash and start it stays free."""
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")
