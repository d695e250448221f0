"""The server that tests start is one: it can be crashed, and has what was committed when it is back."""

from __future__ import annotations

from pathlib import Path

import psutil
import psycopg
import pytest
from servers.postgres import Postgres, bundled_binaries


def _value(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(x) FROM t").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("binaries", [None, bundled_binaries()], ids=["system", "wheel"])
def test_it_survives_a_crash_and_leaves_nothing_behind(binaries: Path | None) -> None:
    with Postgres(binaries) as server:
        url = server.create("one")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t (x INTEGER)")
            connection.execute("INSERT INTO t VALUES (7)")
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO t VALUES (8)")  # not committed
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
        assert _value(url) == 7
        server.stop()
        server.stop()  # what is stopped stays so
        server.start()
        pid = server.pid()
        assert pid is not None
        folder = server.folder
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not folder.exists()
