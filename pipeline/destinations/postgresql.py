"""A table in a PostgreSQL database."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.destinations.base import Fatal, Kind, Problem, Refused, Retriable, Secret
from pipeline.destinations.columns import Column, Holds
from pipeline.destinations.sql import SqlTable, Table, TableSettings, Target, quoted

_LOCK_WAIT = 10  # seconds for rows that another transaction has locked
_GRACE = 5  # seconds that the server has to say itself that the time is up
_KEYS: dict[Holds, str] = {"integer": "bigint", "number": "numeric", "uuid": "uuid"}
_HOLDS: dict[str, Holds] = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("float4", "float8", "numeric"), "number"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), "text"),
    "bool": "boolean", "timestamp": "time", "timestamptz": "zoned time", "date": "date", "uuid": "uuid",
}  # fmt: skip
_TABLE = """
    SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (c.relname = %(table)s AND pg_table_is_visible(c.oid) OR n.nspname || '.' || c.relname = %(table)s)
    ORDER BY c.relname = %(table)s DESC LIMIT 1
"""
# Where it is off, a commit is confirmed before it is safe, and a crash takes it back. Other values stay.
_DURABLE = """
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'
"""
_COLUMNS = """
    SELECT a.attname, b.typname,
        CASE WHEN b.typname IN ('varchar', 'bpchar') THEN
            NULLIF(GREATEST(CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, 3), 3) - 4 END,
        has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
        has_column_privilege(a.attrelid, a.attnum, 'UPDATE')
        AND a.attgenerated = '' AND pg_column_is_updatable(a.attrelid, a.attnum, true)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""
# The SQLSTATE of an error, or its class: https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_APPLIED = ("40001", "40P01", "55P03")  # serialization, deadlock, no lock: all of it was undone
_AGAIN = (*_NOT_APPLIED, "08", "25P03", "25P04", "40", "53200", "53300", "53400",
          "57014", "57P01", "57P02", "57P03", "57P05")  # fmt: skip
_HOPELESS = ("0A", "0L", "0P", "25", "26", "28", "2B", "34", "3D", "3F", "42", "53", "57", "58", "F0",
             "HV", "XX")  # fmt: skip
_DENIED = "42501"
# What a user lacks, as the server says it, and what lets it.
_GRANTS = (
    (r'create temporary tables in database "(.+)"', "GRANT TEMPORARY ON DATABASE {} TO this user"),
    (r'permission denied for database "(.+)"', "GRANT CONNECT ON DATABASE {} TO this user"),
    (r"permission denied for schema (.+)", "GRANT USAGE ON SCHEMA {} TO this user"),
    (r"permission denied for function (.+)", "GRANT EXECUTE ON FUNCTION {} TO this user"),
    (r"permission denied for sequence (.+)", "GRANT USAGE ON SEQUENCE {} TO this user"),
    (r"must be owner of [a-z ]+ (.+)", "let the owner of {} add the columns, or run this as the owner"),
)
_NO_TABLE = re.compile(r"permission denied for (?:table|view|materialized view|foreign table) (.+)")
# What libpq says when there is no connection; it gives no code then.
_NO_ENTRY = re.compile(
    "authentication failed|no password|does not exist|not permitted|no pg_hba|denied|not support SSL"
    "|certificate"
)
_PASSING = re.compile(
    "too many|slots|starting up|shutting down|recovery|terminating|closed|timeout|timed out"
)


class PostgreSQLSettings(TableSettings):
    """A table in a PostgreSQL database."""

    type: Literal["postgresql"] = "postgresql"
    url: str | Secret = Field(
        description='"postgresql://user@host/database" without a password (it comes from PGPASSWORD or a '
        "pgpass file), or a secret that holds the whole URL"
    )
    table: str = Field(description='"leads", or with its schema: "crm.leads"')
    timeout: float = Field(default=120, gt=0, description="seconds until an answer is given up")

    @model_validator(mode="after")
    def _no_password(self) -> PostgreSQLSettings:
        # Judged with the whole section: the message about one key would show what was given for it.
        if isinstance(self.url, str) and {"password", "sslpassword"} & set(connection_parameters(self.url)):
            raise ValueError(
                'a password is not written here: give the whole URL as a secret, url = { env = "NAME" }, '
                "or leave the password out and set PGPASSWORD"
            )
        return self


class PostgreSQL(SqlTable):
    """A table, or a view that can be updated, in a PostgreSQL database."""

    settings_class = PostgreSQLSettings
    settings: PostgreSQLSettings
    staging = "pg_temp.propense_staging"
    grant = "GRANT SELECT, UPDATE on them to this user; columns that are computed cannot be written"
    types: ClassVar[dict[Kind, str]] = {
        "number": "double precision", "integer": "bigint", "boolean": "boolean", "text": "text",
        "long_text": "text", "choice": "text", "time": "timestamptz",
    }  # fmt: skip

    @contextmanager
    def transaction(self, *, writing: bool) -> Iterator[Any]:
        """Connect for one transaction, which ends when the server, or the time, is gone."""
        connection = _connected(self.settings.url, self.root)
        limit = self.settings.timeout
        local = {
            "statement_timeout": f"{limit:.3f}s", "lock_timeout": f"{_LOCK_WAIT}s", "timezone": "UTC",
            "idle_in_transaction_session_timeout": f"{limit:.3f}s",
        }  # fmt: skip
        try:
            with self.problems(), deadline(connection, limit + _GRACE), connection.transaction():
                for name, value in local.items():
                    connection.execute("SELECT set_config(%s, %s, true)", (name, value))
                if writing:
                    connection.execute(_DURABLE)
                yield connection
        finally:
            connection.close()

    def look(self, connection: Any) -> Table:
        """Return the table, in whichever schema it is found, and what we may do with its columns."""
        name = self.settings.table
        found = connection.execute(_TABLE, {"table": name}).fetchone()
        if found is None:
            raise Fatal(
                f"There is no table '{name}' in the database.",
                todo="correct `table`; capitals count, and a schema may be named as in crm.leads",
            )
        columns = connection.execute(_COLUMNS, (found[0],)).fetchall()
        return Table(
            found[1],
            {
                column: Column(column, _HOLDS.get(type_, "other"), longest, readable, writable)
                for column, type_, longest, readable, writable in columns
            },
        )

    def stage(self, connection: Any, target: Target, rows: Iterable[tuple[Any, ...]]) -> None:
        """Copy the rows as text, which PostgreSQL reads as the types of the columns."""
        columns = "".join(f", t.{quoted(c.name)} AS c{i}" for i, c in enumerate(target.columns))
        connection.execute(
            "CREATE TEMP TABLE propense_staging ON COMMIT DROP AS "
            f"SELECT 0 AS n, NULL::{_KEYS.get(target.key.holds, 'text')} AS k{columns} "
            f"FROM {target.sql} AS t WITH NO DATA"
        )
        with connection.cursor() as cursor, cursor.copy(f"COPY {self.staging} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute(f"ANALYZE {self.staging}")  # or a few rows would be looked for in all the table

    def canonical(self, key: str, holds: Holds) -> str | int | None:
        """Return the key as the column holds it; no text there holds the character NUL."""
        return None if "\0" in key else super().canonical(key, holds)

    def classify(self, error: Exception) -> Problem | None:
        """Return what an error means; its details, which may quote other data, are left out."""
        return _meaning(error, self.settings.table)


def _connected(url: str | Secret, root: Path) -> Any:
    """Return a connection. Raises `Problem`."""
    import psycopg

    try:
        parameters = connection_parameters(url.read(root) if isinstance(url, Secret) else url)
    except ValueError as error:
        raise Fatal(f"{error}.", todo="correct the secret") from None
    ours: dict[str, Any] = {
        "connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10",
        "keepalives_count": "3", "application_name": "propense", "client_encoding": "utf8",
    }  # fmt: skip
    try:
        return psycopg.connect(**{**ours, **parameters}, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _not_connected(error, parameters.get("password")) from None


def _not_connected(error: Exception, password: str | None) -> Problem:
    """Return why there is no connection: who knocks again may be let in, or may not."""
    said = str(error).split("\n")[0].removeprefix("connection failed: ")
    said = said.replace(password, "***") if password else said
    line: Any = getattr(error, "pgconn", None)
    refused = line is not None and (line.needs_password or (line.used_password and not _PASSING.search(said)))
    if refused or _NO_ENTRY.search(said):
        todo = _granting(said, "") or "correct the URL, the password, or the rights"
        return Fatal(f"PostgreSQL lets nobody in: {said}.", todo=todo)
    return Retriable(f"PostgreSQL cannot be reached: {said}.")


def _granting(said: str, table: str) -> str:
    """Return what lets a user do what it may not; `table` is as in the settings. Empty if it is not known."""
    found = _NO_TABLE.search(said)
    if found and (table == found[1] or table.endswith(f".{found[1]}")):
        schema = table.removesuffix(found[1])[:-1]
        where = ".".join(map(_name, filter(None, (schema, found[1]))))
        return f"GRANT SELECT, UPDATE ON {where} TO this user"
    if found:
        return f"grant this user what a trigger or a view of the table does with {_name(found[1])}"
    for pattern, todo in _GRANTS:
        if found := re.search(pattern, said):
            return todo.format(_name(found[1]))
    return ""


def _name(name: str) -> str:
    """Return a name as SQL, in quotes where it needs them."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted(name)


def _meaning(error: Exception, table: str) -> Problem | None:
    """Return what an error after connecting means, by its SQLSTATE."""
    import psycopg

    if isinstance(error, UnicodeEncodeError):
        return Refused("a text that is not Unicode")
    if not isinstance(error, psycopg.Error):
        return None
    said = error.diag.message_primary or str(error).split("\n")[0]
    state = error.sqlstate
    if state is None:  # psycopg itself says so
        if isinstance(error, psycopg.DataError):
            return Refused(said)
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return Retriable(f"The connection was lost: {said}.", applied=True) if lost else None
    if state.startswith(_AGAIN):
        return Retriable(f"PostgreSQL: {said}.", applied=state not in _NOT_APPLIED)
    if state.startswith(_HOPELESS):
        todo = _granting(said, table) if state == _DENIED else ""
        return Fatal(f"PostgreSQL: {said}.", todo=todo or "see to the database, or correct [destinations]")
    return Refused(said)


def connection_parameters(url: str) -> dict[str, str]:
    """Return the parts of a connection URL as libpq reads them.

    Raises
    ------
    ValueError
        It is none, or a password in it cuts it into wrong parts. The message shows nothing of it.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except (ProgrammingError, UnicodeError):
        parts = {"host": "@"}
    # Of a password with @ or / in it, the rest would be taken for a host and shown in messages.
    if any("@" in parts.get(name, "") for name in ("host", "port", "dbname")):
        raise ValueError(
            "the URL is not understood; it is like postgresql://user@host/database, and in a password "
            "the characters @ / : % are written as %40 %2F %3A %25"
        )
    return parts


@contextmanager
def deadline(connection: Any, seconds: float) -> Iterator[None]:
    """Break a connection when the block takes longer; a server that hangs does not even answer that."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:

        def cut() -> None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
