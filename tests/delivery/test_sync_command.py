"""`propense sync` as it is typed: words and options in any order, screens, JSON, log lines, exit statuses."""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from small_crm import AS_OF, execute, rows, write_config, write_crm, write_scores

from pipeline import cli
from pipeline.delivery import screen
from pipeline.delivery.account import Account, Event
from pipeline.destinations.base import Fatal, Retriable
from pipeline.destinations.sqlite import SQLite

Run = Callable[..., tuple[int, str, str]]
FREEZE = (
    "CREATE TRIGGER closed BEFORE UPDATE ON \"le ads\" WHEN old.id = '3' "
    "BEGIN SELECT RAISE(ABORT, 'lead is frozen'); END"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a space: a CRM of three leads, a configuration, and scores of two of them."""
    folder = tmp_path / "my crm"
    folder.mkdir()
    write_crm(folder)
    write_config(folder)
    write_scores(folder, {"1": 0.25, "3": 0.5})
    return folder


@pytest.fixture
def sync(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `propense sync` with these words, on that project: its status, output and errors."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before, ignored = {number: signal.getsignal(number) for number in numbers}, sys.unraisablehook
    monkeypatch.delenv("PROPENSE_DATA", raising=False)
    of = ["--config", str(project / "propense.toml"), "--output", str(project)]

    def run(*words: str, first: bool = False) -> tuple[int, str, str]:
        given = ["propense", "sync", *(of if first else ()), *words, *(() if first else of)]
        monkeypatch.setattr(sys, "argv", given)
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        out, errors = capsys.readouterr()
        assert "Traceback" not in out + errors
        return status, out, errors

    yield run
    sys.unraisablehook = ignored
    for number, handler in before.items():
        signal.signal(number, handler)
    cli._signals.clear()


def flat(text: str) -> str:
    return " ".join(text.split())


class TestWrite:
    def test_the_summary_says_what_became_of_every_lead(self, sync: Run, project: Path) -> None:
        status, out, _ = sync("crm")
        assert status == 0
        assert "In 'crm', of the scores of run 1, as of 2026-06-30 10:00 UTC:" in out
        assert flat(out).endswith("sent 2 unchanged 0 skipped 0 failed 0 pending 0")
        assert [row[0] for row in rows(project, "points")] == [25, None, 50]
        assert "sent 0 unchanged 2" in flat(sync("crm")[1])

    def test_a_log_line_a_batch_without_any_lead(self, sync: Run) -> None:
        _, _, errors = sync("crm")
        (line,) = errors.splitlines()
        assert "propense.sync destination=crm run=first batch=1/1 rows=2 sent=2 failed=0 seconds=0." in line
        assert not logging.getLogger("propense.sync").handlers

    def test_refused_leads_are_status_6_and_the_next_command_can_be_copied(
        self, sync: Run, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute(project, FREEZE)
        status, out, _ = sync("crm")
        assert status == 6
        assert "failed 1" in flat(out)
        command = next(line for line in out.splitlines() if "propense sync failures" in line)
        words = shlex.split(command.removeprefix("Next: ").split(" says ")[0])
        assert words[:4] == ["propense", "sync", "failures", "crm"]
        assert "lead is frozen" in flat(sync(*words[2:4])[1])
        assert str(project / "propense.toml") in words

    def test_leads_that_are_not_there_are_skipped_and_that_is_no_failure(
        self, sync: Run, project: Path
    ) -> None:
        write_scores(project, {"1": 0.25, "9": 0.5})
        status, out, _ = sync("crm")
        assert status == 0
        assert "skipped 1 1 whose record is not there" in flat(out)

    def test_json(self, sync: Run) -> None:
        status, out, _ = sync("crm", "--json")
        account = json.loads(out)
        assert status == account["exit_status"] == 0
        assert account["destination"] == "crm"
        assert (account["run_sequence"], account["as_of"]) == (1, "2026-06-30T10:00:00+00:00")
        counts = {"sent": 2, "unchanged": 0, "skipped": {}, "failed": 0, "pending": 0, "cleared": 0}
        assert counts.items() <= account.items()
        assert account["stopped"] is None

    def test_what_is_wrong_is_one_message_and_status_2(self, sync: Run, project: Path) -> None:
        write_config(project, table="people")
        status, out, errors = sync("crm")
        assert (status, out) == (2, "")
        assert "Delivery: There is no table 'people'" in errors
        assert "where:   destination 'crm'" in errors

    def test_most_scores_are_not_cleared_without_a_question(self, sync: Run, project: Path) -> None:
        write_crm(project)
        many = {str(number): 0.5 for number in range(1, 61)}
        for number in many:
            execute(project, 'INSERT OR IGNORE INTO "le ads" (id) VALUES (?)', number)
        write_scores(project, many)
        assert sync("crm")[0] == 0
        write_scores(project, {"1": 0.5}, "second")
        status, _, errors = sync("crm")
        assert status == 2  # to run it again would not help: a person has to look
        assert "59 of the 60 leads that were written before are not among the leads open" in errors
        assert "--allow-clearing" in errors
        status, out, _ = sync("--allow-clearing", "crm")
        assert status == 0
        assert "sent 59 59 of them lose their score" in flat(out)

    def test_a_file_that_its_importer_took_away_is_written_whole_again(
        self, sync: Run, project: Path
    ) -> None:
        file = project / "transfer.csv"
        write_config(project, type="csv", path=file.name, table=None, key="lead_id")
        assert "sent 2" in flat(sync("crm")[1])
        whole = file.read_text("utf-8")
        assert "unchanged 2" in flat(sync("crm")[1])
        file.unlink()
        assert "sent 2" in flat(sync("crm")[1])
        assert file.read_text("utf-8") == whole

    @pytest.mark.parametrize(
        ("type_", "path"), [("csv", "leads.csv"), ("parquet", "scores.parquet"), ("csv", "pipe")]
    )
    def test_a_file_that_is_somebody_elses_is_not_replaced(
        self, sync: Run, project: Path, type_: str, path: str
    ) -> None:
        (project / "leads.csv").write_text("id,at\n1,2026-01-01\n", "utf-8")
        os.mkfifo(project / "pipe")
        before = (project / "leads.csv").read_bytes(), (project / "scores.parquet").read_bytes()
        write_config(project, type=type_, path=path, table=None, key="lead_id")
        status, out, errors = sync("crm")
        assert (status, out) == (2, "")
        assert "a table it reads" in errors or "a result of this program" in errors or "is no file" in errors
        assert ((project / "leads.csv").read_bytes(), (project / "scores.parquet").read_bytes()) == before

    def test_all_clears_again_what_a_restored_crm_has_back(self, sync: Run, project: Path) -> None:
        sync("crm")
        write_scores(project, {"1": 0.25}, "second")
        assert "1 of them lose their score" in flat(sync("crm")[1])
        execute(project, 'UPDATE "le ads" SET band = ?, run = 1', "mql")  # as before the second run
        assert "unchanged 1" in flat(sync("crm")[1])
        assert sync("crm", "--all")[0] == 0
        assert rows(project, "band", "id = '3'") == [(None,)]

    def test_a_score_that_cannot_be_cleared_is_told_each_time(self, sync: Run, project: Path) -> None:
        sync("crm")
        execute(project, FREEZE)
        write_scores(project, {"1": 0.25}, "second")
        for _ in range(2):
            status, out, _ = sync("crm")
            assert (status, "failed 1" in flat(out)) == (6, True)

    @pytest.mark.parametrize(
        ("shell", "said"),
        [
            ("{} > /dev/full", "The summary could not be printed: No space left on device."),
            ("{} --json | true; exit ${{PIPESTATUS[0]}}", ""),
            ("{} 2>&-", ""),
            ("PYTHONIOENCODING=ascii {} --dry-run && {}", ""),
        ],
    )
    def test_what_is_delivered_is_delivered_wherever_the_summary_goes(
        self, project: Path, shell: str, said: str
    ) -> None:
        words = ["sync", "crm", "--config", str(project / "propense.toml"), "--output", str(project)]
        command = shlex.join([sys.executable, "-m", "pipeline.cli", *words])
        done = subprocess.run(["bash", "-c", shell.format(command, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert rows(project, "points", "id = '1'") == [(25,)]

    @pytest.mark.parametrize(
        ("url", "status"),
        [
            ("postgresql://nobody@127.0.0.1:1/none", 5),  # to run it again may help
            ("postgresql://nobody@127.0.0.1:1/none?passwrd=hunter2", 2),
        ],
    )
    def test_a_ledger_that_cannot_be_reached(self, sync: Run, project: Path, url: str, status: int) -> None:
        write_config(project, f'[sync]\nledger = "{url}"')
        found, _, errors = sync("crm")
        assert found == status
        assert "The ledger cannot be used" in errors
        assert "hunter2" not in errors

    def test_each_wait_is_told_and_what_is_pending_is_not_made_up(
        self, sync: Run, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def locked(self: SQLite) -> list[str]:
            raise Retriable("the database is locked")

        monkeypatch.setattr(SQLite, "missing", locked)
        monkeypatch.setattr("pipeline.delivery.attempts._wait", lambda state: 0.5)
        write_config(project, patience="0.02m")
        status, out, errors = sync("crm")
        assert status == 5
        assert "why='the database is locked'" in errors
        assert "pending 0 of earlier runs; it did not come to counting what is due" in flat(out)


class TestDryRun:
    def test_it_shows_an_example_and_the_difference_lead_by_lead(self, sync: Run, project: Path) -> None:
        sync("crm")
        write_scores(project, {"1": 0.25, "3": 0.9}, "second", band="nurture")
        before = rows(project)
        status, out, errors = sync("--dry-run", "crm")
        assert (status, errors) == (0, "")
        assert rows(project) == before
        assert "Dry run, nothing was written." in out
        assert "to send 2" in flat(out)
        assert 'band = "nurture"' in out
        assert "3 band, score mql → nurture 50 → 90" in flat(out)
        assert "propense sync crm" in out.splitlines()[-1]

    def test_the_first_twenty_and_all_as_json(self, sync: Run, project: Path) -> None:
        leads = {f"{number:03}": 0.5 for number in range(1, 31)}
        for lead in leads:
            execute(project, 'INSERT INTO "le ads" (id) VALUES (?)', lead)
        write_scores(project, leads)
        _, out, _ = sync("crm", "--dry-run")
        assert sum(line.strip().startswith("0") for line in out.splitlines()) == 20
        assert "… and 10 more; --json lists all." in out
        account = json.loads(sync("crm", "--json", "--dry-run")[1])
        assert [change["lead_id"] for change in account["changes"]] == list(leads)
        assert (account["to_send"], account["sent"], account["dry_run"]) == (30, 0, True)
        assert account["example"]["points"] == 50


class TestFailures:
    @pytest.fixture(autouse=True)
    def one_failed(self, project: Path, sync: Run) -> None:
        execute(project, FREEZE)
        sync("crm")

    @pytest.mark.parametrize("words", [["failures"], ["failures", "crm"], ["failures", "crm", "--lead", "3"]])
    def test_who_where_why_how_often_and_when(self, sync: Run, words: list[str]) -> None:
        status, out, _ = sync(*words)
        assert status == 0
        assert "1 not written" in out
        assert "crm 3 refused" in flat(out)
        assert "lead is frozen" in flat(out)
        assert "UTC" in out
        assert "propense sync failures crm --retry" in out

    def test_of_another_lead_there_is_none(self, sync: Run) -> None:
        assert sync("failures", "--lead", "1")[:2] == (0, "Nothing failed.\n")

    def test_json(self, sync: Run) -> None:
        (failure,) = json.loads(sync("failures", "crm", "--json")[1])["failures"]
        assert (failure["destination"], failure["lead_id"], failure["kind"]) == ("crm", "3", "refused")
        assert "lead is frozen" in failure["reason"]
        assert failure["at"].startswith("20")

    def test_retry_makes_them_due_again(self, sync: Run, project: Path) -> None:
        execute(project, "DROP TRIGGER closed")
        assert "sent 0" in flat(sync("crm")[1])
        status, out, _ = sync("failures", "crm", "--retry")
        assert status == 0
        assert "1 leads are due again in 'crm'" in out
        assert "sent 1" in flat(sync("crm")[1])
        assert sync("failures")[1] == "Nothing failed.\n"

    def test_retry_of_one_lead_as_json(self, sync: Run) -> None:
        out = sync("failures", "crm", "--retry", "--json", "--lead", "3")[1]
        assert json.loads(out) == {"destination": "crm", "due_again": 1}
        status, _, errors = sync("failures", "crm", "--retry", "--lead", "33")
        assert status == 2
        assert "Did you mean '3'?" in errors or "lists" in errors


class TestSetup:
    def test_it_creates_what_is_missing_and_says_so_once(self, sync: Run, project: Path) -> None:
        write_config(project, fields={"score": "new_points", "band": "band"})
        status, out, _ = sync("setup", "crm")
        assert status == 0
        assert "Created new_points (integer) in 'crm'." in out
        assert "propense sync crm --dry-run" in out
        status, out, _ = sync("setup", "crm")
        assert "'crm' has all 2 fields; nothing was created." in out
        assert json.loads(sync("setup", "crm", "--json")[1]) == {
            "destination": "crm", "there": ["new_points", "band"], "created": {},
        }  # fmt: skip


class TestWords:
    @pytest.mark.parametrize(
        "words",
        [["crm", "--dry-run"], ["--dry-run", "crm"], ["setup", "crm", "--json"], ["--json", "setup", "crm"],
         ["failures", "--json", "crm"], ["--json", "failures"]],
    )  # fmt: skip
    @pytest.mark.parametrize("first", [True, False])
    def test_options_go_before_and_after(self, sync: Run, words: list[str], first: bool) -> None:
        assert sync(*words, first=first)[0] == 0

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "Missing argument 'DESTINATION'"),
            (["setup"], "Missing argument 'DESTINATION'"),
            (["crm", "warehouse"], "unexpected extra argument (warehouse)"),
            (["setup", "crm", "--dry-run"], "--dry-run belongs to `propense sync DESTINATION`"),
            (["failures", "crm", "--all"], "--all belongs to `propense sync DESTINATION`"),
            (["crm", "--retry"], "--retry belongs to `propense sync failures DESTINATION`"),
            (["setup", "crm", "--lead", "3"], "--lead belongs to `propense sync failures DESTINATION`"),
            (["failures", "--retry"], "--retry needs to know where"),
            (["cmr"], "Did you mean 'crm'?"),
            (["setup", "cmr"], "Did you mean 'crm'?"),
            (["failures", "cmr"], "Did you mean 'crm'?"),
            (["crm", "--dryrun"], "Did you mean '--dry-run'?"),
        ],
    )
    def test_mistakes_are_one_message_and_status_2(self, sync: Run, words: list[str], said: str) -> None:
        status, out, errors = sync(*words)
        assert (status, out) == (2, "")
        assert said in flat(errors)

    def test_help_explains_all_three_and_the_statuses(self, sync: Run) -> None:
        out = flat(sync("--help")[1])
        for form in ("sync DESTINATION", "sync setup DESTINATION", "sync failures [DESTINATION]"):
            assert f"propense {form}" in out
        for option in ("--dry-run", "--json", "--all", "--adopt", "--allow-clearing", "--retry", "--lead ID"):
            assert option in out
        assert "5 not all is written, run it again" in out


def printed(account: Account, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    screen.show_account(account, list(options))
    return flat(capsys.readouterr().out)


class TestScreens:
    """What is said of runs that did not go to their end."""

    def test_a_stopped_run_says_why_and_how_to_go_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        account = Account("crm", 7, AS_OF, sent=300, pending=200, stopped=Retriable("It answers 503."))
        out = printed(account, capsys, "--output", "a folder")
        assert account.exit_status == 5
        assert "Stopped: It answers 503." in out
        goes_on = "propense sync crm --output 'a folder' goes on where this run stopped."
        assert f"Next: 200 leads are pending: {goes_on}" in out

    def test_what_a_person_has_to_do_comes_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        problem = Fatal("The token is not valid.", todo="make a new token")
        out = printed(Account("crm", 7, AS_OF, pending=5, stopped=problem), capsys)
        assert out.index("Next: Make a new token") < out.index("Next: 5 leads are pending")
        account = screen.account_json(Account("crm", 7, AS_OF, pending=5, stopped=problem))
        assert account["stopped"] == {"problem": "The token is not valid.", "next": "make a new token"}
        assert account["exit_status"] == 5

    def test_notes_are_shown_and_no_text_is_taken_for_markup(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        account = Account(
            "crm", 7, AS_OF, notes=["[sync] ledger is alone"], skipped={"unknown": 2, "stale": 1}
        )
        out = printed(account, capsys)
        assert "Note: [sync] ledger is alone" in out
        assert "skipped 3 2 without a record there, 1 whose record holds a later run" in out

    def test_in_a_terminal_there_is_a_bar_and_no_log(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = io.StringIO()
        monkeypatch.setattr(screen, "console", lambda stderr: Console(file=terminal, force_terminal=True))
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        with screen.watching("crm", "run") as watch:
            watch(Event("planned", batches=2, rows=150))
            watch(Event("settled", 1, 2, rows=100, sent=100))
        assert "writing to crm" in terminal.getvalue()
        assert "100/150" in terminal.getvalue()
        assert "destination=" not in terminal.getvalue()

    def test_a_log_line_is_of_a_batch_that_is_done(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "propense.sync"):
            screen.log("my crm", "r", Event("intent", 3, 10, rows=100))
            screen.log("my crm", "r", Event("settled", 3, 10, rows=100, sent=98, failed=2, seconds=1.234))
        assert caplog.messages == [
            "destination='my crm' run=r batch=3/10 rows=100 sent=98 failed=2 seconds=1.23"
        ]
