"""The choice among calibrators: later leads judge, and the simpler one wins a tie."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss

from features.errors import DataError, UnsupportedData
from models.calibration import _rolling, _verdict, choose
from models.calibrators import Platt


def leads(truth, n=3000, seed=0):
    """Return margin, label, group, as_of: two snapshots a lead, of which `truth` gives the propensity."""
    random = np.random.default_rng(seed)
    lead = np.repeat(np.arange(n), 2)
    margin = random.normal(-1, 1.5, n)[lead]
    label = (random.random(n) < truth(margin[::2])).astype(int)[lead]
    day = lead // 30 + np.tile([0, 7], n)
    return margin, label, lead, np.datetime64("2025-01-01") + day


@pytest.mark.parametrize(
    ("method", "truth"),
    [
        ("none", expit),
        ("platt", lambda m: expit(0.4 * m - 1)),
        ("isotonic", lambda m: np.where(m < -1, 0.05, np.where(m < 0.5, 0.2, 0.9))),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_the_method_that_the_truth_needs_is_chosen(method, truth, timed):
    margin, label, group, as_of = leads(truth)

    chosen = choose(margin, label, group, as_of if timed else None)

    assert chosen.method == chosen.calibrator.name == method
    assert chosen.evidence["split"] == ("rolling" if timed else "folds")
    assert np.abs(chosen.calibrator.predict(margin) - truth(margin)).mean() < 0.025


def test_the_simpler_wins_within_one_standard_error():
    # Four leads of one snapshot. Losses: none 0.5 0.5 0.5 0.5; platt 0.1 0.1 0.6 0.6.
    # Platt is better by 0.15 on average; differences 0.4 0.4 -0.1 -0.1, deviations +-0.25,
    # standard error sqrt(4/3 * 4 * 0.0625) / 4 = 0.1443 < 0.15: platt. With 0.62 for 0.6 the mean
    # difference is 0.14, deviations +-0.26, standard error 0.1501 > 0.14: none.
    none, group, label = np.full(4, 0.5), np.arange(4), np.array([0.0, 1, 0, 1])

    def judged(last):
        losses = {"none": none, "platt": np.array([0.1, 0.1, last, last]), "isotonic": none + 1}
        return _verdict(losses, np.ones(4), group, label)

    method, evidence = judged(0.6)
    assert method == "platt"
    assert evidence["methods"]["none"] == pytest.approx(
        {"log_loss": 0.5, "difference": 0.15, "standard_error": 0.1443}, abs=1e-4
    )
    method, evidence = judged(0.62)
    assert (method, evidence["best"]) == ("none", "platt")


def test_rows_of_one_lead_are_one_piece_of_evidence():
    # The same losses twice over for the same four leads: as uncertain as before.
    losses = {"none": np.full(4, 0.5), "platt": np.array([0.1, 0.1, 0.6, 0.6])}
    once = _verdict(losses, np.ones(4), np.arange(4), np.zeros(4))[1]

    twice = {name: np.tile(loss, 2) for name, loss in losses.items()}
    again = _verdict(twice, np.ones(8), np.tile(np.arange(4), 2), np.zeros(8))[1]

    assert again["methods"] == once["methods"]
    assert (again["snapshots"], again["groups"]) == (8, 4)


@settings(max_examples=80, deadline=None)
@given(
    data=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), min_size=2, max_size=60),
    splits=st.integers(1, 5),
)
def test_leads_are_judged_later_than_those_fitted_on_and_never_both(data, splits):
    group = np.unique([row[0] for row in data], return_inverse=True)[1]
    time = np.array([row[1] for row in data])
    judged = []
    for fit, judge in _rolling(group, time, splits):
        assert not set(group[fit]) & set(group[judge])
        assert len(judge)
        assert time[fit].max() < time[judge].min()
        judged.extend(judge)
    assert len(judged) == len(set(judged))


def test_a_lead_is_placed_by_its_first_snapshot_however_long_it_stays_open():
    # Four leads come in on days 1 to 4; the first is seen again on day 9. One split in the middle:
    # its first snapshot is fitted on, its second is later than the start of judging and left out.
    group = np.array([0, 1, 2, 3, 0])
    time = np.array([1, 2, 3, 4, 9])

    ((fit, judge),) = _rolling(group, time, 1)

    assert (fit.tolist(), judge.tolist()) == ([0, 1], [2, 3])


def test_the_evidence_is_the_log_loss_on_the_later_leads():
    margin, label, group, as_of = leads(expit, n=400)

    evidence = choose(margin, label, group, as_of, splits=1).evidence

    ((fit, judge),) = _rolling(group, np.unique(as_of, return_inverse=True)[1], 1)
    platt = Platt().fit(margin[fit], label[fit])
    expected = log_loss(label[judge], platt.predict(margin[judge]))
    assert evidence["methods"]["platt"]["log_loss"] == pytest.approx(expected)
    assert evidence["snapshots"] == len(judge)
    assert evidence["groups"] == len(np.unique(group[judge]))
    assert evidence["won"] == label[judge].sum()
    assert json.loads(json.dumps(evidence)) == evidence


@pytest.mark.parametrize("timed", [True, False])
def test_the_choice_is_the_same_each_time_and_whatever_the_order_of_rows(timed):
    data = leads(expit, n=300)
    order = np.random.default_rng(3).permutation(600)

    first, second, third = (
        choose(*(column[rows] if timed or i < 3 else None for i, column in enumerate(data)))
        for rows in (slice(None), slice(None), order)
    )

    assert first.evidence == second.evidence
    assert first.calibrator.to_dict() == second.calibrator.to_dict()
    assert third.method == first.method


def test_rows_that_weigh_nothing_do_not_count():
    margin, label, group, as_of = leads(expit, n=200)
    noise = np.r_[np.zeros(400), np.ones(400)]

    chosen = choose(
        np.r_[margin, -margin], np.r_[label, label], np.r_[group, group], np.r_[as_of, as_of], 1 - noise
    )

    assert chosen.evidence == choose(margin, label, group, as_of).evidence


def test_one_date_for_all_is_split_by_lead():
    margin, label, group, as_of = leads(expit, n=200)

    assert choose(margin, label, group, np.full_like(as_of, as_of[0])).evidence["split"] == "folds"


def test_fall_backs_are_in_the_evidence():
    margin, label, group, as_of = leads(lambda m: expit(-m), n=400)

    chosen = choose(margin, label, group, as_of)

    assert chosen.method == "platt"
    notes = chosen.evidence["notes"]
    assert any(note.startswith("platt, in 4 of 4 splits: a higher margin") for note in notes)
    assert any(note.startswith("platt, on the whole window") for note in notes)


def test_without_a_usable_split_nothing_is_calibrated_and_it_says_so():
    # The only win is in the last lead: nothing to fit on before it.
    chosen = choose([0, 1, 2, 3], [0, 0, 0, 1], [1, 2, 3, 4], [1, 2, 3, 4], splits=1)

    assert chosen.method == "none"
    assert chosen.evidence["methods"] == {}
    assert chosen.evidence["notes"] == ["1 of 1 splits had too few wins to fit on"]


def test_one_class_and_missing_keys_are_refused():
    with pytest.raises(UnsupportedData):
        choose([0, 1], [1, 1], [1, 2], None)
    with pytest.raises(DataError, match="has a time"):
        choose([0, 1], [0, 1], [1, 2], np.array(["2025-01-01", "NaT"], dtype="datetime64[s]"))
    with pytest.raises(DataError, match="has a group"):
        choose([0, 1], [0, 1], np.array(["a", None], dtype=object), None)


def test_isotonic_is_tried_only_with_enough_leads_that_won():
    # A truth in steps, which isotonic would win. 0.05, 0.2 and 0.9 by thirds: about 1 lead in 3 wins.
    steps = lambda m: np.where(m < -1, 0.05, np.where(m < 0.5, 0.2, 0.9))  # noqa: E731
    margin, label, group, as_of = leads(steps)
    few = group < 200  # some 100 winners among them, shared out to fewer leads than needed below
    few &= (np.bincount(group, weights=label) == 0)[group] | (group < 100)

    chosen = choose(margin[few], label[few], group[few], as_of[few])

    assert "isotonic" not in chosen.evidence["methods"]
    assert any("isotonic was not tried" in note for note in chosen.evidence["notes"])
    assert "isotonic" in choose(margin, label, group, as_of).evidence["methods"]
