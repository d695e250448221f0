"""A file for an importer has the newest scores of every lead that was written, whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_tables import IN_PLACE
from test_destination_sqlite import somebody_else

from pipeline.destinations import files
from pipeline.destinations.base import Fatal, Job, Record, Refused, Retriable, Row, Value
from pipeline.destinations.files import Csv, CsvSettings, File, Parquet, ParquetSettings

FIELDS = {
    "propensity": "p", "score": "points", "band": "the band", "sales_ready": "ready", "reasons": "why",
    "as_of": "at", "run_sequence": "run",
}  # fmt: skip
VALUES: dict[str, Value] = {
    "p": 0.25, "points": 50, "the band": "mql", "ready": True, "at": "2026-06-30T10:00:00+00:00",
    "why": "+ asked for a quote; − 1000+ employees",
}  # fmt: skip
NOTHING: dict[str, Value] = dict.fromkeys([*VALUES, "run"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
Make = Callable[..., File]


def row(key: str, sequence: int, **values: Value) -> Row:
    return Row(f"lead {key}", key, {**VALUES, "run": sequence, **values}, sequence)


def made(kind: str, folder: Path, **more: Any) -> File:
    given = {"path": f"scores.{kind}", "fields": FIELDS, "key": "id", **more}
    if kind == "csv":
        return Csv("importer", CsvSettings(**given), folder)
    return Parquet("importer", ParquetSettings(**given), folder)


def typed(record: Record) -> dict[str, Value]:
    """Return a record's values with their types, which a CSV file does not have."""
    kinds = {"p": float, "points": int, "run": int, "ready": lambda value: value in (True, "true")}
    return {
        name: value if value is None or name not in kinds else kinds[name](value)
        for name, value in record.values.items()
    }


@pytest.fixture(params=["csv", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    return made(request.param, tmp_path)


class TestContent:
    """Of CSV and Parquet files alike."""

    def test_a_new_file(self, file: File) -> None:
        assert file.missing() == []
        assert not file.path.exists()
        written = file.write([row("1", 5), row("007", 5, p=None, why="")], Job())
        assert not any((written.refused, written.gone, written.newer, written.unconfirmed))
        found = file.read(["1", "007", "7"])
        assert {key: typed(record) for key, record in found.items()} == {
            "1": {**VALUES, "run": 5}, "007": {**VALUES, "p": None, "why": None, "run": 5},
        }  # fmt: skip

    def test_no_file_has_no_records(self, file: File) -> None:
        assert file.read(["1"]) == {}

    def test_leads_are_updated_and_added(self, file: File) -> None:
        file.write([row("1", 5), row("2", 5)], Job())
        file.write([row("3", 6), row("1", 6, p=0.5)], Job())
        found = {key: typed(record) for key, record in file.read(["1", "2", "3"]).items()}
        assert {key: (values["run"], values["p"]) for key, values in found.items()} == {
            "1": (6, 0.5), "2": (5, 0.25), "3": (6, 0.25),
        }  # fmt: skip
        assert file.load()["id"].to_pylist() == ["1", "2", "3"]
        assert file.read([]) == file.read(["4"]) == {}

    def test_a_lead_is_cleared(self, file: File) -> None:
        file.write([row("1", 5)], Job())
        file.write([Row("lead 1", "1", {**NOTHING, "run": 6}, 6)], Job())
        assert typed(file.read(["1"])["1"]) == {**NOTHING, "run": 6}

    def test_an_older_run_changes_nothing(self, file: File) -> None:
        file.write([row("1", 5)], Job())
        written = file.write([row("1", 4, p=0.9), row("2", 4)], Job())
        assert set(written.newer) == {"1"}
        assert typed(file.read(["1"])["1"]) == {**VALUES, "run": 5}
        assert typed(file.read(["2"])["2"])["run"] == 4

    def test_the_same_run_with_other_values(self, file: File) -> None:
        file.write([row("1", 5)], Job())
        assert not file.write([row("1", 5, p=0.9)], Job()).newer
        assert typed(file.read(["1"])["1"])["p"] == 0.9

    def test_without_a_run_sequence_there_is_no_guard(self, file: File, tmp_path: Path) -> None:
        unguarded = made(file.settings.type, tmp_path, fields={"propensity": "p"})
        for sequence, p in ((5, 0.5), (4, 0.4)):
            assert not unguarded.write([Row("lead 1", "1", {"p": p}, sequence)], Job()).newer
            assert float(str(unguarded.read(["1"])["1"].values["p"])) == p

    def test_two_rows_of_the_same_record(self, file: File) -> None:
        assert list(file.write([row("1", 5), row("1", 5, p=0.9)], Job()).refused) == ["1"]
        assert file.load().num_rows == 1

    def test_a_field_that_is_new_is_added(self, file: File, tmp_path: Path) -> None:
        made(file.settings.type, tmp_path, fields={"propensity": "p"}).write(
            [Row("l", "1", {"p": 0.5}, 1)], Job()
        )
        assert file.missing() == []
        file.write([row("2", 5)], Job())
        found = {key: typed(record) for key, record in file.read(["1", "2"]).items()}
        assert found == {"1": {**NOTHING, "p": 0.5}, "2": {**VALUES, "run": 5}}

    def test_all_are_written_at_once(self, file: File) -> None:
        assert file.batch(500_000) == 500_000
        assert file.batch(0) == 1

    def test_a_text_that_is_not_unicode(self, file: File) -> None:
        file.write([row("1", 5)], Job())
        before = file.path.read_bytes()
        with pytest.raises(UnicodeEncodeError) as caught:
            file.write([row("2", 5, why="\ud800")], Job())
        assert isinstance(file.classify(caught.value), Refused)
        assert file.path.read_bytes() == before

    def test_the_key_is_written_once(self, file: File, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="identifies the record"):
            made(file.settings.type, tmp_path, fields={"lead_id": "id"})

    @settings(IN_PLACE, max_examples=40)
    @given(key=TEXTS, why=TEXTS, p=st.floats(allow_nan=False, allow_infinity=False),
           points=st.integers(-(2**63), 2**63 - 1), ready=st.booleans(),
           at=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()))  # fmt: skip
    def test_what_is_written_is_read_back(
        self, file: File, key: str, why: str, p: float, points: int, ready: bool, at: datetime
    ) -> None:
        file.path.unlink(missing_ok=True)
        moment = at.astimezone(UTC).isoformat()
        values = {"why": why, "p": p, "points": points, "ready": ready, "at": moment}
        file.write([row("other", 4)], Job())
        file.write([row(key, 5, **values)], Job())
        found = file.read([key, "other"])
        assert typed(found[key]) == {**VALUES, **values, "run": 5}
        assert key == "other" or typed(found["other"]) == {**VALUES, "run": 4}

    @settings(IN_PLACE, max_examples=25)
    @given(st.permutations(range(1, 7)), st.data())
    def test_any_order_of_runs_ends_with_the_newest(self, file: File, runs: list[int], data: Any) -> None:
        file.path.unlink(missing_ok=True)
        newest: dict[str, int] = {}
        for run in runs:
            keys = data.draw(st.sets(st.sampled_from(["1", "2", "3"]), min_size=1))
            written = file.write([row(key, run, p=run / 8) for key in sorted(keys)], Job())
            assert set(written.newer) == {key for key in keys if newest.get(key, 0) > run}
            newest |= {key: max(run, newest.get(key, 0)) for key in keys}
        found = {key: typed(record) for key, record in file.read(["1", "2", "3"]).items()}
        assert {key: values["run"] for key, values in found.items()} == newest
        assert {key: values["p"] * 8 for key, values in found.items()} == newest


class TestReplacing:
    def test_it_is_left_alone_if_nothing_changed(self, file: File) -> None:
        file.write([row("1", 5)], Job())
        before = file.path.stat()
        file.write([row("1", 5)], Job())
        file.write([row("1", 4)], Job())
        file.write([], Job())
        assert (file.path.stat().st_ino, file.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_it_is_replaced_whole_or_not_at_all(self, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
        file.write([row("1", 5)], Job())
        before = file.path.read_bytes()

        def fail(table: Any, part: Path) -> None:
            part.write_bytes(before[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(file, "save", fail)
            with pytest.raises(OSError, match="No space") as caught:
                file.write([row("1", 6)], Job())
        assert isinstance(file.classify(caught.value), Fatal)
        assert file.path.read_bytes() == before
        assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]

    def test_it_is_on_the_disk_before_it_is_in_its_place(
        self, file: File, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events = []
        monkeypatch.setattr(
            files.os, "fsync", lambda handle: events.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        )
        replace = Path.replace
        monkeypatch.setattr(Path, "replace", lambda *given: (events.append("in place"), replace(*given))[1])
        file.write([row("1", 5)], Job())
        assert [Path(event).suffix or Path(event).name for event in events] == [
            ".part", "in place", file.path.parent.name,
        ]  # fmt: skip

    def test_a_link_stays_one(self, file: File) -> None:
        real = file.path.with_name("real")
        made(file.settings.type, file.root, path="real").write([row("1", 5)], Job())
        (file.root / file.settings.path).symlink_to(real)
        file.write([row("2", 5)], Job())
        assert (file.root / file.settings.path).is_symlink()
        assert file.path == real
        assert set(file.read(["1", "2"])) == {"1", "2"}

    def test_programs_that_write_at_once_lose_nothing(self, file: File) -> None:
        start = threading.Barrier(8)

        def write(number: int) -> None:
            start.wait()
            own = made(file.settings.type, file.root)
            own.write([row(str(number), 5), row("all", number)], Job())

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(file.read([str(number) for number in range(8)])) == {str(number) for number in range(8)}
        assert typed(file.read(["all"])["all"])["run"] == 7


class TestFatal:
    def test_no_folder(self, file: File, tmp_path: Path) -> None:
        there = made(file.settings.type, tmp_path, path="nowhere/scores")
        with pytest.raises(Fatal, match="no folder"):
            there.missing()
        with pytest.raises(FileNotFoundError) as caught:
            there.write([row("1", 5)], Job())
        assert isinstance(there.classify(caught.value), Fatal)
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_in_its_place(self, file: File) -> None:
        file.path.mkdir()
        with pytest.raises(Fatal, match="is no file"):
            file.missing()

    def test_a_folder_that_may_not_be_written(self, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files.os, "access", lambda path, mode: False)
        with pytest.raises(Fatal, match="Nothing may be written"):
            file.missing()

    def test_a_folder_that_turns_out_not_to_be_writable(self, file: File) -> None:
        with somebody_else() as folder:
            folder.chmod(0o555)
            there = made(file.settings.type, folder)
            with pytest.raises(PermissionError) as caught:
                there.write([row("1", 5)], Job())
        assert isinstance(there.classify(caught.value), Fatal)

    def test_a_file_of_something_else(self, file: File) -> None:
        file.path.write_bytes(b'id,p\n"\xff\n' * 9)
        before = file.path.read_bytes()
        for call in (file.missing, lambda: file.read(["1"]), lambda: file.write([row("1", 5)], Job())):
            with pytest.raises(Fatal, match="cannot be read"):
                call()
        assert file.path.read_bytes() == before

    def test_a_file_without_the_key(self, file: File, tmp_path: Path) -> None:
        made(file.settings.type, tmp_path, key="idd").write([row("1", 5)], Job())
        for call in (file.missing, lambda: file.read(["1"]), lambda: file.write([row("1", 5)], Job())):
            with pytest.raises(Fatal, match="no column 'id'") as caught:
                call()
            assert caught.value.todo == "Did you mean 'idd'?"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (OSError(errno.ESTALE, "stale"), Retriable),
            (OSError(errno.EBUSY, "busy"), Retriable),
            (OSError(errno.EROFS, "read-only"), Fatal),
            (OSError(errno.EIO, "input/output"), Fatal),
            (pa.ArrowInvalid("x"), None),
            (KeyError("x"), None),
        ],
    )
    def test_errors_are_grouped_by_what_helps(self, file: File, error: Exception, kind: type | None) -> None:
        problem = file.classify(error)
        assert problem is None if kind is None else isinstance(problem, kind)


class TestCsv:
    @pytest.fixture
    def file(self, tmp_path: Path) -> File:
        return made("csv", tmp_path)

    def test_an_importer_reads_what_was_sent(self, file: File) -> None:
        odd = 'a "quoted", text\r\nof\rtwo\nlines; =1+1 @x'
        file.write([row("1", 5, why=odd), row("=2", 5, why=None, ready=False)], Job())
        assert file.path.read_bytes().startswith(
            b"id,p,points,the band,ready,why,at,run\r\n1,0.25,50,mql,true,"
        )
        with file.path.open(newline="", encoding="utf-8") as opened:
            first, second = csv.DictReader(opened)
        assert (first["why"], first["ready"], first["at"]) == (odd, "true", "2026-06-30T10:00:00+00:00")
        assert (second["id"], second["why"], second["ready"]) == ("=2", "", "false")
        assert pd.read_csv(file.path)["p"].tolist() == [0.25, 0.25]

    def test_texts_are_not_changed_for_spreadsheets(self, file: File) -> None:
        # An importer would take an apostrophe for a part of the text.
        file.write([row("1", 5)], Job())
        assert ",+ asked for a quote; − 1000+ employees," in file.path.read_text("utf-8")

    def test_what_others_put_there_stays(self, file: File) -> None:
        file.path.write_text('note,id,p\n"001, x",1,0.10\n,2,\nkept,9,0.90\n', "utf-8")
        file.write([row("1", 5), row("3", 5)], Job())
        with file.path.open(newline="", encoding="utf-8") as opened:
            found = list(csv.DictReader(opened))
        assert list(found[0]) == ["note", "id", "p", "points", "the band", "ready", "why", "at", "run"]
        assert [(line["note"], line["id"], line["p"]) for line in found] == [
            ("001, x", "1", "0.25"), ("", "2", ""), ("kept", "9", "0.90"), ("", "3", "0.25"),
        ]  # fmt: skip

    def test_a_row_of_ours_without_any_of_our_columns(self, file: File) -> None:
        file.path.write_text("id,name\n1,Ann\n", "utf-8")
        assert file.read(["1"]) == {"1": Record("1", NOTHING)}

    def test_empty_lines_are_skipped(self, file: File) -> None:
        file.path.write_text("id,points\n\n1,40\n\n", "utf-8")
        assert file.missing() == []
        assert file.read(["1"])["1"].values["points"] == "40"

    def test_all_rows_of_a_key_are_updated(self, file: File) -> None:
        file.path.write_text("id,run\n1,2\n1,9\n1,\n1,no number\n", "utf-8")
        assert set(file.write([row("1", 5)], Job()).newer) == {"1"}
        assert file.load()["run"].to_pylist() == ["5", "9", "5", "5"]

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    def test_a_byte_order_mark_stays(self, file: File, mark: bytes) -> None:
        file.path.write_bytes(mark + b"id\n1\n")
        file.write([row("1", 5)], Job())
        assert file.path.read_bytes().startswith(mark + b"id,p,")
        assert not file.path.read_bytes().startswith(mark + b"\xef")
        assert set(file.read(["1"])) == {"1"}

    @pytest.mark.parametrize("content", ["", "id\r\n", "id,p,p2\r\n"])
    def test_a_file_without_rows(self, file: File, content: str) -> None:
        file.path.write_text(content)
        assert file.missing() == []
        file.write([row("1", 5)], Job())
        assert typed(file.read(["1"])["1"]) == {**VALUES, "run": 5}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("id,p\n1,2,3\n", "Record 2 .* has 3 cells, and the first one 2"),
            ("id,p\n1\n", "Record 2 .* has 1 cells"),
            ("id,p,p\n1,2,3\n", "several columns 'p'"),
            ("id;p\n1;2\n", "no column 'id'"),
        ],
    )
    def test_a_file_that_is_not_as_ours(self, file: File, content: str, said: str) -> None:
        file.path.write_text(content)
        with pytest.raises(Fatal, match=said):
            file.missing()


class TestParquet:
    @pytest.fixture
    def file(self, tmp_path: Path) -> File:
        return made("parquet", tmp_path)

    def test_a_new_file_has_the_types_of_the_scores(self, file: File) -> None:
        file.write([row("1", 5)], Job())
        file.write([Row("lead 2", "2", {**NOTHING, "run": 5}, 5)], Job())
        assert {field.name: str(field.type) for field in pq.read_schema(file.path)} == {
            "id": "string", "p": "double", "points": "int64", "the band": "string", "ready": "bool",
            "why": "string", "at": "timestamp[us, tz=UTC]", "run": "int64",
        }  # fmt: skip

    def test_columns_keep_the_types_that_they_have(self, file: File) -> None:
        table = pa.table(
            {
                "id": pa.array([1, 2], pa.int32()),
                "p": pa.array([Decimal("0.10"), None], pa.decimal128(8, 3)),
                "points": pa.array([1.0, None], pa.float32()),
                "the band": pa.array(["mql", None]).dictionary_encode(),
                "at": pa.array([datetime(2026, 1, 1), None], pa.timestamp("ms")),
                "run": pa.array([1, None], pa.int16()),
                "ready": pa.array(["yes", None], pa.large_string()),
                "why": pa.nulls(2),
                "tags": pa.array([["a"], None], pa.list_(pa.string())),
                "count": pa.array([7, None], pa.int8()),
            }
        )
        pq.write_table(table, file.path)
        written = file.write([row("2", 5), row("3", 5), row("x", 5), row("04", 5), row("-5", 5)], Job())
        assert dict(written.refused) == dict.fromkeys(["x", "04"], "the column 'id' holds whole numbers only")
        assert {field.name: str(field.type) for field in pq.read_schema(file.path)} == {
            "id": "int32", "p": "decimal128(8, 3)", "points": "float", "the band": "string",
            "at": "timestamp[ms]", "run": "int16", "ready": "large_string", "why": "string",
            "tags": "list<element: string>", "count": "int8",
        }  # fmt: skip
        found = pq.read_table(file.path).to_pylist()
        assert [line["id"] for line in found] == [1, 2, 3, -5]
        assert found[0] | {"why": None} == table.to_pylist()[0]
        assert (found[1]["p"], found[1]["points"], found[1]["ready"]) == (Decimal("0.250"), 50.0, "true")
        assert (found[1]["at"], found[1]["tags"], found[2]["count"]) == (
            datetime(2026, 6, 30, 10),
            None,
            None,
        )
        assert typed(file.read(["2"])["2"]) == {**VALUES, "run": 5}

    def test_a_value_that_does_not_fit_is_refused_alone(self, file: File) -> None:
        pq.write_table(pa.table({"id": ["1"], "p": pa.array([1], pa.int64())}), file.path)
        written = file.write([row("1", 5, p=1.0), row("2", 5)], Job())
        assert dict(written.refused) == {"2": "0.25 is no whole number, and the column holds nothing else"}
        assert set(file.read(["1", "2"])) == {"1"}

    @pytest.mark.parametrize(
        ("column", "type_"), [("points", pa.int8()), ("why", pa.list_(pa.string())), ("id", pa.float64())]
    )
    def test_a_column_of_another_kind(self, file: File, column: str, type_: pa.DataType) -> None:
        pq.write_table(pa.table({"id": pa.nulls(0, pa.string())} | {column: pa.nulls(0, type_)}), file.path)
        before = file.path.read_bytes()
        with pytest.raises(Fatal, match=f"column '{column}'"):
            file.write([row("1", 5, points=500)], Job())
        assert file.path.read_bytes() == before
