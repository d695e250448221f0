"""What is promised of a delivery that dies, or whose other side does: real processes, killed with SIGKILL.

Each class is a row of the table of guarantees in docs/evidence.md, which its docstring names. What goes
wrong without anybody dying is in `test_guarantees_of_errors`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.register_assert_rewrite("crm.stages")
from crm.driver import Started  # noqa: E402
from crm.peers import SECRETS  # noqa: E402
from crm.projects import spread  # noqa: E402
from crm.rows import same  # noqa: E402
from crm.stages import ALL, ROWS, Stage, across, stage_, until  # noqa: E402, F401
from servers.emulator import Emulator  # noqa: E402
from servers.faults import answers, delays, drops, hangs  # noqa: E402
from servers.postgres import Postgres  # noqa: E402
from servers.tryton import Tryton  # noqa: E402

# Of 560 rows: what a crash may have to send again, at most.
BATCH = {"postgresql": ROWS, "tryton": 500, "hubspot": 100, "salesforce": 200, "bulk": ROWS}
COMMIT = "COMMIT"


def held_back(stage: Stage, seconds: float = 60, skip: int = 0) -> None:
    """Let the answer to a write come late, after it has taken effect."""
    if stage.name == "postgresql":  # it takes effect with what follows the statement
        stage.proxy.set(delays(seconds, COMMIT, behind=stage.peer.writes, skip=skip))
    elif stage.name == "bulk":
        stage.proxy.set(delays(seconds, "successfulResults"))
    else:
        stage.proxy.set(delays(seconds, stage.peer.writes, skip=skip))


class TestCrashOfOurs:
    """a crash loses nothing"""

    @across(*ALL)
    @pytest.mark.parametrize("step", ["intent", "answer", "settled"])
    def test_killed_at(self, stage: Stage, step: str) -> None:
        keys = stage.seed()
        assert stage.start(kill_at=step).wait() == -9
        outcome = stage.sync()
        assert outcome.status == 0, outcome.said
        self.check(stage, keys)

    @across(*ALL)
    def test_killed_when_it_was_sent(self, stage: Stage) -> None:
        """The effect is there, and the process that caused it dies before it knows."""
        keys = stage.seed()
        held_back(stage)
        process = stage.start()
        until(lambda: process.poll() is not None or (stage.proxy.hits("delay") and stage.peer.effects()))
        assert process.poll() is None
        process.kill()
        stage.proxy.clear()
        outcome = stage.sync()
        assert outcome.status == 0, outcome.said
        self.check(stage, keys)

    @across(*ALL)
    def test_killed_before_it_arrived(self, stage: Stage) -> None:
        """It is on its way and will not arrive."""
        keys = stage.seed()
        stage.proxy.set(delays(60, stage.peer.writes, forwarded=False))
        process = stage.start()
        until(lambda: stage.proxy.hits("delay"))
        process.kill()
        stage.proxy.clear()
        outcome = stage.sync()
        assert (outcome.status, stage.again()) == (0, None if stage.name == "postgresql" else 0)
        self.check(stage, keys)

    @across("hubspot")
    def test_the_program_itself(self, stage: Stage) -> None:
        """Once as a user starts it: `propense` in a process that knows nothing of tests."""
        keys = stage.seed()
        stage.project.configure()
        command = [sys.executable, "-m", "pipeline.cli", "sync", "crm", "--config", str(stage.project.config)]
        command += ["--output", str(stage.project.output)]
        environment = {**os.environ, **SECRETS}
        held_back(stage, skip=1)
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            until(lambda: stage.proxy.hits("delay"))
            process.kill()
        stage.proxy.clear()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "sent            360\n" in done.stdout
        assert "100 leads that an earlier run had sent were found written" in done.stdout
        self.check(stage, keys)

    def check(self, stage: Stage, keys: list[str]) -> None:
        stage.check_arrived(keys)
        stage.expected_again = stage.again()
        assert stage.expected_again is None or stage.expected_again <= BATCH[stage.name]
        assert stage.sync().counts == {"unchanged": ROWS}
        stage.check_once()

    @across("hubspot")
    def test_killed_again_and_again(self, stage: Stage) -> None:
        """Each start delivers one batch more, whatever step it dies at."""
        keys = stage.seed()
        for step in ("intent", "settled:2", "answer", "settled", "answer:2"):
            assert stage.start(kill_at=step).wait() == -9
        assert stage.sync().status == 0
        stage.check_arrived(keys)
        stage.expected_again = stage.again()
        assert stage.expected_again == 0  # what had arrived is found by reading, not by sending


class TestCrashOfTheirs:
    """the other side crashes"""

    def finish(self, stage: Stage, process: Started, keys: list[str]) -> None:
        """Let the process that was writing go on by itself, and if it gave up, another one."""
        stage.proxy.clear()
        outcome = stage.finish(process)
        assert outcome.status in (0, 5), outcome.said
        if outcome.status == 5:
            assert stage.sync().status == 0
        stage.check_arrived(keys)
        stage.expected_again = stage.again()

    @across("postgresql")
    def test_postgresql_before_the_commit(self, stage: Stage, postgres: Postgres) -> None:
        keys = stage.seed()
        stage.proxy.set(hangs(COMMIT, behind=stage.peer.writes))
        process = stage.start()
        until(lambda: stage.proxy.hits("hang"))
        postgres.kill()
        postgres.start()
        assert not any(any(record.values()) for record in stage.peer.scores(keys).values())  # none
        self.finish(stage, process, keys)

    @across("postgresql")
    def test_postgresql_after_the_commit(self, stage: Stage, postgres: Postgres) -> None:
        keys = stage.seed()
        stage.proxy.set(hangs(COMMIT, behind=stage.peer.writes, forwarded=True))
        process = stage.start()
        until(lambda: stage.proxy.hits("hang") and stage.peer.effects())
        postgres.kill()
        postgres.start()
        stage.check_arrived(keys)  # all
        self.finish(stage, process, keys)

    @across("tryton")
    def test_tryton(self, stage: Stage, tryton: Tryton) -> None:
        keys = stage.seed()
        (tryton.switches / "pause").touch()
        process = stage.start()
        until((tryton.switches / "paused").exists)
        tryton.kill()
        (tryton.switches / "pause").unlink()
        assert not stage.peer.effects()
        tryton.start()
        self.finish(stage, process, keys)

    @across("hubspot", "salesforce")
    def test_emulator(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        emulator.fault("crash", when="during", body='(?i)"id": *"', path="update|sobjects$", after=1)
        process = stage.start()
        emulator.wait_until_dead(60)
        emulator.start()
        written = sum(bool(any(record.values())) for record in stage.peer.scores(keys).values())
        assert written == BATCH[stage.name]  # the first batch, and none of the second
        self.finish(stage, process, keys)


class TestAnswerLost:
    """an answer is lost after it took effect"""

    @across("postgresql")
    def test_postgresql(self, stage: Stage) -> None:
        self.check(stage, drops(COMMIT, behind=stage.peer.writes))

    @across("tryton", "hubspot", "salesforce", "bulk")
    def test_over_http(self, stage: Stage) -> None:
        self.check(stage, drops(stage.peer.writes, times=2))

    @across("bulk")
    @pytest.mark.parametrize("request_", [r"PATCH .*/jobs/ingest/", r"GET .*successfulResults"])
    def test_of_a_job(self, stage: Stage, request_: str) -> None:
        self.check(stage, drops(request_))

    def check(self, stage: Stage, fault: object) -> None:
        keys = stage.seed()
        stage.proxy.set(fault)  # type: ignore[arg-type]
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (0, {"sent": ROWS}), outcome.said
        assert stage.proxy.hits("drop")
        stage.check_arrived(keys)
        stage.expected_again = stage.again()
        # Only the upload of a job that was never closed is sent again: it has not taken effect.
        assert stage.expected_again in ((0, ROWS) if stage.name == "bulk" else (None, 0))


class TestBulkJob:
    """a Bulk job outlives the process that made it"""

    @across("bulk")
    @pytest.mark.parametrize(
        "request_", [r"PUT .*/batches", r"PATCH .*/jobs/ingest/", r"GET .*/jobs/ingest/\w+$"],
        ids=["before its upload", "before it was closed", "while it was polled"],
    )  # fmt: skip
    def test_killed_after_it_was_created(self, stage: Stage, emulator: Emulator, request_: str) -> None:
        keys = stage.seed()
        stage.proxy.set(delays(60, request_, forwarded=False))
        process = stage.start()
        until(lambda: stage.proxy.hits("delay"))
        process.kill()
        stage.proxy.clear()
        (job,) = emulator.jobs()
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (0, {"unchanged": ROWS}), outcome.said
        assert any(f"{ROWS} leads that an earlier run had sent" in note for note in outcome.account["notes"])
        stage.check_arrived(keys)
        stage.expected_again = stage.again()
        assert stage.expected_again == 0
        assert [one["id"] for one in emulator.jobs()] == [job["id"]]

    @across("bulk")
    def test_given_up_on_while_it_was_polled(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        usual = stage.project.settings["patience"]
        stage.project.settings["patience"] = "0.03m"
        stage.proxy.set(answers(503, r"GET .*/jobs/ingest/\w+\n", times=None))
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (5, {"pending": ROWS}), outcome.said
        stage.proxy.clear()
        stage.project.settings["patience"] = usual
        assert stage.sync().status == 0
        stage.check_arrived(keys)
        assert len(emulator.jobs()) == 1
        stage.expected_again = stage.again()
        assert stage.expected_again == 0

    @across("bulk")
    def test_whose_id_was_never_learnt_is_left_empty(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        stage.proxy.set(delays(60, r"POST .*/jobs/ingest"))
        process = stage.start()
        until(emulator.jobs)
        process.kill()
        stage.proxy.clear()
        assert stage.sync().status == 0
        stage.check_arrived(keys)
        assert [one["uploads"] for one in emulator.jobs()] == [0, 1]


class TestTwoAtOnce:
    """run twice, two at once"""

    @across(*ALL)
    def test_the_second_time_nothing_changes(self, stage: Stage) -> None:
        keys = stage.seed()
        assert stage.sync().counts == {"sent": ROWS}
        before, sent = stage.peer.records(), stage.peer.sent()
        stage.project.score(spread(keys), "run-2")
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (0, {"unchanged": ROWS})
        assert (stage.peer.records(), stage.peer.sent()) == (before, sent)
        stage.check_arrived(keys)
        stage.expected_again = stage.again()

    @across(*ALL)
    def test_the_second_of_two_refuses_at_once(self, stage: Stage) -> None:
        keys = stage.seed()
        held_back(stage, 120)
        first = stage.start()
        until(lambda: stage.proxy.hits("delay"))
        requests = len(stage.proxy.log)
        second = stage.sync()
        assert second.status == 5
        assert str(first.pid) in second.said
        assert len(stage.proxy.log) == requests  # it has not even looked
        stage.proxy.clear()
        stage.proxy.cut()  # the held answer is lost; the first one finds out by reading
        assert stage.finish(first).status == 0
        stage.check_arrived(keys)
        stage.expected_again = stage.again()


class TestStale:
    """a stale run, a clock moved by three days"""

    @across(*ALL)
    @pytest.mark.parametrize("days", [-3, 3])
    def test_the_newer_values_stay_whatever_the_clock_says(self, stage: Stage, days: int) -> None:
        keys = stage.peer.seed(250)
        stage.project.score(spread(keys, 0.02, 0.4), "run-1")
        assert stage.sync().status == 0
        old = (stage.project.output / "scores.parquet").read_bytes()
        stage.project.score(dict.fromkeys(keys, 0.97), "run-2", as_of=stage.moment(days))
        assert stage.sync(clock=days).counts == {"sent": 250}
        (stage.project.output / "scores.parquet").write_bytes(old)
        outcome = stage.sync()
        assert (outcome.counts, outcome.account["skipped"]) == ({}, {"stale": 250})
        wanted = stage.project.values(0.97, "run-2", 2, as_of=stage.moment(days))
        assert same(stage.peer.scores(keys), dict.fromkeys(keys, wanted))


class TestDryRun:
    """a dry run writes nothing"""

    @across(*ALL)
    def test_nothing_is_written_and_all_is_told(self, stage: Stage) -> None:
        stage.seed()
        before = stage.peer.records()
        outcome = stage.sync("--dry-run")
        assert (outcome.status, outcome.account["to_send"]) == (0, ROWS), outcome.said
        assert len(outcome.account["changes"]) == ROWS
        assert stage.peer.records() == before
        assert not stage.peer.effects()
        assert not stage.peer.sent()
        stage.expected_again = 0
