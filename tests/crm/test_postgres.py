"""The server that tests start is one: it can be crashed, and has what was committed when it is back."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from servers.postgres import Postgres, bundled_binaries

TESTS = Path(__file__).resolve().parents[1]


def _value(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(x) FROM t").fetchone()
    assert row is not None
    return int(row[0])


def test_it_ends_with_the_process_that_started_it() -> None:
    code = (
        "import sys, time; from servers.postgres import Postgres\n"
        "with Postgres() as server: print(server.pid(), server.folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=TESTS
    ) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        process.kill()
    deadline = time.monotonic() + 60
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not _runs(int(pid))


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


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
    assert not _runs(pid)
    assert not folder.exists()
