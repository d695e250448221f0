"""A table in a real PostgreSQL gets exactly the scores of its leads, whatever happens to the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from servers.postgres import Postgres
from sql_tables import (
    FIELDS,
    TABLE,
    Database,
    TriggeredSpecification,
    TypedSpecification,
    quoted,
    row,
    wait_until,
)

from features.errors import ConfigurationError
from pipeline.configuring import read_config
from pipeline.destinations import postgresql
from pipeline.destinations.base import Fatal, Job, Problem, Refused, Retriable, Secret
from pipeline.destinations.postgresql import PostgreSQL, PostgreSQLSettings

PASSWORD = "p@ss/w%rd:5"
ENCODED = "p%40ss%2Fw%25rd%3A5"


class PostgresDatabase(Database):
    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def destination(self, **settings: Any) -> PostgreSQL:
        given = {"url": self.url, "table": TABLE, "key": "id", "fields": FIELDS, **settings}
        return PostgreSQL("crm", PostgreSQLSettings(**given), self.folder)


@pytest.fixture
def db(database: str, tmp_path: Path) -> PostgresDatabase:
    return PostgresDatabase(database, tmp_path)


def trigger(db: Database, body: str, when: str = "BEFORE") -> None:
    db.run(f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    db.run(f"CREATE TRIGGER f {when} UPDATE ON {quoted(TABLE)} FOR EACH ROW EXECUTE FUNCTION f()")


class TestTable(TypedSpecification, TriggeredSpecification):
    def refusing(self, db: Database) -> None:
        trigger(db, "IF old.id = 3 THEN RAISE EXCEPTION 'lead is frozen'; END IF; RETURN new;")

    def ignoring(self, db: Database) -> None:
        trigger(db, "IF old.id = 3 THEN RETURN NULL; END IF; RETURN new;")

    def counting(self, db: Database) -> None:
        trigger(db, "INSERT INTO log VALUES (new.id); RETURN NULL;", "AFTER")

    def test_a_value_that_is_changed_is_not_confirmed(self, crm: Database) -> None:
        trigger(crm, 'new."the band" = upper(new."the band"); RETURN new;')
        there = crm.destination()
        written = there.write([row("1", 5)], Job())
        assert set(written.unconfirmed) == {"1"}
        assert there.read(["1"])["1"].values["the band"] == "MQL"


class TestTypes:
    def test_a_text_that_is_too_long_is_refused_alone(self, db: PostgresDatabase) -> None:
        db.run("CREATE DOMAIN short AS VARCHAR(4)")
        db.create(**{"the band": "VARCHAR(4)", "why %s": "short"})
        there = db.destination()
        rows = [
            row("1", 5, **{"why %s": "ßß−+"}),
            row("2", 5, **{"the band": "nurture", "why %s": ""}),
            row("3", 5, **{"why %s": "− no quote"}),
        ]
        assert dict(there.write(rows, Job()).refused) == {
            "2": "a text of 7 characters, and the column holds 4",
            "3": "a text of 10 characters, and the column holds 4",
        }
        assert db.column("run") in ([5, None, None], [None, None, 5])

    def test_a_constraint_of_a_domain(self, db: PostgresDatabase) -> None:
        db.run("CREATE DOMAIN share AS DOUBLE PRECISION CHECK (VALUE BETWEEN 0 AND 1)")
        db.create(p="share")
        before = db.everything()
        with pytest.raises(Refused, match="share"):
            db.destination().write([row("1", 5), row("2", 5, p=1.5)], Job())
        assert db.everything() == before

    def test_texts_without_nul(self, db: PostgresDatabase) -> None:
        db.create(key="TEXT")
        there = db.destination()
        assert set(there.write([row("a\0", 5)], Job()).gone) == {"a\0"}
        with pytest.raises(Refused):
            there.write([row("1", 5, **{"the band": "a\0"})], Job())

    def test_what_is_refused_shows_nothing_of_the_record(self, db: PostgresDatabase) -> None:
        db.create(extra=', CHECK ("Points" < 90)')
        with pytest.raises(Refused) as caught:
            db.destination().write([row("1", 5, Points=99)], Job())
        assert "Ann" not in caught.value.text  # which PostgreSQL quotes in the details

    @pytest.mark.parametrize("type_", ["citext", "name", "oid", "CHAR(4)"])
    def test_keys_of_other_types(self, db: PostgresDatabase, type_: str) -> None:
        value = "7" if type_ == "oid" else "L-7"
        if type_ == "citext":
            try:
                db.run("CREATE EXTENSION citext")
            except psycopg.errors.FeatureNotSupported:
                pytest.skip("this PostgreSQL has no citext")
        db.run(f"CREATE TABLE t (id {type_}, run INTEGER); INSERT INTO t VALUES ('{value}', 0)")
        there = db.destination(table="t", fields={"run_sequence": "run"})
        assert there.missing() == []
        assert set(there.write([row(value, 5), row("x", 5)], Job()).gone) == {"x"}
        assert db.run("SELECT run FROM t") == [(5,)]

    def test_times_are_utc_wherever_the_database_is(self, db: PostgresDatabase) -> None:
        name = db.url.rsplit("/", 1)[1]
        db.run(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
        db.create(p="TIMESTAMP")
        there = db.destination()
        moment = "2026-06-30T10:00:00+00:00"
        there.write([row("1", 5, p=moment)], Job())
        assert there.read(["1"])["1"].values["p"] == there.read(["1"])["1"].values["at"] == moment
        found = f"""SELECT p::text, ("at" AT TIME ZONE 'UTC')::text FROM {quoted(TABLE)} WHERE run = 5"""
        assert db.run(found) == [("2026-06-30 10:00:00", "2026-06-30 10:00:00")]


class TestNames:
    def test_a_schema(self, db: PostgresDatabase) -> None:
        db.run('CREATE SCHEMA "C R.M"')
        db.run('CREATE TABLE "C R.M"."le.ads" (id INTEGER, run INTEGER)')
        db.run("CREATE TABLE leads (id INTEGER, run INTEGER); INSERT INTO leads VALUES (1, 0)")
        db.run('INSERT INTO "C R.M"."le.ads" VALUES (1, 0)')
        for table in ("C R.M.le.ads", "public.leads"):
            there = db.destination(table=table, fields={"run_sequence": "run"})
            assert there.missing() == []
            there.write([row("1", 5)], Job())
        assert db.run('SELECT run FROM "C R.M"."le.ads" UNION ALL SELECT run FROM leads') == [(5,), (5,)]

    def test_capitals_count(self, db: PostgresDatabase) -> None:
        db.run('CREATE TABLE "Leads" (id INTEGER, "Run" INTEGER)')
        with pytest.raises(Fatal, match="no table 'leads'"):
            db.destination(table="leads").missing()
        assert db.destination(table="Leads", fields={"run_sequence": "run"}).missing() == ["run"]

    @pytest.mark.parametrize("view", ["SELECT * FROM leads WHERE id < 9", "SELECT id, run, p FROM leads"])
    def test_a_view_that_can_be_updated(self, db: PostgresDatabase, view: str) -> None:
        db.run("CREATE TABLE leads (id INTEGER, run INTEGER, p FLOAT); INSERT INTO leads VALUES (1, 0)")
        db.run(f"CREATE VIEW v AS {view}")
        there = db.destination(table="v", fields={"run_sequence": "run"})
        assert there.missing() == []
        there.write([row("1", 5)], Job())
        assert db.run("SELECT run FROM leads") == [(5,)]

    @pytest.mark.parametrize(
        "view",
        [
            "VIEW v AS SELECT id, max(run) AS run FROM leads GROUP BY id",
            "VIEW v AS SELECT id, run + 1 AS run FROM leads",
            "MATERIALIZED VIEW v AS SELECT * FROM leads",
        ],
    )
    def test_a_view_that_cannot(self, db: PostgresDatabase, view: str) -> None:
        db.run("CREATE TABLE leads (id INTEGER, run INTEGER)")
        db.run(f"CREATE {view}")
        with pytest.raises(Fatal):
            db.destination(table="v", fields={"run_sequence": "run"}).missing()

    def test_a_table_in_parts(self, db: PostgresDatabase) -> None:
        db.run("CREATE TABLE leads (id INTEGER, run INTEGER) PARTITION BY RANGE (id)")
        for low in (0, 10):
            db.run(f"CREATE TABLE p{low} PARTITION OF leads FOR VALUES FROM ({low}) TO ({low + 10})")
        db.run("INSERT INTO leads VALUES (1, 0), (11, 0)")
        db.destination(table="leads", fields={"run_sequence": "run"}).write([row("11", 5)], Job())
        assert db.run("SELECT run FROM leads ORDER BY id") == [(0,), (5,)]

    def test_a_column_that_is_computed(self, db: PostgresDatabase) -> None:
        db.create(extra=', twice INTEGER GENERATED ALWAYS AS ("Points" * 2) STORED')
        with pytest.raises(Fatal, match="'twice'"):
            db.destination(fields={"score": "twice"}).missing()


class TestRights:
    """We sign in as somebody who may not do everything."""

    @pytest.fixture
    def bob(self, db: PostgresDatabase) -> Iterator[PostgresDatabase]:
        db.run(
            "CREATE TABLE leads (id INTEGER, run INTEGER, p FLOAT, secret TEXT); INSERT INTO leads VALUES (1)"
        )
        db.run("CREATE ROLE bob LOGIN")
        yield PostgresDatabase(db.url.replace("postgres@", "bob@"), db.folder)
        db.run("DROP OWNED BY bob; DROP ROLE bob")

    FIELDS = {"propensity": "p", "run_sequence": "run"}  # noqa: RUF012

    def test_what_is_needed_is_enough(self, db: PostgresDatabase, bob: PostgresDatabase) -> None:
        db.run("GRANT SELECT (id, run, p), UPDATE (run, p) ON leads TO bob")
        there = bob.destination(table="leads", fields=self.FIELDS)
        assert there.missing() == []
        there.write([row("1", 5)], Job())
        assert there.read(["1"])["1"].values == {"p": 0.25, "run": 5}

    @pytest.mark.parametrize(
        ("grant", "said"),
        [
            ("SELECT ON leads", "'p', 'run'"),
            ("UPDATE ON leads", "'p', 'run', 'id'"),
            ("SELECT (id, run, p), UPDATE (run) ON leads", "'p'"),
        ],
    )
    def test_what_is_not(self, db: PostgresDatabase, bob: PostgresDatabase, grant: str, said: str) -> None:
        db.run(f"GRANT {grant} TO bob")
        there = bob.destination(table="leads", fields=self.FIELDS)
        with pytest.raises(Fatal, match=f"The columns {said} of the table 'leads' may not be") as caught:
            there.missing()
        assert "GRANT SELECT, UPDATE" in caught.value.todo
        with pytest.raises(Fatal, match="permission denied"):
            there.write([row("1", 5)], Job())

    def test_a_right_that_is_lost_in_between(self, db: PostgresDatabase, bob: PostgresDatabase) -> None:
        db.run("GRANT SELECT, UPDATE ON leads TO bob")
        there = bob.destination(table="leads", fields=self.FIELDS)
        there.write([row("1", 5)], Job())
        db.run("REVOKE UPDATE ON leads FROM bob")
        with pytest.raises(Fatal, match="permission denied"):
            there.write([row("1", 6)], Job())
        assert db.run("SELECT run FROM leads") == [(5,)]

    def test_no_right_to_a_temporary_table(self, db: PostgresDatabase, bob: PostgresDatabase) -> None:
        db.run("GRANT SELECT, UPDATE ON leads TO bob")
        db.run(f"REVOKE TEMPORARY ON DATABASE {db.url.rsplit('/', 1)[1]} FROM PUBLIC")
        with pytest.raises(Fatal, match="temporary") as caught:
            bob.destination(table="leads", fields=self.FIELDS).missing()
        assert caught.value.todo == f"GRANT TEMPORARY ON DATABASE {db.url.rsplit('/', 1)[1]} TO this user"

    def test_what_to_grant_is_said(self, db: PostgresDatabase, bob: PostgresDatabase) -> None:
        db.run('CREATE SCHEMA "Crm"; CREATE TABLE "Crm".leads (id INTEGER, run INTEGER, p FLOAT)')
        db.run('GRANT SELECT, UPDATE ON "Crm".leads TO bob')
        there = bob.destination(table="Crm.leads", fields=self.FIELDS)
        with pytest.raises(Fatal, match="denied for schema") as caught:
            there.missing()
        assert caught.value.todo == 'GRANT USAGE ON SCHEMA "Crm" TO this user'
        db.run('GRANT USAGE ON SCHEMA "Crm" TO bob')
        assert there.missing() == []
        db.run('REVOKE UPDATE ON "Crm".leads FROM bob')
        with pytest.raises(Fatal, match="denied for table leads") as caught:
            there.write([row("1", 5)], Job())
        assert caught.value.todo == 'GRANT SELECT, UPDATE ON "Crm".leads TO this user'

    def test_a_table_that_a_trigger_writes_is_not_taken_for_ours(
        self, db: PostgresDatabase, bob: PostgresDatabase
    ) -> None:
        db.run("GRANT SELECT, UPDATE ON leads TO bob; CREATE TABLE audit (id INTEGER)")
        db.run("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN INSERT INTO audit VALUES (new.id); RETURN new; END $$")  # fmt: skip
        db.run("CREATE TRIGGER f BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION f()")
        with pytest.raises(Fatal, match="denied for table audit") as caught:
            bob.destination(table="leads", fields=self.FIELDS).write([row("1", 5)], Job())
        assert "a trigger or a view" in caught.value.todo
        assert "audit" in caught.value.todo

    def test_what_is_confirmed_is_safe_where_commits_are_not(self, db: PostgresDatabase) -> None:
        db.create()
        for ours, used in (("off", "on"), ("local", "local")):
            db.run(f"ALTER DATABASE {db.url.rsplit('/', 1)[1]} SET synchronous_commit = {ours}")
            with db.destination().transaction(writing=True) as connection:
                assert connection.execute("SHOW synchronous_commit").fetchone() == (used,)

    def test_who_does_not_own_the_table_adds_no_columns(
        self, db: PostgresDatabase, bob: PostgresDatabase
    ) -> None:
        db.run("GRANT SELECT, UPDATE ON leads TO bob")
        with pytest.raises(Fatal, match="owner"):
            bob.destination(table="leads", fields=self.FIELDS).create_fields({"grade": "text"})

    def test_a_server_that_only_reads(self, db: PostgresDatabase) -> None:
        db.create()
        db.run(f"ALTER DATABASE {db.url.rsplit('/', 1)[1]} SET default_transaction_read_only = on")
        there = db.destination()
        for call in (there.missing, lambda: there.write([row("1", 5)], Job())):
            with pytest.raises(Fatal, match="read-only"):
                call()


class TestOthers:
    """Other programs write to the same records at the same time."""

    def test_a_newer_run_that_commits_while_we_wait_for_its_lock(self, db: PostgresDatabase) -> None:
        # Whoever compared before writing would have read the old values here.
        db.create()
        results: list[Any] = []
        with psycopg.connect(db.url) as other:
            other.execute(sql.SQL("UPDATE {} SET run = 9 WHERE id = 2").format(sql.Identifier(TABLE)))
            rows = [row(key, 5) for key in ("1", "2", "3")]
            thread = threading.Thread(target=lambda: results.append(db.destination().write(rows, Job())))
            thread.start()
            wait_until(lambda: db.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
            other.commit()
            thread.join()
        assert set(results[0].newer) == {"2"}
        assert sorted(db.column("run")) == [5, 5, 9]

    def test_a_record_that_is_deleted_while_we_wait(self, db: PostgresDatabase) -> None:
        db.create()
        results: list[Any] = []
        with psycopg.connect(db.url) as other:
            other.execute(sql.SQL("DELETE FROM {} WHERE id = 2").format(sql.Identifier(TABLE)))
            thread = threading.Thread(
                target=lambda: results.append(db.destination().write([row("2", 5), row("3", 5)], Job()))
            )
            thread.start()
            wait_until(lambda: db.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
            other.commit()
            thread.join()
        assert set(results[0].gone) == {"2"}
        assert db.column("id") == [3, 1] or db.column("id") == [1, 3]

    def test_runs_that_race_end_with_the_newest(self, db: PostgresDatabase) -> None:
        db.create()
        there = db.destination()
        start, applied = threading.Barrier(6), []

        def write(sequence: int) -> None:
            start.wait()
            keys = ["1", "2", "3"] if sequence % 2 else ["3", "2", "1"]
            while True:
                try:
                    there.write([row(key, sequence) for key in keys], Job())
                    return
                except Retriable as problem:  # two that wait for each other
                    applied.append(problem.applied)

        threads = [threading.Thread(target=write, args=(sequence,)) for sequence in range(1, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db.column("run") == [6, 6, 6]
        assert not any(applied)

    def test_records_that_somebody_has_locked(
        self, db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgresql, "_LOCK_WAIT", 1)
        db.create()
        with psycopg.connect(db.url) as other:
            other.execute(sql.SQL("SELECT * FROM {} FOR UPDATE").format(sql.Identifier(TABLE)))
            with pytest.raises(Retriable, match="lock") as caught:
                db.destination().write([row("1", 5)], Job())
            assert not caught.value.applied
        assert db.column("run") == [None] * 3

    def test_nothing_of_ours_is_left_in_a_session(self, db: PostgresDatabase) -> None:
        db.create()
        db.destination().write([row("1", 5)], Job())
        wait_until(lambda: not db.run("SELECT 1 FROM pg_stat_activity WHERE application_name = 'propense'"))
        assert db.run("SELECT 1 FROM pg_class WHERE relname LIKE 'propense%'") == []


class TestTrouble:
    """The server takes too long, or breaks the connection."""

    @pytest.fixture
    def slow(self, db: PostgresDatabase) -> PostgresDatabase:
        db.create()
        trigger(db, "PERFORM pg_sleep(30); RETURN new;")
        return db

    def test_an_update_that_takes_too_long(self, slow: PostgresDatabase) -> None:
        with pytest.raises(Retriable, match="timeout") as caught:
            slow.destination(timeout=0.5).write([row("1", 5)], Job())
        assert caught.value.applied  # which we cannot know
        assert slow.column("run") == [None] * 3

    def test_a_server_that_hangs(self, slow: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgresql, "_GRACE", 0)
        given_up = threading.Event()

        def stop() -> None:
            find = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            wait_until(lambda: slow.run(find))
            backend = psutil.Process(slow.run(find)[0][0])
            backend.suspend()
            given_up.wait(20)
            backend.resume()

        thread = threading.Thread(target=stop)
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(Retriable, match="lost") as caught:
                slow.destination(timeout=3).write([row("1", 5)], Job())
        finally:
            given_up.set()
            thread.join()
        assert caught.value.applied
        assert time.monotonic() - began < 15
        wait_until(lambda: not slow.run("SELECT 1 FROM pg_stat_activity WHERE application_name = 'propense'"))
        assert slow.column("run") == [None] * 3

    @pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
    def test_somebody_ends_it(self, slow: PostgresDatabase, function: str) -> None:
        def end() -> None:
            find = f"SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            wait_until(lambda: slow.run(find))

        thread = threading.Thread(target=end)
        thread.start()
        with pytest.raises(Retriable) as caught:
            slow.destination().write([row("1", 5)], Job())
        thread.join()
        assert caught.value.applied
        assert slow.column("run") == [None] * 3

    @pytest.mark.parametrize(
        ("state", "kind", "applied"),
        [
            ("40001", Retriable, False),  # serialization failure
            ("40P01", Retriable, False),  # deadlock detected
            ("55P03", Retriable, False),  # lock not available
            ("40003", Retriable, True),  # statement completion unknown
            ("57P01", Retriable, True),  # admin shutdown
            ("57P02", Retriable, True),  # crash shutdown
            ("57P03", Retriable, True),  # cannot connect now
            ("53300", Retriable, True),  # too many connections
            ("53200", Retriable, True),  # out of memory
            ("08006", Retriable, True),  # connection failure
            ("25P03", Retriable, True),  # idle in transaction
            ("53100", Fatal, False),  # disk full
            ("42501", Fatal, False),  # insufficient privilege
            ("42703", Fatal, False),  # undefined column
            ("42P01", Fatal, False),  # undefined table
            ("25006", Fatal, False),  # read-only
            ("28P01", Fatal, False),  # invalid password
            ("57P04", Fatal, False),  # database dropped
            ("XX001", Fatal, False),  # data corrupted
            ("22001", Refused, False),  # too long
            ("22P02", Refused, False),  # invalid text representation
            ("23514", Refused, False),  # check violation
            ("23505", Refused, False),  # unique violation
            ("44000", Refused, False),  # with check option
            ("P0001", Refused, False),  # raised
            ("38000", Refused, False),  # external routine
        ],
    )
    def test_errors_are_grouped_by_what_helps(self, state: str, kind: type[Problem], applied: bool) -> None:
        there = PostgreSQL(
            "crm", PostgreSQLSettings(url="postgresql://h/d", table="t", key="id", fields={}), Path()
        )
        problem = there.classify(psycopg.errors.lookup(state)("it says so"))
        assert (type(problem), problem.applied if problem else None) == (kind, applied)
        assert "it says so" in str(problem)

    def test_what_we_do_wrong_is_a_defect(self, db: PostgresDatabase) -> None:
        assert db.destination().classify(psycopg.ProgrammingError("not of the server")) is None


class TestCrash:
    """A server of its own, since others would miss it."""

    @pytest.fixture
    def server(self) -> Iterator[Postgres]:
        with Postgres() as server:
            yield server

    def test_rows_all_or_none(self, server: Postgres, tmp_path: Path) -> None:
        db = PostgresDatabase(server.create("crash"), tmp_path)
        count = 2000
        db.run("CREATE TABLE leads (id INTEGER PRIMARY KEY, run INTEGER, p FLOAT)")
        db.run(f"INSERT INTO leads SELECT i, 1, 0 FROM generate_series(1, {count}) AS s(i)")
        db.run("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN PERFORM pg_sleep(0.001); RETURN new; END $$")  # fmt: skip
        db.run("CREATE TRIGGER f BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION f()")
        there = db.destination(table="leads", fields={"propensity": "p", "run_sequence": "run"})
        rows = [row(str(n), 2) for n in range(1, count + 1)]

        def crash() -> None:
            wait_until(lambda: db.run("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'UPDATE%'"))
            threading.Event().wait(0.3)  # in the midst of the 2,000 milliseconds
            server.kill()

        thread = threading.Thread(target=crash)
        thread.start()
        with pytest.raises(Retriable) as caught:
            there.write(rows, Job())
        thread.join()
        assert caught.value.applied
        with pytest.raises(Retriable, match="cannot be reached") as refused:
            there.write(rows, Job())
        assert not refused.value.applied
        server.start()
        assert db.run("SELECT run, COUNT(*) FROM leads GROUP BY run") == [(1, count)]
        there.write(rows, Job())
        assert db.run("SELECT run, p, COUNT(*) FROM leads GROUP BY run, p") == [(2, 0.25, count)]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Postgres]:
    """A server that asks for passwords."""
    roles = sql.SQL(
        "CREATE ROLE bob LOGIN PASSWORD {0}; CREATE ROLE ghost NOLOGIN PASSWORD {0}; "
        "CREATE ROLE full_house LOGIN PASSWORD {0} CONNECTION LIMIT 0; "
        "CREATE TABLE leads (id INTEGER, run INTEGER); GRANT SELECT, UPDATE ON leads TO bob"
    )
    with Postgres() as server:
        with psycopg.connect(server.create("crm"), autocommit=True) as connection:
            connection.execute(roles.format(sql.Literal(PASSWORD)))
            entries = "host all bob,ghost,full_house 127.0.0.1/32 scram-sha-256\n"
            (server.data / "pg_hba.conf").write_text(f"{entries}host all postgres 127.0.0.1/32 trust\n")
            connection.execute("SELECT pg_reload_conf()")

        def asks() -> bool:
            try:
                psycopg.connect(server.url("crm").replace("postgres@", "bob@")).close()
            except psycopg.OperationalError:
                return True
            return False

        wait_until(asks)
        yield server


class TestSigningIn:
    """A server that asks for passwords, and lets only some in."""

    @contextmanager
    def secret(self, monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[PostgreSQL]:
        monkeypatch.setenv("CRM_URL", url)
        settings = PostgreSQLSettings(
            url=Secret(env="CRM_URL"), table="leads", key="id", fields={"run_sequence": "run"}
        )
        yield PostgreSQL("crm", settings, Path())

    def test_a_secret_holds_the_whole_url(self, guarded: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        url = guarded.url("crm").replace("postgres@", f"bob:{ENCODED}@")
        with self.secret(monkeypatch, url) as there:
            assert there.missing() == []

    def test_a_password_from_the_environment(
        self, guarded: Postgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        settings = PostgreSQLSettings(
            url=guarded.url("crm").replace("postgres@", "bob@"), table="leads", key="id",
            fields={"run_sequence": "run"},
        )  # fmt: skip
        assert PostgreSQL("crm", settings, Path()).missing() == []

    @pytest.mark.parametrize(
        ("who", "database", "said"),
        [
            ("bob:wrong-one", "crm", "password authentication failed"),
            ("bob", "crm", "no password"),
            (f"bob:{ENCODED}", "nowhere", "does not exist"),
            (f"ghost:{ENCODED}", "crm", "not permitted"),
            (f"somebody:{ENCODED}", "crm", "no pg_hba.conf entry"),
            ("postgres", "nowhere", "does not exist"),
            ("postgres", "crm?sslmode=require", "does not support SSL"),
        ],
    )
    def test_who_is_not_let_in(
        self, guarded: Postgres, monkeypatch: pytest.MonkeyPatch, who: str, database: str, said: str
    ) -> None:
        url = guarded.url(database).replace("postgres@", f"{who}@")
        with self.secret(monkeypatch, url) as there, pytest.raises(Fatal, match=said) as caught:
            there.missing()
        assert "wrong-one" not in str(caught.value) + caught.value.todo
        assert caught.value.todo

    @pytest.mark.parametrize(
        "url",
        [f"postgresql://full_house:{ENCODED}@127.0.0.1:{{port}}/crm", "postgresql://nobody@127.0.0.1:1/crm"],
    )
    def test_who_may_knock_again(self, guarded: Postgres, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        with (
            self.secret(monkeypatch, url.format(port=guarded.port)) as there,
            pytest.raises(Retriable, match="cannot be reached") as caught,
        ):
            there.write([row("1", 5)], Job())
        assert not caught.value.applied

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://bob:{}@127.0.0.1:{}/crm",
            "host=127.0.0.1 user=bob password='{} port={} dbname=crm",
            "postgresql+psycopg://bob:{}@127.0.0.1:{}/crm",
            "postgresql://bob:{}@127.0.0.1:{}/crm?x=1",
            "",
        ],
    )
    def test_a_url_that_is_not_understood_is_not_shown(
        self, guarded: Postgres, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        given = url.format(PASSWORD, guarded.port)
        with self.secret(monkeypatch, given) as there, pytest.raises(Fatal) as caught:
            there.missing()
        shown = str(caught.value) + caught.value.todo
        assert not [part for part in ("p@ss", "ss/w", "rd:5", "w%rd") if part in shown]
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://bob:hunter2@127.0.0.1/crm",
            "postgresql://bob@127.0.0.1/crm?password=hunter2",
            "postgresql://bob@127.0.0.1/crm?pass%77ord=hunter2",
            "host=127.0.0.1 password=hunter2",
            "postgresql://bob:hunter2@x@127.0.0.1/crm",
            "postgresql://bob:hunter2/x@127.0.0.1/crm",
            "postgresql://bob:hunter2%zz@127.0.0.1/crm",
        ],
    )
    def test_no_password_in_the_configuration(self, tmp_path: Path, url: str) -> None:
        (tmp_path / "propense.toml").write_text(f"""
            [project]
            name = "p"
            [leads]
            table = "leads.csv"
            id = "id"
            created_at = "at"
            [outcomes]
            outcome = "outcome"
            [destinations.crm]
            type = "postgresql"
            url = "{url}"
            table = "leads"
            key = "id"
            fields = {{ score = "points" }}
        """)
        with pytest.raises(ConfigurationError) as caught:
            read_config(tmp_path / "propense.toml")
        assert "[destinations] crm" in caught.value.message
        assert "hunter2" not in caught.value.message
        assert "secret" in caught.value.message or "not understood" in caught.value.message

    @given(st.text(min_size=1))
    def test_no_text_makes_reading_a_url_fail_otherwise(self, url: str) -> None:
        with suppress(ValueError):
            postgresql.connection_parameters(url)
