"""The examples for schedulers are what their schedulers understand, and run what this program has."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main_group

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "scheduling"
UNITS = [
    "propense-score.timer",
    "propense-score.service",
    "propense-sync.service",
    "propense-failed@.service",
]
CRONTAB = (EXAMPLES / "crontab").read_text("utf-8")
JOBS = [line for line in CRONTAB.splitlines() if re.match(r"[\d*]", line)]


def understood(words: list[str]) -> None:
    """Check that the command line would take `propense` with these words."""
    with main_group.make_context("propense", list(words)) as context:
        name, command, rest = main_group.resolve_command(context, [*context._protected_args, *context.args])
        assert name is not None
        assert command is not None
        with command.make_context(name, rest, parent=context):
            pass


def commands(text: str) -> list[list[str]]:
    """The words of every call of propense in a line of shell."""
    calls = re.findall(r"propense ((?:score|sync|train)[a-z -]*?)(?: >>| &&|;|$)", text)
    return [shlex.split(call) for call in calls]


class TestCron:
    def test_three_jobs_each_with_five_fields_in_their_ranges(self) -> None:
        assert len(JOBS) == 3
        ranges = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
        for job in JOBS:
            for field, (low, high) in zip(job.split(maxsplit=5)[:5], ranges, strict=True):
                assert re.fullmatch(r"(\*|\d+(-\d+)?)(/\d+)?", field), field
                assert all(low <= int(n) <= high for n in re.findall(r"\d+", field.split("/")[0]))

    def test_other_lines_are_comments_or_settings(self) -> None:
        rest = [line for line in CRONTAB.splitlines() if line and line not in JOBS]
        assert all(re.match(r"#|[A-Z]+=\S+$", line) for line in rest)

    def test_no_percent_sign_which_cron_takes_for_a_new_line(self) -> None:
        assert not any("%" in job for job in JOBS)

    def test_they_run_what_there_is(self) -> None:
        found = [words for job in JOBS for words in commands(job)]
        assert found == [["score"], *[["sync", "crm"]] * 3]
        for words in found:
            understood(words)

    @pytest.mark.parametrize(
        ("job", "statuses", "ran", "mail"),
        [
            (0, {"score": 0, "sync": 0}, ["export", "score", "sync crm"], ""),
            (0, {"export": 1}, ["export"], "status 1"),
            (0, {"score": 3, "sync": 0}, ["export", "score"], "status 3"),
            (0, {"score": 0, "sync": 5}, ["export", "score", "sync crm"], "status 5"),
            (0, {"score": 0, "sync": 6}, ["export", "score", "sync crm"], "status 6"),
            (1, {"sync": 0}, ["sync crm"], ""),
            (1, {"sync": 5}, ["sync crm"], ""),
            (1, {"sync": 2}, ["sync crm"], "status 2"),
            (1, {"sync": 6}, ["sync crm"], "status 6"),
            (2, {"sync": 0}, ["sync crm"], ""),
            (2, {"sync": 5}, ["sync crm"], "status 5"),
        ],
    )
    def test_the_shell_does_what_they_say(
        self, tmp_path: Path, job: int, statuses: dict[str, int], ran: list[str], mail: str
    ) -> None:
        program = tmp_path / "propense"
        cases = "\n".join(f"{name}) exit {status};;" for name, status in statuses.items())
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\necho said\ncase $1 in\n{cases}\nesac\n'
        )
        program.chmod(0o755)
        (tmp_path / "export.sh").write_text(f"#!/bin/sh\nexec {program} export\n")
        (tmp_path / "export.sh").chmod(0o755)
        command = JOBS[job].split(maxsplit=5)[5].replace("/srv/propense", str(tmp_path))
        done = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, text=True, check=False,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )  # fmt: skip
        assert (tmp_path / "calls").read_text().splitlines() == ran
        assert done.stderr == ""
        assert (mail in done.stdout) if mail else done.stdout == ""  # cron sends what is printed


@pytest.fixture
def verify(tmp_path: Path) -> Callable[[], str]:
    """Let systemd read the units, with a program that there is in the place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")

    def complaints(change: Callable[[str], str] = lambda text: text) -> str:
        for name in UNITS:
            text = (EXAMPLES / name).read_text("utf-8")
            for program in ("/srv/propense/.venv/bin/propense", "/srv/propense/export.sh"):
                text = text.replace(program, "/bin/true")
            (tmp_path / name).write_text(change(text))
        done = subprocess.run(
            ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stderr

    return complaints


class TestSystemd:
    def test_systemd_has_nothing_to_complain_of(self, verify: Callable[..., str]) -> None:
        assert verify() == ""

    def test_and_it_would_complain(self, verify: Callable[..., str]) -> None:
        assert "Restrat" in verify(lambda text: text.replace("Restart=", "Restrat="))

    def test_they_run_what_there_is(self) -> None:
        starts = [
            line.split("/propense ", 1)[1]
            for name in UNITS
            for line in (EXAMPLES / name).read_text().splitlines()
            if line.startswith("ExecStart=/srv/")
        ]
        assert starts == ["score", "sync crm"]
        for start in starts:
            understood(shlex.split(start))

    def test_what_is_pending_is_tried_again_and_a_mistake_is_not(self) -> None:
        text = (EXAMPLES / "propense-sync.service").read_text()
        assert "Restart=on-failure" in text
        prevented = re.search(r"RestartPreventExitStatus=(.*)", text)
        assert prevented is not None
        assert prevented[1].split() == ["2", "3", "6"]

    @pytest.mark.parametrize("name", ["propense-score.service", "propense-sync.service"])
    def test_both_have_their_secrets_and_tell_a_person_when_they_fail(self, name: str) -> None:
        text = (EXAMPLES / name).read_text()
        assert "EnvironmentFile=-/etc/propense/secrets\n" in text
        assert "OnFailure=propense-failed@%n.service\n" in text

    def test_the_way_to_install_it_says_what_systemd_needs(self) -> None:
        text = (EXAMPLES / "propense-score.timer").read_text()
        assert "249" in text
        assert "daemon-reload" in text


def test_the_logs_that_cron_writes_are_rotated() -> None:
    rotated = re.search(r"(?m)^(/\S+(?: /\S+)*) \{$", (EXAMPLES / "logrotate").read_text("utf-8"))
    assert rotated is not None
    written = {f"/srv/propense/{name}" for job in JOBS for name in re.findall(r">> (\S+)", job)}
    assert set(rotated[1].split()) == written


class Failed(Exception):
    """Stands for Airflow's failure without another try."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """As much of Airflow's names as the example uses; return what it declared."""
    declared: dict[str, Any] = {"tasks": {}, "order": []}

    class Task:
        def __init__(self, function: Callable[[], None]) -> None:
            self.function = function
            declared["tasks"][function.__name__] = function

        def __call__(self) -> Task:
            return self

        def __rshift__(self, other: Task) -> Task:
            declared["order"].append((self.function.__name__, other.function.__name__))
            return other

    def dag(**settings: Any) -> Callable[[Any], Any]:
        declared["settings"] = settings
        return lambda function: function

    sdk, exceptions = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.sdk.exceptions")
    sdk.dag, sdk.task = dag, Task  # type: ignore[attr-defined]
    exceptions.AirflowFailException = Failed  # type: ignore[attr-defined]
    modules = {
        "airflow": types.ModuleType("airflow"),
        "airflow.sdk": sdk,
        "airflow.sdk.exceptions": exceptions,
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return declared


class TestAirflow:
    """Airflow itself is no dependency; a stand-in with its names runs the example."""

    def load(self, tmp_path: Path, status: int) -> None:
        program = tmp_path / "propense"
        program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nexit {status}\n')
        program.chmod(0o755)
        text = (EXAMPLES / "propense_dag.py").read_text("utf-8")
        assert text.count('"/srv/propense') == 2
        text = text.replace("/srv/propense/.venv/bin/propense", str(program))
        (tmp_path / "dag.py").write_text(text.replace("/srv/propense", str(tmp_path)))
        runpy.run_path(str(tmp_path / "dag.py"))

    def test_it_exports_scores_then_delivers(self, airflow: dict[str, Any], tmp_path: Path) -> None:
        self.load(tmp_path, 0)
        assert airflow["order"] == [("export", "score"), ("score", "sync")]
        assert airflow["settings"]["catchup"] is False
        (tmp_path / "export.sh").write_text(f"#!/bin/sh\necho export >> {tmp_path}/calls\n")
        (tmp_path / "export.sh").chmod(0o755)
        for task in ("export", "score", "sync"):
            airflow["tasks"][task]()
        calls = (tmp_path / "calls").read_text().splitlines()
        assert calls == ["export", "score", "sync crm"]
        for call in calls[1:]:
            understood(call.split())

    @pytest.mark.parametrize(
        ("status", "error"), [(5, RuntimeError), (130, RuntimeError), (2, Failed), (3, Failed), (6, Failed)]
    )
    def test_only_what_may_help_is_tried_again(
        self, airflow: dict[str, Any], tmp_path: Path, status: int, error: type[Exception]
    ) -> None:
        self.load(tmp_path, status)
        with pytest.raises(error, match=f"status {status}"):
            airflow["tasks"]["sync"]()
