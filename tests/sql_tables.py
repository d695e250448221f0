"""What every table in a SQL database does as a destination; each database runs this on its own."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.destinations.base import Destination, Fatal, Job, Kind, Problem, Record, Refused, Row, Value

FIELDS = {
    "propensity": "p", "score": "Points", "band": "the band", "sales_ready": 're"ady', "reasons": "why %s",
    "as_of": "at", "run_sequence": "run",
}  # fmt: skip
TABLE = 'Le"ads; DROP'
VALUES: dict[str, Value] = {
    "p": 0.25, "Points": 50, "the band": "mql", 're"ady': True, "at": "2026-06-30T10:00:00+00:00",
    "why %s": "+ asked for a quote; − 1000+ employees",
}  # fmt: skip
NOTHING: dict[str, Value] = {**dict.fromkeys(VALUES), "run": None}
# Whatever Unicode has but lone halves of characters; PostgreSQL's texts have no NUL either.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
IN_PLACE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    deadline=None,
)


def row(key: str, sequence: int, lead: str | None = None, **values: Value) -> Row:
    """Return a lead's scores, of the run `sequence`."""
    return Row(lead or f"lead {key}", key, {**VALUES, "run": sequence, **values}, sequence)


def cleared(key: str, sequence: int) -> Row:
    return Row(f"lead {key}", key, {**NOTHING, "run": sequence}, sequence)


class Database:
    """A database as the tests use it: by its own means, not by those of the destination."""

    integer = "INTEGER"
    number = "DOUBLE PRECISION"
    time = "TIMESTAMPTZ"
    created = False

    @abstractmethod
    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute a statement, commit, and return what it returns."""

    @abstractmethod
    def destination(self, **settings: Any) -> Destination:
        """Return the table as a destination."""

    def create(self, key: str = "INTEGER PRIMARY KEY", extra: str = "", **types: str) -> None:
        """Create the leads' table with the leads 1, 2, 3, and what other programs keep there."""
        self.created = True
        of = {
            "p": self.number, "Points": self.integer, "the band": "VARCHAR(20)", 're"ady': "BOOLEAN",
            "why %s": "TEXT", "at": self.time, "run": "BIGINT", **types,
        }  # fmt: skip
        columns = ", ".join(f"{quoted(name)} {type_}" for name, type_ in of.items())
        self.run(f"CREATE TABLE {quoted(TABLE)} (id {key}, name TEXT, {columns}{extra})")
        self.run(f"INSERT INTO {quoted(TABLE)} (id, name) VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cleo')")

    def fresh(self) -> None:
        """Create the leads' table, or have it as it was at first."""
        if not self.created:
            self.create()
        self.run(
            f"UPDATE {quoted(TABLE)} SET " + ", ".join(f"{quoted(name)} = NULL" for name in FIELDS.values())
        )

    def everything(self) -> list[tuple[Any, ...]]:
        return self.run(f"SELECT * FROM {quoted(TABLE)} ORDER BY id, run")

    def column(self, name: str) -> list[Any]:
        return [
            value for (value,) in self.run(f"SELECT {quoted(name)} FROM {quoted(TABLE)} ORDER BY id, run")
        ]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def values_of(record: Record) -> dict[str, Value]:
    """Return a record's values, booleans as such where the database knows none."""
    return {**record.values, 're"ady': None if (r := record.values['re"ady']) is None else bool(r)}


class TableSpecification:
    """Subclasses give `db`, a database without tables."""

    @pytest.fixture
    def crm(self, db: Database) -> Database:
        db.create()
        return db

    @pytest.fixture
    def there(self, crm: Database) -> Destination:
        return crm.destination()

    # What is there

    def test_nothing_is_missing(self, there: Destination) -> None:
        assert there.missing() == []

    def test_missing_fields_are_named(self, crm: Database) -> None:
        fields = {**FIELDS, "grade": "Grade", "fit": 'x" = 1 --'}
        assert crm.destination(fields=fields).missing() == ["Grade", 'x" = 1 --']

    def test_looking_changes_nothing(self, crm: Database) -> None:
        before = crm.everything()
        crm.destination().missing()
        assert crm.everything() == before

    @pytest.mark.parametrize("call", ["missing", "read", "write", "create_fields"])
    def test_a_table_that_is_not_there(self, crm: Database, call: str) -> None:
        there = crm.destination(table="people")
        calls: Mapping[str, Callable[[], Any]] = {
            "missing": there.missing,
            "read": lambda: there.read(["1"]),
            "write": lambda: there.write([row("1", 1)], Job()),
            "create_fields": lambda: there.create_fields({"x": "text"}),
        }
        with pytest.raises(Fatal, match="no table 'people'"):
            calls[call]()

    def test_a_key_that_is_not_there(self, crm: Database) -> None:
        with pytest.raises(Fatal, match="no column 'idd'") as caught:
            crm.destination(key="idd").missing()
        assert caught.value.todo == "Did you mean 'id'?"

    def test_the_key_is_never_written(self, crm: Database) -> None:
        with pytest.raises(ValueError, match="identifies the record"):
            crm.destination(fields={"lead_id": "id"})

    def test_a_run_sequence_that_would_be_compared_as_text(self, db: Database) -> None:
        db.create(run="VARCHAR(20)")
        with pytest.raises(Fatal, match="holds no numbers"):
            db.destination().missing()

    def test_a_field_that_goes_away_stops_the_run(self, crm: Database) -> None:
        there = crm.destination()
        crm.run(f"ALTER TABLE {quoted(TABLE)} DROP COLUMN p")
        before = crm.everything()
        with pytest.raises(Fatal, match="no column 'p'"):
            there.write([row("1", 1)], Job())
        with pytest.raises(Fatal, match="no column 'p'"):
            there.read(["1"])
        assert crm.everything() == before

    # Fields that are created

    KINDS: Mapping[str, Kind] = {
        "p": "number", "Points": "integer", "the band": "choice", 're"ady': "boolean", "why %s": "long_text",
        "at": "time", "run": "integer",
    }  # fmt: skip

    @pytest.fixture
    def bare(self, db: Database) -> Database:
        """A table without any of the fields."""
        db.run(f"CREATE TABLE {quoted(TABLE)} (id INTEGER PRIMARY KEY, name TEXT)")
        db.run(f"INSERT INTO {quoted(TABLE)} VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cleo')")
        return db

    def test_fields_are_created_for_what_they_hold(self, bare: Database) -> None:
        there = bare.destination()
        assert there.missing() == list(self.KINDS)
        there.create_fields(self.KINDS)
        assert there.missing() == []
        there.write([row("1", 7)], Job())
        assert values_of(there.read(["1"])["1"]) == {**VALUES, "run": 7}
        assert bare.column("name") == ["Ann", "Ben", "Cleo"]

    def test_fields_are_created_once(self, bare: Database) -> None:
        there = bare.destination()
        there.create_fields(self.KINDS)
        there.create_fields(self.KINDS)
        assert there.missing() == []

    def test_fields_are_created_by_two_at_once(self, bare: Database) -> None:
        there, problems = bare.destination(), []
        start = threading.Barrier(4)

        def create() -> None:
            start.wait()
            for _ in range(20):
                try:
                    there.create_fields(self.KINDS)
                except Problem as problem:  # the other one is at it: once more
                    problems.append(problem)
                else:
                    return

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert there.missing() == []
        assert not [problem for problem in problems if isinstance(problem, Fatal)]

    # What is written, and what is read back

    def test_exactly_the_given_records(self, crm: Database, there: Destination) -> None:
        before = crm.everything()
        written = there.write([row("1", 5), row("3", 5, p=0.5)], Job())
        assert not any((written.refused, written.gone, written.newer, written.unconfirmed))
        found = there.read(["1", "2", "3"])
        assert {key: values_of(record) for key, record in found.items()} == {
            "1": {**VALUES, "run": 5}, "2": NOTHING, "3": {**VALUES, "p": 0.5, "run": 5},
        }  # fmt: skip
        assert crm.column("name") == ["Ann", "Ben", "Cleo"]
        assert crm.everything()[1] == before[1]

    def test_none_is_created(self, crm: Database, there: Destination) -> None:
        assert set(there.write([row("1", 5), row("9", 5)], Job()).gone) == {"9"}
        assert crm.column("id") == [1, 2, 3]
        assert list(there.read(["1", "9"])) == ["1"]

    def test_no_rows(self, crm: Database, there: Destination) -> None:
        before = crm.everything()
        there.write([], Job())
        assert there.read([]) == {}
        assert crm.everything() == before

    def test_a_lead_is_cleared(self, crm: Database, there: Destination) -> None:
        there.write([row("1", 5)], Job())
        there.write([cleared("1", 6)], Job())
        assert there.read(["1"])["1"].values == {**NOTHING, "run": 6}

    def test_an_empty_text_is_no_value(self, crm: Database, there: Destination) -> None:
        there.write([row("1", 5, **dict.fromkeys(VALUES, ""))], Job())
        assert there.read(["1"])["1"].values == {**NOTHING, "run": 5}

    @pytest.mark.parametrize("key", ["INTEGER", "BIGINT PRIMARY KEY", "NUMERIC(12, 0)", "DOUBLE PRECISION"])
    def test_a_key_of_numbers(self, db: Database, key: str) -> None:
        db.create(key=key)
        there = db.destination()
        assert there.missing() == []
        # What is no whole number is nobody's key, even if a database would read it as one.
        nobody = ["abc", "1e0", "1.0", "", " ", "0x1", "1_0", "٣", "1" * 60, str(2**63), "-1", "1; DROP"]
        written = there.write([row("1", 5), row("003", 5), *(row(key, 5) for key in nobody)], Job())
        assert set(written.gone) == set(nobody)
        assert db.column("run") == [5, None, 5]
        assert list(there.read(["1", *nobody])) == ["1"]

    @pytest.mark.parametrize("key", ["VARCHAR(20)", "TEXT PRIMARY KEY", "CHAR(4)"])
    def test_a_key_of_text(self, db: Database, key: str) -> None:
        db.create(key=key)
        odd = "a'b%"
        db.run(f"INSERT INTO {quoted(TABLE)} (id) VALUES ('007'), ('a''b%')")
        there = db.destination()
        written = there.write([row("1", 5), row(odd, 5), row("7", 5), row("x" * 100, 5)], Job())
        assert set(written.gone) == {"7", "x" * 100}
        assert set(there.read(["1", odd, "7"])) == {"1", odd}
        assert sorted(str(key).strip() for (key,) in self._written(db)) == ["1", odd]

    def _written(self, db: Database) -> list[tuple[Any, ...]]:
        return db.run(f"SELECT id FROM {quoted(TABLE)} WHERE run = 5")

    def test_a_key_of_several_rows_is_all_of_them(self, db: Database) -> None:
        db.create(key="INTEGER")
        db.run(f"INSERT INTO {quoted(TABLE)} (id, run) VALUES (3, 2), (3, 9)")
        there = db.destination()
        written = there.write([row("3", 5)], Job())
        assert db.column("run") in ([None, None, 5, 5, 9], [5, 5, 9, None, None])
        assert set(written.newer) == {"3"}
        # Of several, the one that lags behind is what tells whether all of them have it.
        assert there.read(["3"])["3"].values["run"] == 5

    def test_two_rows_of_the_same_record(self, there: Destination) -> None:
        written = there.write([row("1", 5), row("01", 5, p=0.9)], Job())
        assert dict(written.refused) == {"01": "another row of the batch is written to the same record"}
        assert there.read(["1"])["1"].values["p"] == 0.25

    # No older run over a newer one

    def test_an_older_run_changes_nothing(self, crm: Database, there: Destination) -> None:
        there.write([row("1", 5)], Job())
        before = crm.everything()
        written = there.write([row("1", 4, p=0.9), row("2", 4)], Job())
        assert set(written.newer) == {"1"}
        assert crm.everything()[0] == before[0]
        assert crm.column("run") in ([5, 4, None], [4, 5, None])

    def test_the_same_run_again(self, crm: Database, there: Destination) -> None:
        there.write([row("1", 5)], Job())
        before = crm.everything()
        written = there.write([row("1", 5)], Job())
        assert not any((written.refused, written.gone, written.newer, written.unconfirmed))
        assert crm.everything() == before

    def test_the_same_run_with_other_values(self, there: Destination) -> None:
        there.write([row("1", 5)], Job())
        assert not there.write([row("1", 5, p=0.9)], Job()).newer
        assert there.read(["1"])["1"].values["p"] == 0.9

    def test_without_a_run_sequence_there_is_no_guard(self, crm: Database) -> None:
        fields = {column: name for column, name in FIELDS.items() if column != "run_sequence"}
        there = crm.destination(fields=fields)
        assert there.missing() == []
        for sequence, p in ((5, 0.5), (4, 0.4)):
            values = {name: value for name, value in row("1", sequence, p=p).values.items() if name != "run"}
            assert not there.write([Row("lead 1", "1", values, sequence)], Job()).newer
            assert there.read(["1"])["1"].values["p"] == p

    @settings(IN_PLACE, max_examples=12)
    @given(st.permutations(range(1, 7)), st.data())
    def test_any_order_of_runs_ends_with_the_newest(self, db: Database, runs: list[int], data: Any) -> None:
        db.fresh()
        there = db.destination()
        newest: dict[str, int] = {}
        for run in runs:
            keys = data.draw(st.sets(st.sampled_from(["1", "2", "3", "9"]), min_size=1))
            written = there.write([row(key, run, p=run / 8) for key in sorted(keys)], Job())
            assert set(written.newer) == {key for key in keys if newest.get(key, 0) > run}
            assert set(written.gone) == keys & {"9"}
            newest |= {key: max(run, newest.get(key, 0)) for key in keys - {"9"}}
        found = {key: record.values for key, record in there.read(["1", "2", "3", "9"]).items()}
        assert {key: values["run"] for key, values in found.items() if values["run"]} == newest
        assert {key: values["p"] * 8 for key, values in found.items() if values["run"]} == newest

    # Values

    @settings(IN_PLACE, max_examples=25)
    @given(
        reasons=TEXTS,
        p=st.floats(allow_nan=False, allow_infinity=False),
        points=st.integers(-(2**31), 2**31 - 1),
        ready=st.booleans(),
        at=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),
    )
    def test_what_is_written_is_read_back(
        self, db: Database, reasons: str, p: float, points: int, ready: bool, at: datetime
    ) -> None:
        db.fresh()
        moment = at.astimezone(UTC)
        values = {"why %s": reasons, "p": p, "Points": points, 're"ady': ready, "at": moment.isoformat()}
        there = db.destination()
        assert not there.write([row("2", 5, **values)], Job()).unconfirmed
        assert values_of(there.read(["2"])["2"]) == {**VALUES, **values, "run": 5}

    def test_a_text_that_is_not_unicode(self, crm: Database, there: Destination) -> None:
        before = crm.everything()
        with pytest.raises(Refused):
            there.write([row("1", 5), row("2", 5, **{"why %s": "\ud800"})], Job())
        assert crm.everything() == before

    def test_any_number_of_keys(self, there: Destination) -> None:
        keys = [str(n) for n in range(70_000)]
        assert set(there.read(keys)) == {"1", "2", "3"}
        written = there.write([row(key, 5) for key in keys], Job())
        assert set(written.gone) == set(keys) - {"1", "2", "3"}

    def test_numbers_in_columns_of_text(self, db: Database) -> None:
        db.create(p="TEXT", Points="VARCHAR(5)", **{'re"ady': "TEXT"})
        there = db.destination()
        there.write([row("1", 5)], Job())
        assert [db.column(name)[0] for name in ("p", "Points", 're"ady')] == ["0.25", "50", "true"]

    # Refused

    def test_a_constraint_refuses_the_batch(self, db: Database) -> None:
        db.create(Points='INTEGER CHECK ("Points" < 90)')
        before = db.everything()
        with pytest.raises(Refused) as caught:
            db.destination().write([row("1", 5), row("2", 5, Points=99)], Job())
        assert not caught.value.applied
        assert db.everything() == before

    def test_no_value_where_one_must_be(self, db: Database) -> None:
        db.create(**{"the band": "VARCHAR(20) DEFAULT 'x' NOT NULL"})
        with pytest.raises(Refused):
            db.destination().write([cleared("1", 5)], Job())

    def test_what_is_no_error_of_the_database_is_a_defect(self, there: Destination) -> None:
        assert there.classify(KeyError("x")) is None
        with pytest.raises(KeyError):
            there.write([Row("lead 1", "1", {}, 5)], Job())


class TypedSpecification(TableSpecification):
    """What databases do in addition whose columns hold nothing but their type."""

    def test_values_of_another_type_are_refused_alone(self, db: Database) -> None:
        db.create(why="TEXT", **{"the band": "INTEGER"})
        there = db.destination()
        written = there.write(
            [
                row("1", 5, **{"the band": 2.0}),
                row("2", 5, **{"the band": "mql"}),
                row("3", 5, **{"the band": 0.25}),
            ],
            Job(),
        )
        assert dict(written.refused) == {
            "2": "'mql' is no number, and the column holds nothing else",
            "3": "0.25 is no whole number, and the column holds nothing else",
        }
        assert db.column("the band") == [2, None, None]

    @pytest.mark.parametrize(
        ("type_", "value", "held"),
        [
            ("BOOLEAN", 1, True),
            ("BOOLEAN", 0.0, False),
            ("BOOLEAN", "true", True),
            ("INTEGER", True, 1),
            ("INTEGER", 50.0, 50),
            ("NUMERIC(5, 2)", 0.256, 0.26),
            ("NUMERIC(5, 2)", 7, 7),
            ("DOUBLE PRECISION", True, 1.0),
            ("TIMESTAMP", "2026-06-30T12:00:00+02:00", "2026-06-30T10:00:00+00:00"),
            ("TIMESTAMP", "2026-06-30T10:00:00", "2026-06-30T10:00:00+00:00"),
            ("TIMESTAMPTZ", "2026-06-30T12:00:00+02:00", "2026-06-30T10:00:00+00:00"),
            ("TIMESTAMPTZ", "2026-06-30T10:00:00Z", "2026-06-30T10:00:00+00:00"),
            ("DATE", "2026-06-30T23:30:00-01:00", "2026-07-01"),
        ],
    )
    def test_values_take_the_type_of_the_column(
        self, db: Database, type_: str, value: Value, held: Value
    ) -> None:
        db.create(p=type_)
        there = db.destination()
        assert not there.write([row("1", 5, p=value)], Job()).unconfirmed
        found = there.read(["1"])["1"].values["p"]
        assert (found, type(found)) == (held, type(held))

    @pytest.mark.parametrize(
        "type_", ["BOOLEAN", "INTEGER", "NUMERIC(5, 2)", "TIMESTAMP", "TIMESTAMPTZ", "DATE"]
    )
    def test_values_that_are_none_of_the_type(self, db: Database, type_: str) -> None:
        db.create(p=type_)
        written = db.destination().write([row("1", 5, p="mql"), row("2", 5, p=None)], Job())
        assert list(written.refused) == ["1"]
        assert db.column("run") in ([None, 5, None], [5, None, None])

    def test_a_number_that_is_too_large(self, db: Database) -> None:
        db.create(Points="SMALLINT")
        before = db.everything()
        with pytest.raises(Refused):
            db.destination().write([row("1", 5), row("2", 5, Points=40_000)], Job())
        assert db.everything() == before

    def test_a_key_of_uuids(self, db: Database) -> None:
        db.run(f"CREATE TABLE {quoted(TABLE)} (id UUID PRIMARY KEY, run BIGINT)")
        known = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
        db.run(f"INSERT INTO {quoted(TABLE)} VALUES ('{known}', 1)")
        there = db.destination(fields={"run_sequence": "run"})
        keys = [known.upper(), "no uuid", known.replace("a", "b")]
        written = there.write([Row(key, key, {"run": 5}, 5) for key in keys], Job())
        assert set(written.gone) == set(keys[1:])
        assert {key: record.values for key, record in there.read(keys).items()} == {keys[0]: {"run": 5}}


class TriggeredSpecification(TableSpecification):
    """What databases do in addition that have triggers; subclasses say how one is made."""

    @abstractmethod
    def refusing(self, db: Database) -> None:
        """Have a trigger refuse updates of the lead 3 with the message "lead is frozen"."""

    @abstractmethod
    def ignoring(self, db: Database) -> None:
        """Have a trigger keep the lead 3 as it is, without a word."""

    @abstractmethod
    def counting(self, db: Database) -> None:
        """Have a trigger write a line into the table "log" for each record that is updated."""

    def test_a_frozen_record_refuses_the_batch(self, crm: Database, there: Destination) -> None:
        self.refusing(crm)
        before = crm.everything()
        with pytest.raises(Refused, match="lead is frozen") as caught:
            there.write([row("1", 5), row("3", 5)], Job())
        assert not caught.value.applied
        assert crm.everything() == before
        there.write([row("1", 5), row("2", 5)], Job())
        assert crm.column("run")[:2] == [5, 5] or crm.column("run")[1:] == [5, 5]

    def test_what_silently_stays_as_it_was_is_not_confirmed(self, crm: Database, there: Destination) -> None:
        self.ignoring(crm)
        written = there.write([row("1", 5), row("3", 5)], Job())
        assert set(written.unconfirmed) == {"3"}
        assert not any((written.refused, written.gone, written.newer))

    def test_the_same_again_fires_no_trigger(self, crm: Database, there: Destination) -> None:
        crm.run("CREATE TABLE log (id INTEGER)")
        self.counting(crm)
        for sequence in (5, 5, 4):
            there.write([row("1", sequence), row("2", 5)], Job())
        there.write([row("1", 6)], Job())
        assert crm.run("SELECT id, COUNT(*) FROM log GROUP BY id ORDER BY id") == [(1, 2), (2, 1)]


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for something that another thread brings about."""
    done = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return
        done.wait(0.01)
    raise TimeoutError("it did not come about")


def background(work: Callable[[], Any]) -> Iterator[Any]:
    """Run something in a thread; the first value is the thread, the second what it returned or raised."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join()
    yield outcome[0]
