"""Files are there whole or not at all; what belongs together changes together; no kill leaves rubbish."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import (
    finite,
    leftovers,
    locked,
    publish,
    replacing,
    staging,
    sweep,
    uninterrupted,
    write_json,
    write_parquet,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestOneFile:
    def test_it_is_written_into_folders_that_are_not_there_yet(self, tmp_path: Path) -> None:
        write_text(tmp_path / "a" / "b c" / "text.txt", "é\n")
        assert (tmp_path / "a" / "b c" / "text.txt").read_bytes() == "é\n".encode()

    def test_it_replaces_the_old_one_and_leaves_nothing_beside_it(self, tmp_path: Path) -> None:
        write_text(tmp_path / "text.txt", "old")
        write_text(tmp_path / "text.txt", "new")
        assert (tmp_path / "text.txt").read_text() == "new"
        assert names(tmp_path) == ["text.txt"]

    def test_others_may_read_it(self, tmp_path: Path) -> None:
        write_text(tmp_path / "text.txt", "old")
        assert (tmp_path / "text.txt").stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_while_writing_leaves_the_old_one(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
        write_text(tmp_path / "text.txt", "old")

        def fail() -> None:
            with replacing(tmp_path / "text.txt") as part:
                part.write_text("half")
                raise error

        with pytest.raises(error):
            fail()
        assert (tmp_path / "text.txt").read_text() == "old"
        assert names(tmp_path) == ["text.txt"]

    def test_json_has_no_nan(self, tmp_path: Path) -> None:
        value = {
            "nan": float("nan"), "numpy": np.float32("inf"), "count": np.int64(3), "yes": np.bool_(True),
            "list": (1.5, [None, np.nan]), 7: "é",
        }  # fmt: skip
        write_json(tmp_path / "a.json", value)
        assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {
            "nan": None, "numpy": None, "count": 3, "yes": True, "list": [1.5, [None, None]], "7": "é",
        }  # fmt: skip

    def test_plain_values_stay_as_they_are(self) -> None:
        value = {"a": [1, 2.5, "x", None, True]}
        assert finite(value) == value

    def test_parquet_has_exactly_the_columns_of_its_schema_in_their_order(self, tmp_path: Path) -> None:
        schema = pa.schema([("b", pa.int8()), ("a", pa.string())], metadata={"run_id": "r"})
        table = pd.DataFrame({"a": ["x", None], "more": [1, 2], "b": [1, 0]}, index=[7, 9])
        write_parquet(tmp_path / "t.parquet", table, schema)
        read = pq.read_table(tmp_path / "t.parquet")
        assert read.schema.equals(schema)
        assert read.schema.metadata == {b"run_id": b"r"}  # and no index of pandas
        assert read.to_pylist() == [{"b": 1, "a": "x"}, {"b": 0, "a": None}]


def staged(folder: Path, *, text: str) -> None:
    """What a run leaves to be published: a folder, a table and the seal that speaks of both."""
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model.txt").write_text(text)
    (folder / "table.parquet").write_text(text)
    (folder / "train.json").write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


OLD = {"bundle/model.txt": "old", "table.parquet": "old", "train.json": "old"}
NEW = dict.fromkeys(OLD, "new")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


class TestResultsThatBelongTogether:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        with staging(tmp_path, "training") as part:
            staged(part, text="old")
            publish(part, tmp_path, "train.json")
        assert contents(tmp_path) == OLD
        return tmp_path

    def test_all_are_replaced_and_nothing_is_left_beside_them(self, folder: Path) -> None:
        with staging(folder, "training") as part:
            staged(part, text="new")
            publish(part, folder, "train.json")
        assert contents(folder) == NEW
        assert names(folder) == ["bundle", "table.parquet", "train.json"]

    def test_what_was_not_published_is_gone(self, folder: Path) -> None:

        def interrupted() -> None:
            with staging(folder, "training") as part:
                staged(part, text="new")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert contents(folder) == OLD
        assert names(folder) == ["bundle", "table.parquet", "train.json"]

    @pytest.mark.parametrize("steps", range(5))
    def test_killed_in_between_the_seal_is_absent_and_the_rest_can_be_published_again(
        self, folder: Path, steps: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Five steps: remove the seal, old bundle aside, new bundle, table, seal.
        part = folder / ".training.x.part"
        part.mkdir()
        staged(part, text="new")
        done: list[str] = []

        def counted(name: str) -> None:
            step = getattr(Path, name)

            def or_killed(self: Path, *arguments: object, **named: object) -> object:
                if len(done) == steps:
                    raise Killed
                done.append(name)
                return step(self, *arguments, **named)

            monkeypatch.setattr(Path, name, or_killed)

        for name in ("unlink", "rename", "replace"):
            counted(name)
        with pytest.raises(Killed):
            publish(part, folder, "train.json")
        monkeypatch.undo()
        assert (folder / "train.json").exists() == (steps == 0)
        assert leftovers(folder) == [part]

        publish(part, folder, "train.json")
        sweep(folder)
        assert contents(folder) == NEW
        assert names(folder) == ["bundle", "table.parquet", "train.json"]


WRITER = """
import sys, time
from pathlib import Path
from pipeline.files import replacing, staging
folder = Path(sys.argv[1])
with staging(folder, "training") as part, replacing(folder / "scores.parquet") as file:
    (part / "half").write_text("half")
    file.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


class TestLeftovers:
    @pytest.fixture
    def writer(self, tmp_path: Path) -> subprocess.Popen[str]:
        """A process in the middle of writing into the folder."""
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        assert process.stdout is not None
        with process, process.stdout:
            assert process.stdout.readline() == "writing\n"
            yield process
            process.kill()

    def test_what_a_living_process_writes_is_none(self, tmp_path: Path, writer: object) -> None:
        assert len(names(tmp_path)) == 2
        assert leftovers(tmp_path) == []
        sweep(tmp_path)
        assert len(names(tmp_path)) == 2

    def test_after_a_kill_they_are_removed_and_nothing_else_is(
        self, tmp_path: Path, writer: subprocess.Popen[str]
    ) -> None:
        (tmp_path / "scores.parquet").write_text("old")
        (tmp_path / ".hidden").write_text("the user's own")
        writer.kill()
        writer.wait()
        assert len(leftovers(tmp_path)) == 2
        sweep(tmp_path)
        assert contents(tmp_path) == {"scores.parquet": "old"}
        assert names(tmp_path) == [".hidden", "scores.parquet"]

    def test_a_folder_that_is_not_there_has_none(self, tmp_path: Path) -> None:
        assert leftovers(tmp_path / "no") == []


class TestStepsThatMustNotBeTornApart:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_waits_until_the_block_has_ended(self, number: signal.Signals) -> None:
        came: list[int] = []
        before = signal.signal(number, lambda number, frame: came.append(number))
        try:
            with uninterrupted():
                os.kill(os.getpid(), number)
                time.sleep(0.01)
                assert came == []
            assert came == [number]
        finally:
            signal.signal(number, before)

    def test_ctrl_c_is_not_lost(self) -> None:
        done = []

        def two_steps() -> None:
            with uninterrupted():
                os.kill(os.getpid(), signal.SIGINT)
                done.append("the step after")

        # As it is outside of a test run, whatever a library has put in its place by now.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                two_steps()
        finally:
            signal.signal(signal.SIGINT, before)
        assert done == ["the step after"]

    def test_a_second_process_waits(self, tmp_path: Path) -> None:
        code = "import sys; from pathlib import Path; from pipeline.files import locked\n"
        code += "with locked(Path(sys.argv[1])): print('in', flush=True)"
        with locked(tmp_path):
            other = subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            )
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(timeout=2.5)
        assert other.communicate(timeout=30)[0] == b"in\n"
