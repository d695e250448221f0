"""``propense check``: what it shows of a project, and its exit status."""

from __future__ import annotations

import json
import signal
import sys
from datetime import datetime, timedelta

import pandas as pd
import pytest
from project import LEADS, OUTCOMES, company, write_config, write_project

from pipeline import cli
from pipeline.check import suggest_horizon

SECTIONS = """
    [snapshots]
    horizon = "14d"
    ages = ["1d", "7d"]
"""
TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nobserved_until = 2023-12-25\n'
ACTIVITIES = """
    lead_id, occurred_at,         kind,  actor
    1,       2023-02-01T00:00:00, visit, lead
    1,       2023-02-02T00:00:00, visit, lead
    2,       2023-02-01T00:00:00, call,  sales
    nobody,  2023-02-01T00:00:00, visit, lead
"""


@pytest.fixture
def propense(monkeypatch, capsys):
    """Run the command line in this process: its status, and what it printed."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["propense", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out + printed.err

    return run


@pytest.fixture
def ready(tmp_path):
    leads, outcomes = company()
    return write_project(
        tmp_path, leads=leads, outcomes=outcomes, activities=ACTIVITIES, in_leads='account = "account"',
        in_outcomes=TABLE, sections=SECTIONS,
    )  # fmt: skip


def test_a_project_that_is_ready(propense, ready):
    status, said = propense("check", "--config", ready)
    assert status == 0
    assert "Ready. Train with `propense train`" in said
    for table in ("leads.csv", "activities.csv", "outcomes.csv"):
        assert table in said
    assert "won: 288, lost: 144" in said  # of 720 leads two in five win, one in five is lost
    assert "2023-12-25 00:00 UTC (given)" in said
    # Half of the wins take 6 days, half 20.
    assert "25%: 6.0 d, 50%: 13.0 d, 75%: 20.0 d" in said
    assert "30 days would hold three in four wins" in said
    assert "of leads that the leads table does not have, 1 rows, for example 'nobody'" in said
    for window in ("train", "calibration", "decision", "test"):
        assert f" {window} " in said
    assert "in time order" in said


def test_the_same_for_programs(propense, ready):
    status, said = propense("check", "--json", "--config", ready)
    found = json.loads(said)
    assert status == 0
    assert found["problem"] is None
    assert found["tables"]["leads"] == {"file": "leads.csv", "rows": 720, "columns": 4}
    assert found["outcomes"] == {"won": 288, "lost": 144}
    assert found["suggested_horizon_days"] == 30
    assert set(found["windows"]) == {"train", "calibration", "decision", "test"}
    assert all(window["won"] >= 10 for window in found["windows"].values())
    assert [f["example"] for f in found["findings"] if f["level"] == "left out"] == ["'nobody'"]


def test_mistakes_in_the_data_are_status_2_and_all_shown_beside_the_tables(propense, tmp_path):
    path = write_project(tmp_path, leads=LEADS + "    a, soon\n", outcomes=OUTCOMES + "    c, lost,\n")
    status, said = propense("check", "--config", path)
    assert status == 2
    for what in ("Not ready", "ids are repeated", "times that cannot be read", "without a closing time"):
        assert what in said
    assert "leads.csv" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("what", ["file", "configuration"])
def test_a_missing_file_is_status_2(propense, ready, what):
    (ready if what == "configuration" else ready.parent / "leads.csv").unlink()
    status, said = propense("check", "--config", ready)
    assert status == 2
    assert f"There is no {'configuration ' if what == 'configuration' else ''}file" in said
    assert "Traceback" not in said


def test_too_few_wins_are_status_3_with_how_many_are_needed(propense, tmp_path):
    leads, outcomes = company()
    few = "\n".join(line for i, line in enumerate(outcomes.splitlines()) if "won" not in line or i % 10 == 1)
    path = write_project(
        tmp_path, leads=leads, outcomes=few, activities=None, in_leads='account = "account"',
        in_outcomes=TABLE, sections=SECTIONS,
    )  # fmt: skip
    status, said = propense("check", "--config", path)
    assert status == 3
    assert "Too few leads that won" in said
    assert "of 20 needed" in said
    # The windows are shown, so that one sees where the wins are.
    assert "calibration" in said


def test_too_short_a_history_is_status_3(propense, tmp_path):
    status, said = propense("check", "--config", write_project(tmp_path))
    assert status == 3
    assert "too few for windows in time order" in said


@pytest.mark.parametrize(("label", "wins"), [("0", "0"), ("1", "30")])
def test_one_class_is_status_3(propense, tmp_path, label, wins):
    (tmp_path / "flat.csv").write_text("won,n\n" + f"{label},1\n{label},2\n" * 15)
    path = write_config(tmp_path, '[project]\nname = "f"\n[leads]\ntable = "flat.csv"\nlabel = "won"\n')
    status, said = propense("check", "--config", path)
    assert status == 3
    assert f"The outcome has one class only: {wins} of 30 leads won" in said


def test_several_outcomes_and_an_ignored_hand_over_are_said(propense, tmp_path):
    leads, outcomes = company()
    path = write_project(
        tmp_path, leads=leads, outcomes=outcomes + "\n0, won, 2023-11-11T00:00:00", activities=None,
        in_leads='account = "account"', in_outcomes=TABLE,
        sections=SECTIONS + "    end_at_handover = false\n",
    )  # fmt: skip
    _, said = propense("check", "--config", path)
    said = " ".join(said.split())
    assert "1 leads have several outcomes; only the first counts" in said
    assert "Snapshots do not end at the hand-over to sales" in said
    assert "are older than any snapshot trained on (7d)" in said


@pytest.mark.parametrize(
    ("days", "span", "suggested"),
    [
        ([1, 2, 3, 20], 365, 14),  # three in four within 7.25 days
        ([10, 20, 30, 40], 365, 60),  # 32.5 days: 60 holds them, and five of those fit the year
        ([100] * 4, 365, 60),  # the longest of which five fit
        ([100] * 4, 3, None),
        ([], 365, None),
    ],
)
def test_the_horizon_suggested(days, span, suggested):
    found = suggest_horizon(pd.Series(days, dtype=float), timedelta(days=span))
    assert found == (timedelta(days=suggested) if suggested else None)


def test_init_writes_a_configuration_to_fill_in(propense, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["propense", "init"])
    cli.main()
    assert "[leads]" in (tmp_path / "propense.toml").read_text()
    status, said = propense("init")
    assert status == 2
    assert "left as it is" in said


def test_the_companys_numbers():
    leads, outcomes = company(days=5, a_day=1)
    assert leads.splitlines()[2] == "1, 2023-01-02T00:00:00, 0, gold"
    assert outcomes.splitlines()[1:] == [
        f"0, won, {datetime(2023, 1, 7).isoformat()}",
        f"1, won, {datetime(2023, 1, 22).isoformat()}",
        f"2, lost, {datetime(2023, 1, 12).isoformat()}",
    ]
