"""A table in DuckDB gets exactly the scores of its leads, whoever else works with the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sql_tables import FIELDS, TABLE, Database, TypedSpecification, quoted, row

from pipeline.destinations.base import Fatal, Job, Retriable
from pipeline.destinations.duckdb import DuckDB, DuckDBSettings


class DuckDBFile(Database):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.folder / "crm.duckdb") as connection:
            if not sql.startswith("SELECT"):
                connection.execute(sql)
                return []
            # By way of Arrow: else the client needs another package for times with a zone.
            return [tuple(found.values()) for found in connection.sql(sql).to_arrow_table().to_pylist()]

    def destination(self, **settings: Any) -> DuckDB:
        given = {"path": "crm.duckdb", "table": TABLE, "key": "id", "fields": FIELDS, **settings}
        return DuckDB("crm", DuckDBSettings(**given), self.folder)


@pytest.fixture
def db(tmp_path: Path) -> DuckDBFile:
    return DuckDBFile(tmp_path)


class TestTable(TypedSpecification):
    def test_indexed_fields_are_written_again_and_again(self, crm: Database) -> None:
        # DuckDB rewrites indexed rows as a deletion and an insertion, and has stumbled over that.
        crm.run(f'CREATE INDEX i ON {quoted(TABLE)} ("Points")')
        crm.run(f'CREATE UNIQUE INDEX u ON {quoted(TABLE)} ("at")')
        there = crm.destination()
        for sequence in range(1, 4):
            moments = [f"2026-06-{5 * sequence + n:02}T10:00:00+00:00" for n in range(3)]
            written = there.write([row(str(n + 1), sequence, at=moments[n]) for n in range(3)], Job())
            assert not written.unconfirmed
        assert crm.column("run") == [3, 3, 3]

    @pytest.mark.parametrize("type_", ["UBIGINT", "HUGEINT", "DECIMAL(18, 0)", "UTINYINT"])
    def test_keys_of_other_numbers(self, db: Database, type_: str) -> None:
        db.create(key=type_)
        written = db.destination().write([row("1", 5), row("4", 5), row("-1", 5)], Job())
        assert (set(written.gone), db.column("run")[0]) == ({"4", "-1"}, 5)

    def test_a_table_in_a_schema(self, db: Database) -> None:
        db.run("CREATE SCHEMA crm")
        db.run("CREATE SCHEMA temp")
        for table in ("crm.crm.leads", "leads"):  # the file is crm.duckdb, and so is the database crm
            db.run(f"CREATE TABLE {table} (id INTEGER, run BIGINT)")
            db.run(f"INSERT INTO {table} VALUES (1, 0)")
        there = db.destination(table="CRM.Leads", fields={"run_sequence": "run"})
        assert there.missing() == []
        there.write([row("1", 5)], Job())
        assert (db.run("SELECT run FROM crm.crm.leads"), db.run("SELECT run FROM leads")) == ([(5,)], [(0,)])


class TestFatal:
    @pytest.mark.parametrize("path", [".", "no.duckdb", "empty.duckdb", "text.duckdb"])
    def test_what_is_no_database(self, db: DuckDBFile, path: str) -> None:
        (db.folder / "empty.duckdb").touch()
        (db.folder / "text.duckdb").write_text("no database" * 2000)
        there = db.destination(path=path)
        for call in (there.missing, lambda: there.write([row("1", 5)], Job())):
            with pytest.raises(Fatal) as caught:
                call()
            assert caught.value.todo
        assert not (db.folder / "no.duckdb").exists()

    def test_a_view(self, db: DuckDBFile) -> None:
        db.create()
        db.run(f"CREATE VIEW v AS SELECT * FROM {quoted(TABLE)}")
        with pytest.raises(Fatal, match="is a view"):
            db.destination(table="v").missing()

    def test_a_column_that_is_computed(self, db: DuckDBFile) -> None:
        db.create(extra=', twice INTEGER AS ("Points" * 2)')
        with pytest.raises(Fatal, match="'twice'"):
            db.destination(fields={"score": "twice"}).missing()


class TestOthers:
    def test_another_program_has_the_file_open(self, db: DuckDBFile) -> None:
        db.create()
        before = db.everything()
        there = db.destination()
        script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", script, db.folder / "crm.duckdb"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            for call in (there.missing, lambda: there.read(["1"]), lambda: there.write([row("1", 5)], Job())):
                with pytest.raises(Retriable) as caught:
                    call()
                assert not caught.value.applied
            other.communicate()
        assert db.everything() == before
        there.write([row("1", 5)], Job())
        assert db.column("run")[0] == 5

    def test_another_transaction_writes_to_the_same_records(self, db: DuckDBFile) -> None:
        db.create()
        with duckdb.connect(db.folder / "crm.duckdb") as other:
            other.execute("BEGIN")
            other.execute(f"UPDATE {quoted(TABLE)} SET run = 9")
            with pytest.raises(Retriable) as caught:
                db.destination().write([row("1", 5)], Job())
            assert not caught.value.applied
            other.execute("COMMIT")
        assert set(db.destination().write([row("1", 5)], Job()).newer) == {"1"}

    def test_the_file_is_free_between_two_calls(self, db: DuckDBFile) -> None:
        db.create()
        there = db.destination()
        there.write([row("1", 5)], Job())
        script = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE free (x INTEGER)')"
        subprocess.run([sys.executable, "-c", script, db.folder / "crm.duckdb"], check=True)
