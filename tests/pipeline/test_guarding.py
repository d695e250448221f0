"""The leak guard on the way of a training: what features see, and which snapshots there are, afterwards."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from project import company, read, rows, write_project

from pipeline.guarding import guarded
from pipeline.preparation import Prepared, prepare
from pipeline.source.dataset import Dataset

END = pd.Timestamp("2023-12-25")
SECTIONS = '[snapshots]\nhorizon = "14d"\nages = ["1d", "5d"]\nscoring_every = "10d"\n'
OUTCOMES = (
    'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nepisodes = "all"\n'
    "observed_until = 2023-12-25\n"
)
KEPT = '[[guard.overrule]]\nname = "signed"\nverdict = "keep"\nreason = "it is known before"\n'


def table(text: str) -> pd.DataFrame:
    first, *others = (line.split(", ") for line in text.splitlines())
    return pd.DataFrame([dict(zip(first, other, strict=True)) for other in others])


def project(folder: Path, more: str = "", *, plan: str = "") -> Dataset:
    """Of five leads in a row (four a day) two win and one is lost after 9 days.

    All visit on their first day. Two minutes before its win a lead has 'signed'; ten days after a loss it
    has 'signed' too, which opens its next episode where features may see it. With `plan` "won", won
    leads alone have a plan.
    """
    leads, outcomes = (table(text) for text in company(a_day=4))
    closed = outcomes[pd.to_datetime(outcomes["closed_at"]) < END]
    at = pd.to_datetime(closed["closed_at"])
    won = closed["outcome"] == "won"
    signed = pd.DataFrame({"lead_id": closed["lead_id"], "kind": "signed"})
    signed["occurred_at"] = at.where(~won, at - pd.Timedelta("2min")).where(won, at + pd.Timedelta("10D"))
    visits = pd.DataFrame({"lead_id": leads["lead_id"], "kind": "visit"})
    visits["occurred_at"] = pd.to_datetime(leads["created_at"]) + pd.Timedelta("1h")
    activities = pd.concat([signed, visits])
    activities = activities[activities["occurred_at"] < END].assign(actor="lead")
    activities["occurred_at"] = activities["occurred_at"].map(pd.Timestamp.isoformat)
    if plan:
        leads["plan"] = leads["plan"].where(leads["lead_id"].isin(closed.loc[won, "lead_id"]))
    path = write_project(
        folder, leads=leads.to_csv(index=False), outcomes=closed.to_csv(index=False),
        activities=activities.to_csv(index=False), in_leads='account = "account"', in_outcomes=OUTCOMES,
        sections=SECTIONS + more,
    )  # fmt: skip
    dataset = read(path)
    dataset.findings.raise_errors()
    return dataset


def kinds(dataset: Dataset) -> set[tuple[str, ...]]:
    return set(rows(dataset.tables.activities, "kind"))


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return project(tmp_path_factory.mktemp("leaking"))


def episodes_of(prepared: Prepared) -> set[int]:
    """How many openings the leads have of which there are snapshots."""
    return set(prepared.keys.groupby("lead_id")["opened_at"].nunique())


def test_a_kind_that_comes_with_the_outcome_is_hidden_and_stays_in_the_data(leaking: Dataset) -> None:
    clean, _, judgement = guarded(leaking, prepare(leaking))
    assert judgement.kinds_left_out() == {"signed"}
    assert kinds(leaking) == {("signed",), ("visit",)}
    assert kinds(clean) == {("visit",)}
    assert set(rows(clean.activities_all, "kind")) == {("signed",), ("visit",)}


def test_snapshots_are_taken_again_since_it_opened_episodes(leaking: Dataset) -> None:
    before = prepare(leaking)
    _, after, _ = guarded(leaking, before)
    assert episodes_of(before) == {1, 2}
    assert episodes_of(after) == {1}
    assert len(after.keys) < len(before.keys)


def test_to_ship_no_test_window_comes_back(leaking: Dataset) -> None:
    _, after, _ = guarded(leaking, prepare(leaking, ship=True), ship=True)
    assert episodes_of(after) == {1}
    assert after.rows("test").empty
    assert after.bounds is not None
    assert after.bounds.build_until == END - pd.Timedelta("14D")


def test_an_attribute_left_out_takes_no_snapshots_again(tmp_path: Path) -> None:
    dataset = project(tmp_path, KEPT, plan="won")
    prepared = prepare(dataset)
    clean, after, judgement = guarded(dataset, prepared)
    assert judgement.attributes_left_out() == {"plan"}
    assert [a.name for a in dataset.tables.attributes] == ["plan"]
    assert clean.tables.attributes == ()
    # The user kept the kind.
    assert judgement.kinds_left_out() == frozenset()
    assert kinds(clean) == kinds(dataset)
    assert after is prepared


def test_off_it_changes_nothing(tmp_path: Path) -> None:
    dataset = project(tmp_path, "[guard]\non = false\n", plan="won")
    prepared = prepare(dataset)
    clean, after, judgement = guarded(dataset, prepared)
    assert not judgement.on
    assert judgement.verdicts == ()
    assert clean.tables.attributes == dataset.tables.attributes
    assert kinds(clean) == kinds(dataset)
    assert after is prepared
