"""The ledger in a SQLite file: what every ledger is, and what is special about a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from delivery.ledger_contract import LedgerContract, planned, states
from sqlalchemy import text

from features.errors import DeliveryError
from pipeline.delivery.ledger import Busy, LeaseLost, Ledger


class TestSQLite(LedgerContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/not yet/there/ledger.sqlite"

    def test_a_commit_is_on_disk(self, ledger: Ledger) -> None:
        with ledger._engine.connect() as connection:
            settings = [connection.scalar(text(f"PRAGMA {n}")) for n in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]

    def test_a_removed_lock_does_not_let_two_write(self, ledger: Ledger, url: str) -> None:
        (folder,) = {Path(url.removeprefix("sqlite:///")).parent}
        with ledger.writer("crm/eu") as first:
            first.plan(planned("a"), 1)
            first.begin(1)
            (lock,) = folder.glob("*.lock")
            lock.unlink()
            with ledger.writer("crm/eu") as second:
                with pytest.raises(LeaseLost):
                    first.settle(1)
                assert states(second) == (0, 1, 0, 0)

    def test_two_names_of_a_file_are_one_ledger(self, ledger: Ledger, url: str, tmp_path: Path) -> None:
        other = tmp_path / "link.sqlite"
        other.symlink_to(url.removeprefix("sqlite:///"))
        with closing(Ledger.open(f"sqlite:///{other}")) as same, ledger.writer("crm") as book:
            with pytest.raises(Busy), same.writer("crm"):
                pass
            book.plan(planned("a"), 1)

    def test_failures_can_be_read_while_another_writes(self, ledger: Ledger) -> None:
        with closing(sqlite3.connect(str(ledger._engine.url.database))) as other:
            other.execute("BEGIN IMMEDIATE")
            assert ledger.failures() == []
            assert ledger.highest() == 0
            other.rollback()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///x?mode=ro", "names no file"),
        ("mysql://user:secret-word@host/db", "cannot be kept in 'mysql'"),
        ("ledger.sqlite", "cannot be read"),
        ("postgresql://user:secret-word@host:port/db", "cannot be read"),
        ("postgresql://user:secret@word@host/db", '"%40"'),
    ],
)
def test_a_url_of_no_ledger_is_explained(url: str, says: str) -> None:
    with pytest.raises(DeliveryError, match=says) as caught:
        Ledger.open(url)
    assert caught.value.where == "[sync] ledger"
    assert "sqlite:///path" in caught.value.allowed
    assert "word" not in caught.value.message.replace("password", "")


def test_a_file_that_is_no_ledger_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("lead_id,score\n" * 100)
    with pytest.raises(DeliveryError, match="not a database") as caught:
        Ledger.open(f"sqlite:///{file}")
    assert caught.value.where == str(file)
    assert "name another one in [sync] ledger" in caught.value.todo


@pytest.mark.parametrize("path", ["/proc/nowhere/ledger.sqlite", "/proc/ledger.sqlite"])
def test_a_place_that_cannot_be_written_to_is_explained(path: str) -> None:
    with pytest.raises(DeliveryError, match="cannot be used") as caught:
        Ledger.open(f"sqlite:///{path}")
    assert caught.value.where == path
    assert "make the file and its folder writable" in caught.value.todo


def test_a_folder_or_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="unable to open"):
        Ledger.open(f"sqlite:///{tmp_path}")
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryError, match=r"Not a directory|File exists"):
        Ledger.open(f"sqlite:///{tmp_path}/file/ledger.sqlite")


def test_trouble_after_opening_is_explained(tmp_path: Path) -> None:
    """Somebody restores an empty file in place of the ledger: no traceback, and nothing is invented."""
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger.open(f"sqlite:///{path}")) as ledger:
        for file in tmp_path.iterdir():
            file.unlink()
        path.mkdir()
        with pytest.raises(DeliveryError, match="unable to open"):
            ledger.failures()
        with pytest.raises(DeliveryError, match="unable to open"), ledger.writer("crm"):
            pass
