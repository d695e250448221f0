"""What is learned later chooses neither whom to score nor what a snapshot sees; nor is it lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from project import read, rows, told, write_project

from pipeline.preparation import at_moment
from pipeline.snapshots import at_ages, at_dates, episodes, matured, while_open

TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
OTHERS = "z, lost, 2024-06-30T00:00:00"


def learned(path, moment: datetime) -> list[str]:
    """Leads with a labelled snapshot at a moment."""
    dataset = read(path)
    seen = matured(dataset, while_open(dataset, at_dates(dataset, episodes(dataset), [moment])))
    return [lead for (lead,) in rows(seen, "lead_id")]


def test_a_call_on_the_day_of_creation_hands_the_lead_over_though_only_the_date_is_known(tmp_path):
    # Created "on the 1st" is known at the end of the 1st; sales called at ten that day.
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\na, 2024-01-01\nz, 2024-01-01",
        activities="lead_id, occurred_at, kind, actor\na, 2024-01-01T10:00:00, call, sales",
        outcomes=f"lead_id, outcome, closed_at\n{OTHERS}",
        in_outcomes=TABLE,
    )
    assert learned(path, datetime(2024, 1, 5)) == ["z"]
    keys = at_moment(read(path), datetime(2024, 1, 5))[1]
    assert dict(zip(keys["lead_id"], keys["handed_over"], strict=True)) == {"a": True, "z": False}


def test_nothing_is_learned_on_the_day_of_an_outcome_whose_time_is_not_known(tmp_path):
    # Won "on the 10th" may have been at nine: at noon the lead may be a customer already. Of z the time
    # is known. For scoring, a is open until the date is over: nobody can know better then.
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\na, 2024-01-01T00:00:00\nz, 2024-01-01T00:00:00",
        activities=None,
        outcomes="lead_id, outcome, closed_at\na, won, 2024-01-10\nz, won, 2024-01-10T18:00:00",
        in_outcomes=TABLE + "observed_until = 2024-06-30T00:00:00",
    )
    assert learned(path, datetime(2024, 1, 9)) == ["a", "z"]
    assert learned(path, datetime(2024, 1, 10, 12)) == ["z"]
    assert set(at_moment(read(path), datetime(2024, 1, 10, 12))[1]["lead_id"]) == {"a", "z"}


def test_what_turned_out_to_be_spam_is_not_learned_from_but_was_scored(tmp_path):
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\na, 2024-01-01T00:00:00\nz, 2024-01-01T00:00:00",
        activities=None,
        outcomes="lead_id, outcome, closed_at, reason\n"
        f"a, disqualified, 2024-01-10T00:00:00, spam\n{OTHERS},",
        in_outcomes=TABLE + 'reason = "reason"',
    )
    assert learned(path, datetime(2024, 1, 5)) == ["z"]
    assert set(at_moment(read(path), datetime(2024, 1, 5))[1]["lead_id"]) == {"a", "z"}


def test_latest_chooses_with_hindsight_for_learning_and_without_for_scoring(tmp_path):
    # Lost on the 10th, back on the 20th: on the 5th nobody knew that there would be a later episode.
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\na, 2024-01-01T00:00:00\nz, 2024-01-01T00:00:00",
        activities="lead_id, occurred_at, kind, actor\na, 2024-01-20T00:00:00, visit, lead",
        outcomes=f"lead_id, outcome, closed_at\na, lost, 2024-01-10T00:00:00\n{OTHERS}",
        in_outcomes=TABLE + 'episodes = "latest"',
    )
    assert learned(path, datetime(2024, 1, 5)) == ["z"]
    assert set(at_moment(read(path), datetime(2024, 1, 5))[1]["lead_id"]) == {"a", "z"}


def test_an_attribute_called_like_the_join_key_does_not_empty_the_join(tmp_path):
    (tmp_path / "accounts.csv").write_text("account,sector\n1,steel\n2,food\n")
    path = write_project(
        tmp_path,
        leads="lead_id, created_at, account, entity_key\n"
        "a, 2024-01-01T00:00:00, 1, x\nz, 2024-01-01T00:00:00, 2, y",
        activities=None,
        outcomes=f"lead_id, outcome, closed_at\n{OTHERS}",
        in_outcomes=TABLE,
    )
    path.write_text(
        path.read_text() + '\n[[entities]]\ntable = "accounts.csv"\nkey = "account"\nlead_key = "account"\n'
    )
    assert rows(read(path).tables.leads, "lead_id", "accounts·sector") == [("a", "steel"), ("z", "food")]


def test_kinds_that_only_rules_or_the_decision_misspell_are_noted(tmp_path):
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\na, 2024-01-01T00:00:00\nz, 2024-01-01T00:00:00",
        activities="lead_id, occurred_at, kind, actor\na, 2024-01-20T00:00:00, visit, lead",
        outcomes=f"lead_id, outcome, closed_at\n{OTHERS}",
        in_outcomes=TABLE,
    )
    path.write_text(
        path.read_text()
        + '\n[[rules]]\nname = "visit"\npoints = 5\nactivity = "vizit"\n'
        + '\n[decision]\nsales_ready_kinds = ["visits"]\n'
    )
    notes = told(read(path), "note")
    assert "`rules` names the kind 'vizit', which does not occur. Did you mean 'visit'?" in notes
    assert "`sales_ready_kinds` names the kind 'visits'" in notes


def test_labels_that_are_neither_won_nor_one_other_word_are_an_error(tmp_path):
    (tmp_path / "flat.csv").write_text("x,y\n1,yes\n2,no\n3,maybe\n")
    path = tmp_path / "propense.toml"
    path.write_text('[project]\nname = "p"\n[leads]\ntable = "flat.csv"\nlabel = "y"\n')
    assert "labels 'maybe', 'no' are all taken as not won" in told(read(path), "error")
    (tmp_path / "flat.csv").write_text("x,y\n1,yes\n2,no\n3,No\n")
    assert "taken as not won" not in told(read(path), "error")


def test_ages_count_from_the_end_of_a_day_without_a_time(tmp_path):
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\na, 2024-01-01\nz, 2024-01-01",
        activities=None,
        outcomes=f"lead_id, outcome, closed_at\n{OTHERS}",
        in_outcomes=TABLE,
    )
    dataset = read(path)
    seen = at_ages(dataset, episodes(dataset), [timedelta(days=1)])
    assert rows(seen, "lead_id", "as_of")[0] == ("a", "2024-01-03")
