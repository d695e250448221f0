"""A table in SQLite gets exactly the scores of its leads, whoever else works with the file."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sql_tables import FIELDS, TABLE, Database, TriggeredSpecification, quoted, row

from pipeline.destinations import sqlite
from pipeline.destinations.base import Fatal, Job, Refused, Retriable
from pipeline.destinations.sqlite import SQLite, SQLiteSettings


class SQLiteFile(Database):
    number = "REAL"
    time = "TEXT"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("PRAGMA user_version = 1")  # which makes the file

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "crm.sqlite")) as connection, connection:
            return connection.execute(sql).fetchall()

    def destination(self, **settings: Any) -> SQLite:
        given = {"path": "crm.sqlite", "table": TABLE, "key": "id", "fields": FIELDS, **settings}
        return SQLite("crm", SQLiteSettings(**given), self.folder)


@pytest.fixture
def db(tmp_path: Path) -> SQLiteFile:
    return SQLiteFile(tmp_path)


class TestTable(TriggeredSpecification):
    def refusing(self, db: Database) -> None:
        db.run(
            f"CREATE TRIGGER frozen BEFORE UPDATE ON {quoted(TABLE)} WHEN old.id = 3 "
            "BEGIN SELECT RAISE(ABORT, 'lead is frozen'); END"
        )

    def ignoring(self, db: Database) -> None:
        db.run(
            f"CREATE TRIGGER kept BEFORE UPDATE ON {quoted(TABLE)} WHEN old.id = 3 "
            "BEGIN SELECT RAISE(IGNORE); END"
        )

    def counting(self, db: Database) -> None:
        db.run(
            f"CREATE TRIGGER counted AFTER UPDATE ON {quoted(TABLE)} "
            "BEGIN INSERT INTO log VALUES (new.id); END"
        )

    def test_a_trigger_that_undoes_the_transaction(self, crm: Database) -> None:
        self.refusing(crm)
        crm.run("DROP TRIGGER frozen")
        crm.run(
            f"CREATE TRIGGER undone BEFORE UPDATE ON {quoted(TABLE)} BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
        )
        with pytest.raises(Refused, match="no"):
            crm.destination().write([row("1", 5)], Job())


class TestTypes:
    """SQLite's columns turn values into numbers or text if they can, and keep them otherwise."""

    def test_values_have_the_types_of_the_columns(self, db: SQLiteFile) -> None:
        db.create()
        db.destination().write([row("1", 5)], Job())
        types = ", ".join(
            f"typeof({quoted(name)})" for name in ("p", "Points", 're"ady', "why %s", "at", "run")
        )
        assert db.run(f"SELECT {types} FROM {quoted(TABLE)} WHERE id = 1") == [
            ("real", "integer", "integer", "text", "text", "integer")
        ]

    @pytest.mark.parametrize("type_", ["", "BLOB", "NUMERIC", "STRING", "UUID"])
    def test_a_key_without_a_type_to_speak_of(self, db: SQLiteFile, type_: str) -> None:
        db.create(key=type_)
        db.run(f"INSERT INTO {quoted(TABLE)} (id) VALUES ('L-7'), (10)")
        written = db.destination().write([row(key, 5) for key in ("1", "L-7", "1e1", "L-8")], Job())
        assert set(written.gone) == {"1e1", "L-8"}
        assert db.run(f"SELECT id FROM {quoted(TABLE)} WHERE run = 5 ORDER BY id") == [(1,), ("L-7",)]

    def test_text_in_a_column_of_numbers_is_kept(self, db: SQLiteFile) -> None:
        db.create(**{"the band": "STRING"})
        there = db.destination()
        assert not there.write([row("1", 5)], Job()).refused
        assert there.read(["1"])["1"].values["the band"] == "mql"

    def test_a_strict_table_refuses(self, db: SQLiteFile) -> None:
        db.run(f"CREATE TABLE {quoted(TABLE)} (id INTEGER, p INTEGER) STRICT")
        db.run(f"INSERT INTO {quoted(TABLE)} VALUES (1, 1)")
        with pytest.raises(Refused):
            db.destination(fields={"propensity": "p"}).write([row("1", 5)], Job())

    def test_a_number_beyond_64_bits(self, db: SQLiteFile) -> None:
        db.create()
        with pytest.raises(Refused):
            db.destination().write([row("1", 5, Points=2**64)], Job())

    def test_names_do_not_differ_by_capitals(self, db: SQLiteFile) -> None:
        db.create()
        there = db.destination(
            table=TABLE.lower(), key="ID", fields={"score": "POINTS", "run_sequence": "RUN"}
        )
        assert there.missing() == []
        there.write([row("1", 5, POINTS=7, RUN=5)], Job())
        assert db.column("Points")[-1:] + db.column("Points")[:1] in ([7, None], [None, 7])


class TestFatal:
    def test_no_database_is_made(self, db: SQLiteFile) -> None:
        for call in (lambda d: d.missing(), lambda d: d.write([row("1", 5)], Job())):
            with pytest.raises(Fatal, match="no database"):
                call(db.destination(path="other.sqlite"))
        assert not (db.folder / "other.sqlite").exists()

    @pytest.mark.parametrize("path", [".", "empty.sqlite", "text.sqlite"])
    def test_what_is_no_database(self, db: SQLiteFile, path: str) -> None:
        (db.folder / "empty.sqlite").touch()
        (db.folder / "text.sqlite").write_text("no database" * 200)
        with pytest.raises(Fatal) as caught:
            db.destination(path=path).missing()
        assert caught.value.todo

    def test_a_view(self, db: SQLiteFile) -> None:
        db.create()
        db.run(f"CREATE VIEW v AS SELECT * FROM {quoted(TABLE)}")
        with pytest.raises(Fatal, match="is a view"):
            db.destination(table="v").missing()

    def test_a_column_that_is_computed(self, db: SQLiteFile) -> None:
        db.create(extra=", twice AS (Points * 2)")
        with pytest.raises(Fatal, match="'twice'"):
            db.destination(fields={"score": "twice"}).missing()

    def test_a_file_that_may_not_be_written(self) -> None:
        with somebody_else() as folder:
            db = SQLiteFile(folder)
            db.create()
            (folder / "crm.sqlite").chmod(0o444)
            before = db.everything()
            with pytest.raises(Fatal, match="readonly"):
                db.destination().missing()
            with pytest.raises(Fatal, match="readonly"):
                db.destination().write([row("1", 5)], Job())
            assert db.everything() == before

    def test_a_damaged_file(self, db: SQLiteFile) -> None:
        db.create()
        path = db.folder / "crm.sqlite"
        content = bytearray(path.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(Fatal):
            db.destination().write([row("1", 5)], Job())

    def test_a_full_disk(self, db: SQLiteFile) -> None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("PRAGMA max_page_count = 2")
            with pytest.raises(sqlite3.OperationalError) as caught:
                connection.executescript("CREATE TABLE a (x); CREATE TABLE b (x); CREATE TABLE c (x)")
        problem = db.destination().classify(caught.value)
        assert isinstance(problem, Fatal)
        assert "full" in problem.text


class TestOthers:
    """Other programs use the file at the same time."""

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite, "_WAIT", 0.05)

    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_who_writes_keeps_us_waiting(self, db: SQLiteFile, mode: str) -> None:
        db.create()
        db.run(f"PRAGMA journal_mode = {mode}")
        before = db.everything()
        there = db.destination()
        with closing(sqlite3.connect(db.folder / "crm.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for call in (there.missing, lambda: there.write([row("1", 5)], Job())):
                with pytest.raises(Retriable) as caught:
                    call()
                assert not caught.value.applied
            other.execute("ROLLBACK")
        assert db.everything() == before
        there.write([row("1", 5)], Job())

    def test_who_reads_keeps_us_from_committing(self, db: SQLiteFile) -> None:
        db.create()
        before = db.everything()
        there = db.destination()
        with closing(sqlite3.connect(db.folder / "crm.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute(f"SELECT * FROM {quoted(TABLE)}").fetchone()
            with pytest.raises(Retriable) as caught:
                there.write([row("1", 5)], Job())
            assert not caught.value.applied
            other.execute("ROLLBACK")
        assert db.everything() == before

    def test_reading_goes_on_beside_a_writer(self, db: SQLiteFile) -> None:
        db.create()
        with closing(sqlite3.connect(db.folder / "crm.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert set(db.destination().read(["1", "9"])) == {"1"}


@contextmanager
def somebody_else() -> Iterator[Path]:
    """Give a folder in which we are a user without special rights, also where the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), os.geteuid() == 0
        if root:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
