"""Writing a folder all at once, and the tables in it block by block."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.errors import ConfigurationError

MARKER = ".propense-simulation"
SCORE_COLUMNS = {
    "propense_propensity": "REAL",
    "propense_score": "INTEGER",
    "propense_band": "TEXT",
    "propense_grade": "TEXT",
    "propense_reasons": "TEXT",
    "propense_model_version": "TEXT",
    "propense_as_of": "TEXT",
    "propense_run_id": "TEXT",
    "propense_run_sequence": "INTEGER",
}


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """Yield an empty folder beside `directory` that takes its place when the block ends without an error.

    What others put beside an earlier simulation (a configuration, outputs) is kept.

    Raises
    ------
    ConfigurationError
        When `directory` exists, is not empty and was not written by a simulation.
    """
    directory = Path(directory).absolute()
    _refuse_foreign(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        _swap(fresh, directory)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _refuse_foreign(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ConfigurationError("The folder to simulate into is a file.", where=str(directory))
    if any(directory.iterdir()) and not (directory / MARKER).is_file():
        raise ConfigurationError(
            "The folder to simulate into is not empty and holds no earlier simulation.",
            where=str(directory),
            allowed="a new folder, an empty one, or one written by 'propense simulate'",
            todo="choose another folder; nothing was written",
        )


def _swap(fresh: Path, directory: Path) -> None:
    if directory.exists():
        marker = directory / MARKER
        ours = set(json.loads(marker.read_text())["files"]) | {MARKER} if marker.is_file() else set()
        aside = fresh.with_suffix(".old")
        directory.rename(aside)
        fresh.rename(directory)
        for entry in aside.iterdir():
            if entry.name not in ours and not (directory / entry.name).exists():
                entry.rename(directory / entry.name)
        shutil.rmtree(aside)
    else:
        fresh.rename(directory)


def mark(directory: Path, facts: dict[str, object]) -> None:
    """Write the marker that says what was simulated here and which entries belong to it."""
    files = sorted(entry.name for entry in directory.iterdir())
    text = json.dumps({**facts, "files": files}, indent=1, default=str)
    (directory / MARKER).write_text(text + "\n", encoding="utf-8")


class Tables:
    """Open table files of one folder, appended to block by block; the suffix chooses the format."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writers: dict[str, tuple[Callable[[pa.Table], None], Callable[[], None]]] = {}

    def append(self, name: str, table: pa.Table) -> None:
        """Append `table` to the file `name`, a path within the folder ending in .csv or .parquet."""
        if name not in self._writers:
            self._writers[name] = self._open(name, table.schema)
        self._writers[name][0](table)

    def _open(self, name: str, schema: pa.Schema) -> tuple[Callable[[pa.Table], None], Callable[[], None]]:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            parquet = pa.parquet.ParquetWriter(path, schema, compression="zstd")
            return parquet.write_table, parquet.close
        options = pa.csv.WriteOptions(quoting_style="needed", quoting_header="none")
        lines = pa.csv.CSVWriter(path, schema, write_options=options)
        return lines.write_table, lines.close

    def __enter__(self) -> Tables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, close in self._writers.values():
            close()


def write_crm(path: Path, lead_ids: Iterator[str]) -> None:
    """Write the CRM's own database: table ``leads`` with empty fields for the scores."""
    columns = ", ".join(f"{name} {kind}" for name, kind in SCORE_COLUMNS.items())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE leads (lead_id TEXT PRIMARY KEY, {columns})")
        database.executemany("INSERT INTO leads (lead_id) VALUES (?)", ((name,) for name in lead_ids))
