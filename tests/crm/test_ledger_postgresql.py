"""The ledger in PostgreSQL: what every ledger is, and what is special about a server."""

from __future__ import annotations

from contextlib import closing, suppress

import psycopg
import pytest
from delivery.ledger_contract import LedgerContract, eventually, planned, states
from servers.postgres import Postgres
from sqlalchemy import text

from features.errors import DeliveryError
from pipeline.delivery.ledger import LeaseLost, Ledger


def run(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)


class TestPostgreSQL(LedgerContract):
    @pytest.fixture
    def url(self, database: str) -> str:
        return database

    def test_a_lease_ends_with_the_connection_that_holds_it(self, ledger: Ledger, url: str) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b"), 1)
            book.begin(1)
            run(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            for _ in range(2):  # it does not come back by connecting again
                with pytest.raises(LeaseLost, match="connection to the ledger broke"):
                    book.settle(1)
            with ledger.writer("crm") as second:
                assert states(second) == (1, 1, 0, 0)
                with pytest.raises(LeaseLost):
                    book.counts()

    def test_a_connection_that_breaks_in_a_large_plan_ends_the_lease(self, ledger: Ledger, url: str) -> None:
        with ledger.writer("crm") as book:
            run(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            with pytest.raises(LeaseLost):
                book.plan(planned(*map(str, range(1000))), 10)

    def test_what_was_committed_outlives_a_crash_of_the_server(
        self, ledger: Ledger, url: str, postgres: Postgres
    ) -> None:
        try:
            with ledger.writer("crm") as book:
                book.plan(planned("a", "b", "c"), 1)
                book.begin(1)
                book.settle(1)
                book.begin(2)
                postgres.kill()
                with pytest.raises(LeaseLost):
                    book.settle(2)
            with pytest.raises(DeliveryError, match="cannot be used") as caught:
                ledger.failures()
            assert "see that the server runs" in caught.value.todo
        finally:
            postgres.start()
        with ledger.writer("crm") as book:
            assert states(book) == (1, 1, 1, 0)
            assert list(book.written()["lead_id"]) == ["a"]

    def test_a_commit_is_on_disk_whatever_the_server_prefers(
        self, ledger: Ledger, url: str, postgres: Postgres
    ) -> None:
        name = url.rpartition("/")[2]
        for setting in ("synchronous_commit = off", "default_transaction_isolation = serializable",
                        "statement_timeout = 9000", "idle_session_timeout = 9000"):  # fmt: skip
            run(postgres.url(), f"ALTER DATABASE {name} SET {setting}")
        with ledger._engine.connect() as connection:
            names = (
                "synchronous_commit",
                "transaction_isolation",
                "statement_timeout",
                "idle_session_timeout",
            )
            found = [connection.scalar(text(f"SHOW {name}")) for name in names]
        assert found == ["on", "read committed", "0", "0"]

    def test_ledgers_in_two_databases_of_a_server_are_two(self, ledger: Ledger, postgres: Postgres) -> None:
        try:
            with closing(Ledger.open(postgres.create("second"))) as second, ledger.writer("crm") as book:
                with second.writer("crm") as other:
                    other.plan(planned("a"), 1)
                assert states(book) == (0, 0, 0, 0)
        finally:
            postgres.drop("second")

    def test_an_empty_place_and_tables_of_others_are_left_alone(self, url: str) -> None:
        """A shop's database may well have tables of these names."""
        for name in ("runs", "deliveries", "written", "leases"):
            run(url, f"CREATE TABLE {name} (mine INTEGER)")
        with closing(Ledger.open(url)) as ledger, ledger.writer("crm") as book:
            book.plan(planned("a"), 1)
            assert states(book) == (1, 0, 0, 0)

    def test_who_may_not_create_tables_is_told_so(self, url: str) -> None:
        clerk = url.replace("postgres@", "clerk@")
        name = url.rpartition("/")[2]
        with suppress(psycopg.errors.DuplicateObject):
            run(url, "CREATE ROLE clerk LOGIN")
        try:
            run(url, "REVOKE CREATE ON SCHEMA public FROM public")
            with pytest.raises(DeliveryError, match="permission denied") as caught:
                Ledger.open(clerk)
            assert caught.value.where == clerk
            assert "let this user create tables" in caught.value.todo
            Ledger.open(url).close()
            with pytest.raises(DeliveryError, match="permission denied"):
                Ledger.open(clerk)
            run(url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk")
            with closing(Ledger.open(clerk)) as ledger, ledger.writer("crm") as book:
                book.plan(planned("a"), 1)
                assert states(book) == (1, 0, 0, 0)
        finally:
            run(url, f"DROP OWNED BY clerk; GRANT ALL ON DATABASE {name} TO postgres; DROP ROLE clerk")

    def test_a_server_that_only_reads_is_told_so(self, url: str, postgres: Postgres) -> None:
        name = url.rpartition("/")[2]
        run(postgres.url(), f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with pytest.raises(DeliveryError, match="read-only transaction") as caught:
            Ledger.open(url)
        assert "name the server that can be written to" in caught.value.todo

    def test_a_server_that_is_not_there_is_told_so_without_the_password(self, url: str) -> None:
        wrong = "postgresql://clerk:secret-word@127.0.0.1:9/ledger?application_name=secret-word"
        with pytest.raises(DeliveryError, match="cannot be used") as caught:
            Ledger.open(wrong)
        assert caught.value.where == "postgresql://clerk@127.0.0.1:9/ledger"
        assert "secret-word" not in caught.value.message
        with pytest.raises(DeliveryError, match='database "nowhere" does not exist'):
            Ledger.open(url.rpartition("/")[0] + "/nowhere")

    def test_a_table_that_was_dropped_meanwhile_is_a_defect_and_a_lease_stays(
        self, ledger: Ledger, url: str
    ) -> None:
        """A wrong statement is no trouble of the database's: it is raised as it is, and ends nothing."""
        with ledger.writer("crm") as book:
            run(url, "ALTER TABLE propense_written RENAME TO elsewhere")
            with pytest.raises(Exception, match="propense_written"):
                book.written()
            run(url, "ALTER TABLE elsewhere RENAME TO propense_written")
            assert eventually(book.written, DeliveryError).empty
