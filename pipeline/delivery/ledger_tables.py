"""The tables of the ledger, on SQLite or PostgreSQL: their columns, how they are opened, what errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    false,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from features.errors import DeliveryError, Undelivered

# What this program writes. A later one that changes the tables counts up, and knows how to go on from here.
SCHEMA_VERSION = 1
PENDING, IN_FLIGHT, SETTLED, FAILED = STATES = ("pending", "in_flight", "settled", "failed")

TABLES = MetaData()
_ROOM = {"fillfactor": 45}
# Text that is compared, not read: by its bytes, whatever language a PostgreSQL server sorts by.
_Name = Text().with_variant(Text(collation="C"), "postgresql")

# Named numbers: the version of the tables, and the highest run sequence given so far.
NUMBERS = Table(
    "propense_ledger",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
RUNS = Table(
    "propense_runs",
    TABLES,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", Text, nullable=False, unique=True),
    Column("as_of", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("registered_at", Text, nullable=False),
)
LEASES = Table(
    "propense_leases",
    TABLES,
    Column("destination", Text, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("since", Text, nullable=False),
    Column("known", Boolean, nullable=False, server_default=false()),
    Column("latest", BigInteger, nullable=False, server_default="0"),
)


def _decision() -> list[Column[Any]]:
    """Return the columns that say what of a lead is, or is to be, in the destination."""
    return [
        Column("key", Text),
        Column("sequence", BigInteger),
        Column("band", Text),
        Column("sales_ready", Boolean),
        Column("grade", Text),
        Column("score", Float),
        Column("propensity", Float),
        Column("concepts", Text),
        Column("mapping", Text),
        Column("cleared", Boolean, nullable=False, server_default=false()),
    ]


# The newest delivery of each lead. What changes as it goes its way has no index, and PostgreSQL leaves room
# on each page, so that half a million rows change where they are. A new batch has a number above all others.
DELIVERIES = Table(
    "propense_deliveries",
    TABLES,
    Column("destination", _Name, primary_key=True),
    Column("lead_id", _Name, primary_key=True),
    *_decision(),
    Column("digest", Text),
    Column("payload", Text),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error_kind", Text),
    Column("error", Text),
    Column("retry", Boolean, nullable=False, server_default=false()),
    Column("batch", Integer),
    Column("job_id", Text),
    Column("changed_at", Text, nullable=False),
    postgresql_with=_ROOM,
)
Index("propense_batches", DELIVERIES.c.destination, DELIVERIES.c.batch)
# What was last settled of each lead, whatever became of later deliveries.
WRITTEN = Table(
    "propense_written",
    TABLES,
    Column("destination", _Name, primary_key=True),
    Column("lead_id", _Name, primary_key=True),
    *_decision(),
    postgresql_with=_ROOM,
)

# Records that were merged or converted: the key that a lead's table names, and where the record is now.
MOVED = Table(
    "propense_moved",
    TABLES,
    Column("destination", _Name, primary_key=True),
    Column("lead_id", _Name, primary_key=True),
    Column("key", Text, nullable=False),
    Column("record", Text, nullable=False),
)

_ALLOWED = '"sqlite:///path/of/ledger.sqlite" or "postgresql://user@host/database"'
_SETTING = "[sync] ledger"
# What is over by itself, or with room on the disk: to run the same command again helps.
_PASSING = (
    "Connection refused", "timeout", "timed out", "starting up", "shutting down", "closed the connection",
    "terminating connection", "too many clients", "disk is full", "No space", "locked",
)  # fmt: skip
# Seconds that a transaction waits for another process's.
_PATIENCE = 60
# PostgreSQL, whatever a server or a user has by default: a commit is on disk before it is reported, a dead
# machine loses its lease within a minute, and no idle or long-running session is cut off.
_SESSION = """
    SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES
        ('synchronous_commit', 'on'), ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),
        ('tcp_keepalives_count', '3'), ('idle_session_timeout', '0'), ('statement_timeout', '0'),
        ('lock_timeout', '60s')
    ) AS wish (name, wanted) USING (name) WHERE name <> 'synchronous_commit' OR setting = 'off'
"""


def insert_into(connection: Connection, table: Table) -> Any:
    """Return an INSERT that can say what to do about a row that is there already."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def parsed(url: str) -> URL:
    """Return the parts of a ledger's URL. Raises `DeliveryError` if it is not one."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):  # the URL is not repeated: it may hold a password
        raise _wrong_url("The ledger's URL cannot be read.") from None
    backend = found.drivername.partition("+")[0]
    if backend == "sqlite":
        if found.query or found.host or found.database in {None, "", ":memory:"}:
            raise _wrong_url("The ledger's URL names no file: a ledger in memory would forget everything.")
        path = Path(str(found.database)).expanduser().resolve()
        return URL.create("sqlite+pysqlite", database=str(path))
    if backend in {"postgresql", "postgres"}:
        if "@" in (found.host or ""):
            raise _wrong_url('The password in the ledger\'s URL holds an "@": there it is written "%40".')
        return found.set(drivername="postgresql+psycopg")
    raise _wrong_url(f"A ledger cannot be kept in '{backend}'.")


def _wrong_url(given: str) -> DeliveryError:
    return DeliveryError(given, where=_SETTING, allowed=_ALLOWED, todo="correct it")


def shown(url: URL) -> str:
    """Return where a ledger is, for people: without password and options."""
    if url.drivername.startswith("sqlite"):
        return str(url.database)
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()


def connect(url: URL) -> Engine:
    """Return an engine whose commits are durable, and whose transactions do not run into each other."""
    if url.drivername.startswith("sqlite"):
        engine = create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,  # they hold leads' ids and scores
            connect_args={"timeout": _PATIENCE, "isolation_level": None},
        )
        event.listen(engine, "connect", _durable_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": 10},
    )
    event.listen(engine, "connect", _durable_postgresql)
    return engine


def _durable_sqlite(connection: sqlite3.Connection, record: object) -> None:
    with _closed_on_error(connection):
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("PRAGMA synchronous = FULL").close()
        connection.execute("PRAGMA cache_size = -65536").close()  # KiB: for plans of half a million rows


def _begin_sqlite(connection: Connection) -> None:
    # Who is going to write says so at once: a reader that becomes a writer would be refused, not waited for.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _durable_postgresql(connection: psycopg.Connection[Any], record: object) -> None:
    with _closed_on_error(connection):
        connection.autocommit = True
        connection.execute(_SESSION)
        connection.autocommit = False


@contextmanager
def _closed_on_error(connection: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def prepare(engine: Engine) -> None:
    """Make the tables if there are none. Raises `DeliveryError` if they are of a later version."""
    with engine.connect().execution_options(reading=True) as connection:
        version = _version(connection) if inspect(connection).has_table(NUMBERS.name) else None
    if version is None:
        with engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":  # two that create the same table at once would fail
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(NUMBERS.name))))
            TABLES.create_all(connection)
            first = [{"name": "schema_version", "value": SCHEMA_VERSION}, {"name": "sequence", "value": 0}]
            connection.execute(insert_into(connection, NUMBERS).on_conflict_do_nothing(), first)
            version = _version(connection)
    if version != SCHEMA_VERSION:
        raise DeliveryError(
            f"The ledger is of version {version}; this program knows version {SCHEMA_VERSION}.",
            where=shown(engine.url),
            todo="use the newer release of propense that wrote it, or name another ledger in [sync] ledger",
        )


def _version(connection: Connection) -> int | None:
    return connection.scalar(select(NUMBERS.c.value).where(NUMBERS.c.name == "schema_version"))


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn what a database may refuse into a `DeliveryError` for people; a defect stays what it is."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, psycopg.Error, OSError) as error:
        original = error.orig if isinstance(error, DBAPIError) else error
        if original is None or not _from_outside(original):
            raise
        text = (str(original).strip().splitlines() or [type(original).__name__])[0]
        if url.password:
            text = text.replace(str(url.password), "***")
        kind = Undelivered if any(sign in text for sign in _PASSING) else DeliveryError
        raise kind(
            f"The ledger cannot be used: {text}.".replace("..", "."), where=shown(url), todo=_todo(url, text)
        ) from None


def _from_outside(error: BaseException) -> bool:
    """Return whether an error is the database's own trouble, and not a wrong statement of ours."""
    outside = (
        OSError,
        sqlite3.OperationalError,
        psycopg.OperationalError,
        psycopg.InternalError,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.InvalidSchemaName,
    )
    # Options of the URL that there are not: psycopg refuses those itself, without a server's code.
    options = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
    return options or isinstance(error, outside) or type(error) is sqlite3.DatabaseError


def _todo(url: URL, text: str) -> str:
    if ("disk" in text and "full" in text) or "No space" in text:
        return "free some space, and run again: it goes on where it stopped"
    if "locked" in text:
        return "another program holds the file; run again when it has ended"
    if "not a database" in text or "malformed" in text:
        return f"restore the file, or name another one in {_SETTING}"
    if url.drivername.startswith("sqlite"):
        return f"make the file and its folder writable, or name another one in {_SETTING}"
    if "permission denied" in text:
        return "let this user create tables in the schema, at least once, and read and write them"
    if "read-only" in text:
        return f"name the server that can be written to in {_SETTING}"
    return f"see that the server runs and lets this user in, or correct {_SETTING}"
