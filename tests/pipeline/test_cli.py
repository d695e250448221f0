"""The command line: instant help, the same options everywhere, one message and a status for a mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
import pytest

from pipeline import cli
from pipeline.cli import main_group

COMMANDS = ["backtest", "check", "demo", "explain", "init", "report", "score", "simulate", "sync", "train"]
Run = Callable[..., tuple[int, str, str]]

CONFIG = """
[project]
name = "tiny"
[leads]
table = "leads.csv"
id = "id"
created_at = "at"
[outcomes]
table = "outcomes.csv"
lead_id = "id"
outcome = "outcome"
closed_at = "closed"
"""


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back the handlers that `main` installs."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before, ignored = {number: signal.getsignal(number) for number in numbers}, sys.unraisablehook
    yield
    sys.unraisablehook = ignored
    for number, handler in before.items():
        signal.signal(number, handler)
    cli._signals.clear()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `propense` in an empty folder; return its exit status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROPENSE_DATA", raising=False)

    def propense(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["propense", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        out, errors = capsys.readouterr()
        assert "Traceback" not in out + errors
        return status, out, errors

    return propense


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Too little data to train on, in a folder with spaces."""
    folder = tmp_path / "my data, é"
    folder.mkdir()
    (folder / "propense.toml").write_text(CONFIG)
    (folder / "leads.csv").write_text("id,at\na,2024-01-01T00:00:00Z\nb,2024-02-01T00:00:00Z\n")
    (folder / "outcomes.csv").write_text("id,outcome,closed\na,won,2024-01-20T00:00:00Z\n")
    return folder / "propense.toml"


class TestHelp:
    def test_it_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from pipeline.cli import main_group; main_group(['--help'], standalone_mode=False);"
            "print(sorted({m.split('.')[0] for m in sys.modules}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        heavy = {"mlflow", "pandas", "numpy", "duckdb", "ibis", "pydantic", "sklearn", "lightgbm", "rich"}
        assert "How likely each open lead" in done.stdout
        assert not heavy & set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))

    def test_commands(self) -> None:
        assert sorted(main_group.commands) == COMMANDS

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_config_and_output_and_says_what_it_does(self, run: Run, command: str) -> None:
        status, out, _ = run(command, "--help")
        assert status == 0
        assert "--config FILE" in out
        assert "[default: propense.toml]" in " ".join(out.split())
        assert "--output DIR" in out
        assert (main_group.commands[command].help or "").endswith(".")

    def test_version(self, run: Run) -> None:
        assert run("--version")[1].startswith("propense, version")


class TestMistakes:
    """Each is one message on standard error and status 2."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["trian"], "No such command 'trian'"),
            (["train", "--confg", "x"], "Did you mean '--config'?"),
            (["explain"], "Missing argument 'LEAD_ID'"),
            (["simulate", "--leads", "3", "x"], "3 is not in the range"),
            (["train"], "There is no configuration file 'propense.toml'"),
            (["score", "--as-of", "30.6.2026"], "write it as"),
            (["score", "--as-of", "tomorrow"], "write it as"),
            (["train", "--config", "."], "is a folder"),
        ],
    )
    def test_of_arguments(self, run: Run, arguments: list[str], said: str) -> None:
        status, out, errors = run(*arguments)
        assert (status, out) == (2, "")
        assert said in errors

    def test_of_data(self, run: Run, tiny: Path) -> None:
        tiny.with_name("leads.csv").unlink()
        status, _, errors = run("train", "--config", str(tiny))
        assert status == 2
        assert "There is no file 'leads.csv'" in errors

    @pytest.mark.parametrize("command", [["score"], ["explain", "a"]])
    def test_no_model_yet(self, run: Run, tiny: Path, tmp_path: Path, command: list[str]) -> None:
        status, _, errors = run(*command, "--config", str(tiny))
        assert status == 2
        assert "No model of the project 'tiny' has been registered yet" in errors
        assert not (tmp_path / "output").exists()

    def test_unknown_destination(self, run: Run, tiny: Path) -> None:
        status, _, errors = run("sync", "crm", "--config", str(tiny))
        assert status == 2
        assert "There is no destination 'crm'" in errors

    def test_a_message_has_no_markup_of_the_terminal(self, run: Run, tiny: Path) -> None:
        tiny.write_text(tiny.read_text() + "\n[leeds]\n")
        status, _, errors = run("train", "--config", str(tiny))
        assert status == 2
        assert "[leeds] is not a known key" in errors

    def test_too_little_data_is_status_3(self, run: Run, tiny: Path, tmp_path: Path) -> None:
        status, _, errors = run("train", "--config", str(tiny))
        assert status == 3
        assert "too few" in errors.lower()
        assert not (tmp_path / "output").exists()

    def test_an_output_that_cannot_be_written(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        status, _, errors = run("init", "--config", "file/propense.toml")
        assert status == 2
        assert "file" in errors


class TestInit:
    def test_it_writes_a_configuration_that_is_understood(self, run: Run, tmp_path: Path) -> None:
        assert run("init")[0] == 0
        text = (tmp_path / "propense.toml").read_text()
        assert "[project]" in text
        status, _, errors = run("check")
        assert (status, "There is no file 'leads.csv'" in errors) == (2, True)

    def test_every_optional_line_is_understood_too(self, run: Run, tmp_path: Path) -> None:
        from pipeline.config import Config

        run("init")
        import tomllib

        text = (tmp_path / "propense.toml").read_text()
        keys = [
            line for line in text.splitlines() if line.startswith("# ") and (" = " in line or "[" in line)
        ]
        optional = {line.removeprefix("# ") for line in keys}
        lines = [line.removeprefix("# ") if line in keys else line for line in text.splitlines()]
        lines = [line for line in lines if 'split = "group"' not in line and not line.startswith("actor = ")]
        config = Config.model_validate(tomllib.loads("\n".join(lines)))
        assert len(optional) > 40
        assert config.rules
        assert config.destinations["crm"].key == "lead_id"

    def test_it_never_overwrites(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "propense.toml").write_text("mine")
        status, _, errors = run("init")
        assert (status, "is left as it is" in errors) == (2, True)
        assert (tmp_path / "propense.toml").read_text() == "mine"


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "utc"),
        [
            ("2026-06-30", datetime(2026, 6, 30)),
            ("2026-06-30T18:00:00", datetime(2026, 6, 30, 18)),
            ("2026-06-30 18:00", datetime(2026, 6, 30, 18)),
            ("2026-06-30T18:00:00Z", datetime(2026, 6, 30, 18)),
            ("2026-06-30T18:00:00+02:00", datetime(2026, 6, 30, 16)),
            ("2026-07-01T00:30:00+05:30", datetime(2026, 6, 30, 19)),
        ],
    )
    def test_become_naive_utc(self, text: str, utc: datetime) -> None:
        context = click.Context(main_group)
        assert cli._moment(context, click.Option(["--as-of"]), text) == utc


class TestInterruption:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("query was interrupted"), ValueError])
    def test_ctrl_c_is_status_130_whatever_a_library_makes_of_it(
        self, run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
    ) -> None:
        import pipeline.train

        def interrupted(*arguments: object, **named: object) -> None:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                raise error from None

        monkeypatch.setattr(pipeline.train, "train", interrupted)
        status, _, errors = run("train", "--config", str(tiny))
        assert status == 130
        assert "run the same command again" in errors

    def test_ctrl_c_is_not_lost_where_python_ignores_exceptions(
        self, run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pipeline.train

        class Library:
            def __del__(self) -> None:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)  # the interruption is raised here, and ignored

        def training(*arguments: object, **named: object) -> None:
            Library()
            time.sleep(5)
            went_on.append(True)

        went_on: list[bool] = []
        monkeypatch.setattr(pipeline.train, "train", training)
        status, _, _ = run("train", "--config", str(tiny))
        assert (status, went_on) == (130, [])

    def test_an_error_of_ours_is_not_hidden(
        self, run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pipeline.train

        def wrong(*arguments: object, **named: object) -> None:
            raise ValueError("a bug")

        monkeypatch.setattr(pipeline.train, "train", wrong)
        with pytest.raises(ValueError, match="a bug"):
            run("train", "--config", str(tiny))
