"""A lead's history replayed up to its outcome: where the margin leaps, something was recorded with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from project import read, write_project

from features.errors import DataError
from models.learning import Choices, Examples, learn
from pipeline import featuring
from pipeline.guard.replay import OFFSETS, replay, replay_lead
from pipeline.preparation import prepare

SNAPSHOTS = '[snapshots]\nhorizon = "14d"\nages = ["1d", "3d"]\nscoring_every = "7d"\n'
TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nobserved_until = 2023-12-25\n'


def written_as(times: pd.Series) -> pd.Series:
    return times.map(pd.Timestamp.isoformat)


def written(folder, before_the_win: str):
    """1,440 leads in a year. One in three wins 20 minutes after its first day, the others lose on day 5.

    Papers come so long before a win that the snapshot at the age of one day has seen them; one in eleven
    leads is the other way round: a win without, or a loss with papers at the same age.
    """
    ids, won = pd.Series(np.arange(1440).astype(str)), np.arange(1440) % 3 == 0
    created = pd.Series(pd.Timestamp("2023-01-01") + pd.to_timedelta(np.arange(1440) * 6, unit="h"))
    closed = created + pd.to_timedelta(np.where(won, 24 * 60 + 20, 5 * 24 * 60), unit="min")
    leads = pd.DataFrame({"lead_id": ids, "created_at": written_as(created)})
    outcome = np.where(won, "won", "lost")
    outcomes = pd.DataFrame({"lead_id": ids, "outcome": outcome, "closed_at": written_as(closed)})
    visits = pd.DataFrame({"lead_id": ids, "occurred_at": created + pd.Timedelta("1h"), "kind": "visit"})
    has = won ^ (np.arange(1440) % 11 == 0)
    signed = (created + pd.Timedelta("1D") + pd.Timedelta("20min") - pd.Timedelta(before_the_win))[has]
    papers = pd.DataFrame({"lead_id": ids[has], "occurred_at": signed, "kind": "papers"})
    activities = pd.concat([papers, visits])
    activities["occurred_at"] = written_as(activities["occurred_at"])
    return write_project(
        folder, leads=leads.to_csv(index=False), outcomes=outcomes.to_csv(index=False),
        activities=activities.to_csv(index=False), in_activities='kind = "kind"', in_outcomes=TABLE,
        sections=SNAPSHOTS,
    )  # fmt: skip


def trained(folder, before_the_win: str):
    dataset = read(written(folder, before_the_win), datetime(2023, 12, 31))
    prepared = prepare(dataset)
    vocabulary = featuring.learn_vocabulary(dataset, prepared, featuring.settings(dataset.config))
    features = featuring.features_of(dataset, prepared.snapshots, vocabulary)
    examples = Examples(features, prepared.keys, None)
    bundle = learn(
        examples, vocabulary, featuring.about(dataset.config), Choices(members=2, threads=1)
    ).bundle
    return dataset, prepared, bundle


@pytest.fixture(scope="module")
def leaping(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("leaping"), "30min")


def test_a_kind_recorded_half_an_hour_before_the_win_makes_the_margin_leap(leaping):
    found = replay(*leaping)
    margins = {m.before: m.margin_won for m in found.moments}
    assert margins["5m"] - margins["1h"] > 2
    assert found.concept == "activity.papers"
    assert found.finding.startswith("Within the last hour the margin of won leads leaps by")
    assert "activity.papers" in found.finding
    assert [m.before for m in found.moments][-2:] == ["1h", "5m"]
    assert found.moments[-1].auc > 0.85


def test_a_kind_of_hours_before_is_learned_from_and_is_no_leap(tmp_path):
    found = replay(*trained(tmp_path, "6h"))
    assert found.finding == ""
    assert found.moments[-1].auc > 0.85


def test_leads_that_the_model_was_fitted_on_are_not_replayed(leaping):
    dataset, prepared, bundle = leaping
    unseen = set(prepared.rows("decision", "test", "test_by_age")["lead_id"])
    unseen -= set(prepared.rows("train", "stopping", "calibration")["lead_id"])
    # As where leads stay open for long: some of those trained on are in the test window too.
    again = prepared.rows("train").head(200).assign(window="test")
    prepared = replace(prepared, keys=pd.concat([prepared.keys, again]))
    last = replay(dataset, prepared, bundle, most=2000).moments[-1]
    assert last.won + last.others == len(unseen)  # all of them were closed in the end
    assert replay(dataset, prepared, bundle, most=30).moments[-1].won == 30
    assert replay(dataset, prepared, bundle, most=5) is None


def test_moments_before_a_lead_began_are_not_replayed(leaping):
    found = replay(*leaping)
    # A win comes after a day and 20 minutes: 3 days before, nobody was there; losses come on the fifth day.
    there = {m.before: (m.won > 0, m.others > 0) for m in found.moments}
    assert there["30d"] == there["7d"] == (False, False)
    assert there["3d"] == (False, True)
    assert there["1d"] == (True, True)
    assert len(found.moments) == len(OFFSETS)
    assert found.moments[0].auc is None


def test_one_leads_margin_is_replayed_while_it_was_open(leaping):
    dataset, _, bundle = leaping
    # Lead 3 was created at 18:00 on the 1st and won at 18:20 on the 2nd; papers came at 17:50.
    days = [
        datetime(2023, 1, 1, 17),
        datetime(2023, 1, 2, 12),
        datetime(2023, 1, 2, 18),
        datetime(2023, 1, 2, 19),
    ]
    found = replay_lead(dataset, bundle, "3", days)
    assert found["as_of"].tolist() == [pd.Timestamp(2023, 1, 2, 12), pd.Timestamp(2023, 1, 2, 18)]
    assert found["margin"][1] - found["margin"][0] > 2
    assert found["propensity"].between(0, 1).all()
    assert replay_lead(dataset, bundle, "3", days[:1]).empty


def test_an_unknown_lead_is_named(leaping):
    dataset, _, bundle = leaping
    with pytest.raises(DataError, match="There is no lead '9999'"):
        replay_lead(dataset, bundle, "9999", [datetime(2023, 2, 1)])
