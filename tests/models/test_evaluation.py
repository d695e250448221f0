"""Metrics by hand and against scikit-learn; intervals from resampled leads, paired between models."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics as sk

from features.errors import ConfigurationError, DataError
from models import evaluation as ev

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12), st.integers(0, 3)),
    min_size=2,
    max_size=50,
)


def columns(data):
    y, p, w = (np.array(column, dtype=float) for column in zip(*data, strict=True))
    y[0], y[-1], w[0], w[-1] = 0, 1, 1, 1
    return y, p, w


@settings(max_examples=150, deadline=None)
@given(data=rows)
def test_weighted_metrics_agree_with_scikit_learn(data):
    y, p, w = columns(data)
    inner = p.clip(0.01, 0.99)

    assert ev.auc(y, p, w) == pytest.approx(sk.roc_auc_score(y, p, sample_weight=w))
    assert ev.average_precision(y, p, w) == pytest.approx(sk.average_precision_score(y, p, sample_weight=w))
    assert ev.log_loss(y, inner, w) == pytest.approx(sk.log_loss(y, inner, sample_weight=w))
    assert ev.brier(y, p, w) == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w))
    picked = p >= 0.5
    if (w * picked).sum() > 0:
        precision, recall = ev.precision_recall(y, picked, w)
        assert precision == pytest.approx(sk.precision_score(y, picked, sample_weight=w))
        assert recall == pytest.approx(sk.recall_score(y, picked, sample_weight=w))


@settings(max_examples=80, deadline=None)
@given(data=rows)
def test_a_weight_of_k_is_the_row_k_times(data):
    y, p, w = columns(data)
    times = w.astype(int)

    for metric in (ev.auc, ev.average_precision, ev.log_loss, ev.brier, ev.lift_at_10):
        assert metric(y, p, w) == pytest.approx(metric(np.repeat(y, times), np.repeat(p, times)))


def test_metrics_by_hand():
    # propensity  0.9  0.6  0.6  0.2      label  1  0  1  0
    y, p = [1, 0, 1, 0], [0.9, 0.6, 0.6, 0.2]
    # Pairs of a win and a loss: 0.9 > 0.6, 0.9 > 0.2, 0.6 = 0.6 (half), 0.6 > 0.2: 3.5 of 4.
    assert ev.auc(y, p) == 3.5 / 4
    # Recall steps: 1/2 at precision 1, then 1/2 at precision 2/3.
    assert ev.average_precision(y, p) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert ev.log_loss(y, p) == pytest.approx(-np.log([0.9, 0.4, 0.6, 0.8]).mean())
    # Squared errors 0.01, 0.36, 0.16, 0.04.
    assert ev.brier(y, p) == pytest.approx(0.57 / 4)
    # Three bins, the tie in one: |0.9 - 1| / 4 + |1.2 - 1| / 4 + |0.2 - 0| / 4.
    assert ev.calibration_error(y, p) == pytest.approx(0.5 / 4)
    # The top tenth is 0.4 of the first row: it converts, 1 / 0.5.
    assert ev.lift_at_10(y, p) == 2.0
    # At 0.6 three are selected, two of them convert, of two that do.
    assert ev.precision_recall(y, np.array(p) >= 0.6) == (pytest.approx(2 / 3), 1.0)


def test_calibration_error_over_ten_bins_of_equal_count():
    # 20 rows, two a bin; propensities 0.025, 0.075 ... ; all labels 0: each bin errs by its mean
    # propensity, in all the overall mean 0.5. With the upper ten 1, errors mirror: mean |p - y| = 0.25.
    p = (np.arange(20) + 0.5) / 20

    assert ev.calibration_error(np.zeros(20), p) == pytest.approx(0.5)
    assert ev.calibration_error(p > 0.5, p) == pytest.approx(0.25)
    # Within a bin errors cancel: 0 and 1 at 0.5 each.
    assert ev.calibration_error(np.tile([0, 1], 10), np.full(20, 0.5)) == 0.0


def test_lift_counts_a_tie_at_the_end_of_the_tenth_by_its_expected_value():
    # 20 rows: the tenth is 2. One row at 0.9 (won), then four at 0.5 of which one won: the second place
    # is a win with chance 1/4. Base rate 2/20. Lift (1 + 0.25) / 2 / 0.1 = 6.25.
    y = np.r_[1, 1, 0, 0, 0, np.zeros(15)]
    p = np.r_[0.9, [0.5] * 4, [0.1] * 15]

    assert ev.lift_at_10(y, p) == pytest.approx(6.25)
    broken = [np.mean(np.r_[1, np.array(order)][:2]) / 0.1 for order in itertools.permutations([1, 0, 0, 0])]
    assert ev.lift_at_10(y, p) == pytest.approx(np.mean(broken))


@settings(max_examples=40, deadline=None)
@given(data=rows, constant=st.floats(0.01, 0.99))
def test_a_constant_ranks_nobody(data, constant):
    y, _, w = columns(data)
    same = np.full(len(y), constant)

    assert ev.auc(y, same, w) == pytest.approx(0.5)
    assert ev.lift_at_10(y, same, w) == pytest.approx(1.0)
    rate = np.average(y, weights=w)
    assert ev.average_precision(y, same, w) == pytest.approx(rate)
    assert ev.calibration_error(y, same, w) == pytest.approx(abs(constant - rate))


def simulated(n=2000, a_lead=2, seed=5):
    random = np.random.default_rng(seed)
    lead = np.repeat(np.arange(n // a_lead), a_lead)
    margin = random.normal(-1, 1, n // a_lead)[lead]
    label = (random.random(n // a_lead) < expit(margin[::a_lead])).astype(int)[lead]
    models = {
        "propense": expit(margin),
        "noisy": expit(margin + random.normal(0, 1, n)),
        "base": np.full(n, 0.3),
    }
    return label, models, lead


def test_intervals_agree_with_resampling_the_rows_themselves():
    label, models, lead = simulated(400)
    found = ev.evaluate(label, models, lead, resamples=400, seed=1)

    random = np.random.default_rng(99)
    aucs, briers = [], []
    for _ in range(400):
        drawn = random.integers(0, 200, 200)
        taken = np.concatenate([2 * drawn, 2 * drawn + 1])
        aucs.append(sk.roc_auc_score(label[taken], models["noisy"][taken]))
        briers.append(sk.brier_score_loss(label[taken], models["noisy"][taken]))

    for metric, oracle in (("auc", aucs), ("brier", briers)):
        low, high = np.quantile(oracle, [0.05, 0.95])
        assert found[metric]["noisy"]["low"] == pytest.approx(low, abs=0.15 * (high - low))
        assert found[metric]["noisy"]["high"] == pytest.approx(high, abs=0.15 * (high - low))


def test_every_lead_is_drawn_once_on_average_with_all_its_rows():
    weight = np.concatenate(list(ev._resamples(np.array([0, 1, 1, 2, 3]), 4000, seed=0)))

    assert (weight[:, 1] == weight[:, 2]).all()
    assert (weight[:, [0, 1, 3, 4]].sum(axis=1) == 4).all()
    # A count of 4 draws of 1 in 4 varies by 0.87; the mean of 4000 by 0.014.
    assert weight.mean(axis=0) == pytest.approx(1.0, abs=0.06)


def test_an_interval_leaves_the_same_share_of_resamples_out_at_each_end():
    label, models, lead = simulated(400)
    evaluation = ev.evaluation(label, models, lead, level=0.8)

    samples = evaluation.samples["auc"]["noisy"]
    interval = evaluation.intervals()["auc"]["noisy"]
    assert [interval["low"], interval["high"]] == pytest.approx(np.quantile(samples, [0.1, 0.9]))


def test_rows_of_one_lead_do_not_make_the_interval_narrower():
    label, models, lead = simulated(400)

    def width(groups):
        found = ev.evaluate(label, {"it": models["propense"]}, groups)["brier"]["it"]
        return found["high"] - found["low"]

    # Two equal rows a lead: by lead the interval is sqrt(2) as wide as if the rows were leads.
    assert width(lead) == pytest.approx(np.sqrt(2) * width(np.arange(400)), rel=0.2)


def test_every_value_is_in_its_interval_and_equals_the_metric():
    label, models, lead = simulated()
    found = ev.evaluate(label, models, lead, selected={"propense": models["propense"] > 0.5})

    assert set(found) == {*ev.METRICS, *ev.AT_CUTOFF}
    for metric in ev.METRICS:
        assert list(found[metric]) == list(models)
        for name, p in models.items():
            assert found[metric][name]["value"] == pytest.approx(getattr(ev, metric)(label, p))
    for of in found.values():
        for interval in of.values():
            assert interval["low"] <= interval["value"] <= interval["high"]
    assert list(found["precision"]) == ["propense"]
    assert found["auc"]["base"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_calibration_error_of_a_perfect_model_is_not_reported_as_worse_than_seen():
    # Resamples are noisier than the sample: their own percentiles would all be above the value.
    label, models, lead = simulated(a_lead=1)

    evaluation = ev.evaluation(label, models, lead)
    found = evaluation.intervals()["calibration_error"]["propense"]

    resampled = evaluation.samples["calibration_error"]["propense"]
    assert resampled.mean() > found["value"]
    assert found["low"] < np.quantile(resampled, 0.05)
    assert found["high"] < np.quantile(resampled, 0.95)


def test_differences_are_paired():
    label, models, lead = simulated()
    evaluation = ev.evaluation(label, {**models, "twin": models["propense"]}, lead)

    same = evaluation.difference("propense", "twin")
    assert all(interval == {"value": 0.0, "low": 0.0, "high": 0.0} for interval in same.values())
    better = evaluation.difference("propense", "noisy")["auc"]
    alone = evaluation.intervals()["auc"]["propense"]
    assert 0 < better["low"] < better["value"] < better["high"]
    assert better["high"] - better["low"] < alone["high"] - alone["low"]
    with pytest.raises(ConfigurationError, match="Did you mean 'propense'"):
        evaluation.difference("propens", "noisy")


def test_the_same_seed_gives_the_same_intervals_whatever_the_chunk(monkeypatch):
    label, models, lead = simulated(200)
    first = ev.evaluate(label, models, lead, resamples=50, seed=3)

    monkeypatch.setattr(ev, "_CHUNK", 200 * 7)

    again = ev.evaluate(label, models, lead, resamples=50, seed=3)
    for metric, of in first.items():
        for name, interval in of.items():
            assert again[metric][name] == pytest.approx(interval, abs=1e-12)
    assert ev.evaluate(label, models, lead, resamples=50, seed=4) != first


def test_what_is_not_defined_is_null():
    found = ev.evaluate([0, 0, 0], {"it": [0.1, 0.2, 0.3]}, [1, 2, 3], selected={"it": [False] * 3})

    nothing = {"value": None, "low": None, "high": None}
    for metric in ("auc", "average_precision", "lift_at_10", "precision", "recall"):
        assert found[metric]["it"] == nothing
    assert found["brier"]["it"]["value"] == pytest.approx(0.14 / 3)


def test_by_age_is_evaluate_on_the_rows_of_each_age():
    label, models, lead = simulated(400)
    age = np.tile(["1h", "1d"], 200)

    found = ev.by_age(label, models, lead, age, resamples=20)

    young = slice(0, None, 2)
    alone = ev.evaluate(
        label[young], {name: p[young] for name, p in models.items()}, lead[young], resamples=20
    )
    assert list(found) == ["1h", "1d"]
    assert found["1h"] == alone


@pytest.mark.parametrize(
    ("label", "propensity", "groups"),
    [
        ([], [], []),
        ([0, 1], [0.5], [1, 2]),
        ([0, 1], [0.5, 0.5], [1]),
        ([0, 2], [0.5, 0.5], [1, 2]),
        ([0, np.nan], [0.5, 0.5], [1, 2]),
        ([0, 1], [0.5, 1.5], [1, 2]),
        ([0, 1], [0.5, np.nan], [1, 2]),
        ([0, 1], [0.5, 0.5], [1, None]),
    ],
)
def test_what_cannot_be_evaluated_is_refused(label, propensity, groups):
    with pytest.raises(DataError):
        ev.evaluate(label, {"it": propensity}, groups)


def test_four_models_on_20_000_rows_with_300_resamples_take_seconds():
    label, models, lead = simulated(20_000)
    models = {**models, "rules": np.round(models["noisy"], 2)}
    start = time.perf_counter()

    ev.evaluate(label, models, lead, resamples=300)

    assert time.perf_counter() - start < 60  # about 5 s on an idle core
