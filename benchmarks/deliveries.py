"""How fast do the files and databases take the scores of half a million leads?

    PYTHONPATH=. python benchmarks/deliveries.py [--rows 500000] [NAME ...]

Measured is the destination alone, in the batches that it asks for: all rows with other values than those
that are there, the same rows again, and reading all of them back. The databases hold a table of the leads
with an index on the key (three columns of text besides), and nothing of a score before; PostgreSQL is the
one that the tests start, on this machine and with its own settings, or the one of --url.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.destinations import of_type
from pipeline.destinations.base import Destination, Job, Row, Value

ROOT = Path(__file__).resolve().parents[1]
FIELDS = {
    "propensity": "propensity", "score": "score", "band": "band", "grade": "grade", "sales_ready": "ready",
    "reasons": "reasons", "as_of": "scored_at", "model_version": "model", "run_sequence": "run",
}  # fmt: skip
# Types that each of the databases knows.
TABLE = """
    CREATE TABLE leads (id {key} PRIMARY KEY, name VARCHAR(80), city VARCHAR(80), note TEXT,
        propensity DOUBLE PRECISION, score INTEGER, band VARCHAR(20), grade VARCHAR(2), ready BOOLEAN,
        reasons TEXT, scored_at {time}, model VARCHAR(20), run BIGINT)
"""
# Half of each: number, name, city, note.
SERIES = """
    INSERT INTO leads (id, name, city, note)
    SELECT {id}, 'Lead ' || i, 'City ' || (i % 1000), 'asked for nothing yet' FROM {numbers}
"""
NAMES = ("csv", "parquet", "sqlite", "duckdb", "postgresql")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--url", help="of an empty PostgreSQL database, instead of one that is started")
    given = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {commit or 'unknown'} with "
        f"`python benchmarks/deliveries.py`: {given.rows:,} rows of {len(FIELDS)} fields, "
        f"{os.cpu_count()} cores.\n"
    )
    print("| destination | rows a batch | every row changes | rows/s | the same again | rows/s | read back |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        for kind in given.names:
            with destination(kind, Path(name), given.rows, given.url) as made:
                print(measured(made, given.rows), flush=True)


def measured(destination: Destination, count: int) -> str:
    """Return one line of the table."""
    assert destination.missing() == []
    size = destination.batch(count)
    destination.write(rows(count, 1, "A1"), Job()) if size >= count else None
    changing = rows(count, 2, "B2")
    writing = timed(lambda: write(destination, changing, size))
    again = timed(lambda: write(destination, changing, size))
    keys = [row.key for row in changing]
    reading = timed(lambda: read(destination, keys, size))
    cells = [
        type(destination).__name__, f"{size:,}", f"{writing:.1f} s", f"{count / writing:,.0f}",
        f"{again:.1f} s", f"{count / again:,.0f}", f"{reading:.1f} s",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def rows(count: int, sequence: int, grade: str) -> list[Row]:
    """Return the scores of `count` leads."""
    bands = ("mql", "nurture", "let_go")
    as_of = f"2026-06-{sequence:02}T10:00:00+00:00"
    made = []
    for i in range(count):
        values: dict[str, Value] = {
            "propensity": (i * 7919 % 1_000_003) / 1_000_003, "score": i % 101, "band": bands[i % 3],
            "grade": grade, "ready": i % 5 == 0, "scored_at": as_of, "model": "3", "run": sequence,
            "reasons": f"+ asked for a quote {i % 30} days ago; + opened 3 mails; − 1000+ employees",
        }  # fmt: skip
        made.append(Row(str(i), str(i), values, sequence))
    return made


def write(destination: Destination, batch: Sequence[Row], size: int) -> None:
    for start in range(0, len(batch), size):
        written = destination.write(batch[start : start + size], Job())
        assert not any((written.refused, written.gone, written.newer, written.unconfirmed))


def read(destination: Destination, keys: Sequence[str], size: int) -> None:
    found = sum(len(destination.read(keys[start : start + size])) for start in range(0, len(keys), size))
    assert found == len(keys)


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def destination(kind: str, folder: Path, count: int, url: str | None) -> Iterator[Destination]:
    """Give a destination with the leads in it, as they are before the first score arrives."""
    made = of_type(kind)
    given = {"fields": FIELDS, "key": "id"}
    if kind in ("csv", "parquet"):
        yield made("benchmark", made.settings_class(**given, path=f"scores.{kind}"), folder)
    elif kind == "postgresql":
        with postgresql(url) as found:
            fill_postgresql(found, count)
            yield made("benchmark", made.settings_class(**given, url=found, table="leads"), folder)
    else:
        (fill_sqlite if kind == "sqlite" else fill_duckdb)(folder / kind, count)
        yield made("benchmark", made.settings_class(**given, path=kind, table="leads"), folder)


def fill_sqlite(path: Path, count: int) -> None:
    numbers = f"(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1}) " \
              "SELECT i FROM n)"  # fmt: skip
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(TABLE.format(key="VARCHAR(20)", time="TEXT"))
        database.execute(SERIES.format(id="CAST(i AS TEXT)", numbers=numbers))


def fill_duckdb(path: Path, count: int) -> None:
    import duckdb

    with duckdb.connect(path) as database:
        database.execute(TABLE.format(key="VARCHAR", time="TIMESTAMPTZ"))
        database.execute(SERIES.format(id="i::VARCHAR", numbers=f"range({count}) AS r(i)"))


def fill_postgresql(url: str, count: int) -> None:
    import psycopg

    with psycopg.connect(url) as database:
        database.execute(TABLE.format(key="VARCHAR(20)", time="TIMESTAMPTZ"))
        database.execute(SERIES.format(id="i::text", numbers=f"generate_series(0, {count - 1}) AS s(i)"))


@contextmanager
def postgresql(url: str | None) -> Iterator[str]:
    """Give the URL of an empty database."""
    if url:
        yield url
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from servers.postgres import Postgres

    with Postgres() as server:
        yield server.create("benchmark")


if __name__ == "__main__":
    main()
