"""A table in a DuckDB database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline.destinations.base import Fatal, Kind, Problem, Refused, Retriable
from pipeline.destinations.columns import Column, Holds, text
from pipeline.destinations.sql import SqlTable, Table, TableSettings, Target, quoted

_KEYS: dict[Holds, str] = {"integer": "HUGEINT", "number": "DOUBLE", "uuid": "UUID"}


class DuckDBSettings(TableSettings):
    """A table in a DuckDB database."""

    type: Literal["duckdb"] = "duckdb"
    path: str = Field(description="the database file, relative to this file")
    table: str = Field(description='"leads", or with its schema: "crm.leads"')


class DuckDB(SqlTable):
    """A table in a DuckDB database, which is open only as long as it is read or written."""

    settings_class = DuckDBSettings
    settings: DuckDBSettings
    staging = "temp.main.propense_staging"
    types: ClassVar[dict[Kind, str]] = {
        "number": "DOUBLE", "integer": "BIGINT", "boolean": "BOOLEAN", "text": "VARCHAR",
        "long_text": "VARCHAR", "choice": "VARCHAR", "time": "TIMESTAMPTZ",
    }  # fmt: skip

    @contextmanager
    def transaction(self, *, writing: bool) -> Iterator[Any]:
        """Open the database for one transaction; in the meantime no other program can."""
        import duckdb

        path = (self.root / self.settings.path).resolve()
        if not path.is_file():
            raise Fatal(f"There is no database {path}.", todo="correct `path`; none is made")
        with self.problems(), closing(duckdb.connect(path)) as connection:
            connection.execute("BEGIN")  # whatever is not committed is undone when it is closed
            yield connection
            connection.execute("COMMIT")

    def look(self, connection: Any) -> Table:
        """Return the table, in whichever schema it is found, and its columns."""
        found = connection.execute(
            "SELECT table_catalog, table_schema, table_name, table_type, column_name, data_type, "
            "is_generated FROM information_schema.tables JOIN information_schema.columns USING "
            "(table_catalog, table_schema, table_name) WHERE table_catalog = current_database() "
            "AND lower($1) IN (lower(table_schema || '.' || table_name), "
            "CASE WHEN table_schema = current_schema() THEN lower(table_name) END) ORDER BY ordinal_position",
            [self.settings.table],
        ).fetchall()
        if not found:
            raise Fatal(
                f"There is no table '{self.settings.table}' in {self.settings.path}.", todo="correct `table`"
            )
        if found[0][3] != "BASE TABLE":
            raise Fatal(
                f"'{self.settings.table}' is a view, which DuckDB cannot update.",
                todo="name the table behind it",
            )
        columns = [Column(name, _holds(type_), writable=made == "NEVER") for *_, name, type_, made in found]
        sql = ".".join(map(quoted, found[0][:3]))  # a schema may have the name of the database
        return Table(sql, {self.folded(column.name): column for column in columns})

    def stage(self, connection: Any, target: Target, rows: Iterable[tuple[Any, ...]]) -> None:
        """Copy the rows as text, which DuckDB reads as the types of the columns."""
        import pyarrow as pa

        columns = "".join(f", t.{quoted(c.name)} AS c{i}" for i, c in enumerate(target.columns))
        connection.execute(
            "CREATE TEMP TABLE propense_staging AS "
            f"SELECT 0 AS n, NULL::{_KEYS.get(target.key.holds, 'VARCHAR')} AS k{columns} "
            f"FROM {target.sql} AS t WITH NO DATA"
        )
        names = ["n", "k", *(f"c{i}" for i in range(len(target.columns)))]
        values = list(zip(*rows, strict=True)) or [()] * len(names)
        given = pa.table([pa.array(map(text, column), pa.string()) for column in values], names=names)
        connection.register("propense_given", given)
        connection.execute(f"INSERT INTO {self.staging} SELECT * FROM propense_given")

    def folded(self, name: str) -> str:
        """Return a name in lower case: here names do not differ by it."""
        return name.lower()

    def classify(self, error: Exception) -> Problem | None:
        """Return what an error means."""
        import duckdb

        if isinstance(error, UnicodeEncodeError):
            return Refused("a text that is not Unicode")
        if not isinstance(error, duckdb.Error):
            return None
        said = str(error).splitlines()[0]
        if isinstance(error, duckdb.IntegrityError | duckdb.DataError):
            return Refused(said)
        if isinstance(error, duckdb.TransactionException) or "Could not set lock" in said:
            return Retriable(f"The database is in use: {said}")
        return Fatal(f"DuckDB: {said}", todo=f"see to {self.settings.path}", applied=True)


def _holds(type_: str) -> Holds:
    if type_.removeprefix("U") in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"):
        return "integer"
    if type_ in ("FLOAT", "DOUBLE") or type_.startswith("DECIMAL"):
        return "number"
    if type_.startswith("TIMESTAMP"):
        return "zoned time" if type_.endswith("ZONE") else "time"
    known: dict[str, Holds] = {"BOOLEAN": "boolean", "VARCHAR": "text", "DATE": "date", "UUID": "uuid"}
    return known.get(type_, "other")
