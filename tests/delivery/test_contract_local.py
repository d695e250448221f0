"""The contract of destinations that are files on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("crm.contract")
from crm.contract import Contract, ContractOfRecords  # noqa: E402
from crm.file_peers import CsvPeer, ParquetPeer  # noqa: E402
from crm.peers import Peer  # noqa: E402
from crm.sql_peers import DuckDBPeer, SQLitePeer  # noqa: E402


class TestCsv(Contract):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> Peer:
        return CsvPeer(tmp_path)


class TestParquet(Contract):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> Peer:
        return ParquetPeer(tmp_path)


class TestSQLite(ContractOfRecords):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> Peer:
        return SQLitePeer(tmp_path)


class TestDuckDB(ContractOfRecords):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> Peer:
        return DuckDBPeer(tmp_path)
