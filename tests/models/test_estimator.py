"""`LeadClassifier`: what it promises to those who train with it, score with it and store it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from features.errors import BundleError, ConfigurationError, DataError, UnsupportedData
from models.boosting import Grower, Rows
from models.defaults import settings_for
from models.estimator import LeadClassifier

AWKWARD = ["visits, last 7 days", 'size "band"', "score[0]:{x}", "prénom ☂ 客户"]


def leads(n: int = 600, seed: int = 0, names: list[str] | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """Log-odds -1 + visits + 0.8 if large, - 0.8 if small; `noise` and `flat` mean nothing."""
    rng = np.random.default_rng(seed)
    visits = rng.normal(size=n)
    size = rng.choice(["small", "middle", "large"], n)
    odds = -1 + visits + 0.8 * (size == "large") - 0.8 * (size == "small")
    y = (rng.random(n) < expit(odds)).astype(int)
    visits[rng.random(n) < 0.1] = np.nan
    frame = pd.DataFrame(
        {
            "visits": visits,
            "size": pd.Categorical(size, categories=["small", "middle", "large"]),
            "noise": rng.normal(size=n),
            "flat": 1.0,
        }
    )
    return frame.set_axis(names or list(frame), axis=1), y


@pytest.fixture(scope="module")
def fitted() -> LeadClassifier:
    X, y = leads()
    return LeadClassifier(members=4).fit(X, y)


def small(**given: object) -> LeadClassifier:
    return LeadClassifier(**({"members": 2, "max_rounds": 30} | given))


def test_it_learns_what_there_is_to_learn(fitted: LeadClassifier) -> None:
    X, y = leads(2000, seed=1)
    auc = roc_auc_score(y, fitted.margin(X))
    assert auc > 0.74  # the true log-odds reach 0.80, less what the missing visits hide


def test_the_margin_is_the_mean_of_the_members_and_the_probability_its_logistic(
    fitted: LeadClassifier,
) -> None:
    X, _ = leads(50, seed=2)
    members = fitted.member_margins(X)
    assert members.shape == (50, 4)
    assert np.ptp(members, axis=1).min() > 0  # each saw another bootstrap
    np.testing.assert_array_equal(fitted.margin(X), members.mean(axis=1))
    np.testing.assert_allclose(fitted.predict_proba(X)[:, 1], expit(members.mean(axis=1)))
    np.testing.assert_array_equal(fitted.predict(X), (members.mean(axis=1) > 0).astype(int))


def test_contributions_add_up_to_the_margin(fitted: LeadClassifier) -> None:
    X, _ = leads(200, seed=3)
    parts = fitted.contributions(X)
    assert list(parts) == list(X)
    assert parts.index.equals(X.index)
    np.testing.assert_allclose(fitted.base_value_ + parts.sum(axis=1), fitted.margin(X), atol=1e-9, rtol=0)
    assert (parts["flat"] == 0).all()


def expected_margin(node: dict, row: np.ndarray, known: frozenset[int]) -> float:
    """A tree's value when only the features in `known` are known: others follow the training rows."""
    if "leaf_value" in node:
        return node["leaf_value"]
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        return expected_margin(left if goes_left(node, row[node["split_feature"]]) else right, row, known)
    rows = [child.get("leaf_count", child.get("internal_count")) for child in (left, right)]
    values = [expected_margin(child, row, known) for child in (left, right)]
    return float(np.average(values, weights=rows))


def goes_left(node: dict, value: float) -> bool:
    if node["decision_type"] == "==":
        return not np.isnan(value) and str(int(value)) in node["threshold"].split("||")
    return node["default_left"] if np.isnan(value) else value <= node["threshold"]


def test_contributions_are_shapley_values() -> None:
    # By definition: the mean, over all orders in which 4 features become known, of what each adds.
    X, y = leads(300)
    model = small(max_rounds=10).fit(X, y)
    row = np.array([X["visits"].iloc[3], X["size"].cat.codes.iloc[3], X["noise"].iloc[3], 1.0])
    trees = [t["tree_structure"] for b in model.boosters_ for t in b.dump_model()["tree_info"]]
    total = np.zeros(4)
    for order in permutations(range(4)):
        known = [frozenset(order[:taken]) for taken in range(5)]
        sums = [sum(expected_margin(tree, row, k) for tree in trees) for k in known]
        total[list(order)] += np.diff(sums)
    parts = model.contributions(X.iloc[[3]]).to_numpy()[0]
    np.testing.assert_allclose(parts, total / 24 / model.members, atol=1e-9)


def test_texts_restore_the_same_model_to_the_bit() -> None:
    X, y = leads(names=AWKWARD)
    model = small(directions={AWKWARD[0]: 1}).fit(X, y)
    texts = model.to_texts()
    again = LeadClassifier.from_texts(texts)
    assert all(isinstance(text, str) for text in texts.values())
    np.testing.assert_array_equal(again.member_margins(X), model.member_margins(X))
    pd.testing.assert_frame_equal(again.contributions(X), model.contributions(X), check_exact=True)
    assert again.base_value_ == model.base_value_
    assert again.get_params() == model.get_params()
    assert again.to_texts() == texts


@pytest.mark.parametrize("name", ["model.json", "member_01.txt"])
@pytest.mark.parametrize("damage", ["remove", "cut"])
def test_damaged_texts_are_refused(name: str, damage: str) -> None:
    X, y = leads(200)
    texts = small(max_rounds=5).fit(X, y).to_texts()
    if damage == "remove":
        del texts[name]
    else:
        texts[name] = texts[name][: len(texts[name]) // 3]
    with pytest.raises(BundleError, match="cannot be read"):
        LeadClassifier.from_texts(texts)


def test_lightgbm_never_sees_a_text_that_was_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = leads(200)
    texts = small(max_rounds=5).fit(X, y).to_texts()
    seen: list[str] = []
    monkeypatch.setattr(
        "lightgbm.Booster", lambda model_str: seen.append(model_str)
    )  # a cut text ends the process
    with pytest.raises(BundleError, match="digest does not match"):
        LeadClassifier.from_texts(texts | {"member_01.txt": texts["member_01.txt"][:-50]})
    with pytest.raises(BundleError, match="cannot be read"):
        LeadClassifier.from_texts(texts | {"member_01.txt": None})
    assert not seen


def test_same_seed_same_bits_and_threads_change_nothing() -> None:
    X, y = leads()
    one = small(threads=1).fit(X, y).member_margins(X)
    np.testing.assert_array_equal(small(threads=2).fit(X, y).member_margins(X), one)
    assert not np.array_equal(small(threads=1, seed=1).fit(X, y).member_margins(X), one)


def test_training_and_scoring_say_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    X, y = leads(120)
    small(leaf_size=59).fit(X, y, stopping=leads(60, seed=1)).contributions(X)
    assert capfd.readouterr() == ("", "")


def test_it_is_a_scikit_learn_estimator() -> None:
    model = LeadClassifier(members=3, directions={"visits": 1}, depth=2)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    assert copy.set_params(seed=5).seed == 5
    X, y = leads(200)
    fit = copy.set_params(max_rounds=5).fit(X, y)
    assert list(fit.feature_names_in_) == list(X)
    assert fit.n_features_in_ == 4
    assert fit.classes_.tolist() == [0, 1]


def test_column_order_and_extra_columns_do_not_matter(fitted: LeadClassifier) -> None:
    X, _ = leads(30, seed=4)
    shuffled = X[["flat", "noise", "size", "visits"]].assign(owner="x")
    np.testing.assert_array_equal(fitted.margin(shuffled), fitted.margin(X))


def test_levels_are_read_by_name_not_by_position(fitted: LeadClassifier) -> None:
    X, _ = leads(30, seed=4)
    other = X.assign(size=X["size"].cat.set_categories(["new", "large", "small", "middle"]))
    np.testing.assert_array_equal(fitted.margin(other), fitted.margin(X))


def test_an_unseen_level_counts_as_missing(fitted: LeadClassifier) -> None:
    X, _ = leads(10, seed=4)
    unseen = X.assign(size=pd.Categorical(["enterprise"] * 10))
    missing = X.assign(size=pd.Categorical([None] * 10, categories=["small", "middle", "large"]))
    np.testing.assert_array_equal(fitted.margin(unseen), fitted.margin(missing))
    assert np.isfinite(fitted.margin(unseen)).all()


def test_missing_and_changed_columns_are_named(fitted: LeadClassifier) -> None:
    X, _ = leads(10)
    with pytest.raises(BundleError, match=r"2 columns .* missing(.|\n)*size, noise"):
        fitted.margin(X.drop(columns=["size", "noise"]))
    with pytest.raises(BundleError, match=r"visits \(was number, is str\)"):
        fitted.margin(X.assign(visits="many"))
    with pytest.raises(BundleError, match=r"size \(was category, is float64\)"):
        fitted.contributions(X.assign(size=1.0))


def test_no_rows_give_no_scores(fitted: LeadClassifier) -> None:
    X, _ = leads(10)
    assert fitted.member_margins(X.iloc[:0]).shape == (0, 4)
    assert fitted.contributions(X.iloc[:0]).shape == (0, 4)


def test_a_direction_is_kept() -> None:
    rng = np.random.default_rng(0)
    wave = rng.uniform(-3, 3, 800)
    y = (rng.random(800) < expit(2 * np.sin(wave))).astype(int)  # rises, then falls
    grid = pd.DataFrame({"wave": np.linspace(-3, 3, 100)})
    X = pd.DataFrame({"wave": wave})
    free = small(depth=3).fit(X, y).margin(grid)
    rising = small(depth=3, directions={"wave": 1}).fit(X, y).margin(grid)
    falling = small(depth=3, directions={"wave": -1}).fit(X, y).margin(grid)
    assert np.diff(free).min() < 0 < np.diff(free).max()
    assert np.diff(rising).min() >= 0
    assert np.diff(falling).max() <= 0


@pytest.mark.parametrize(
    ("directions", "said"),
    [
        ({"visit": 1}, "Did you mean 'visits'"),
        ({"size": 1}, "which is a category"),  # LightGBM would end the process here
        ({"visits": 2}, "'visits' is 2"),
    ],
)
def test_a_direction_that_cannot_hold_is_refused(directions: dict[str, int], said: str) -> None:
    X, y = leads(100)
    with pytest.raises(ConfigurationError, match=said):
        small(directions=directions).fit(X, y)


@pytest.mark.parametrize("parameter", ["members", "threads", "max_rounds", "depth", "leaf_size"])
def test_parameters_below_one_are_refused(parameter: str) -> None:
    X, y = leads(100)
    with pytest.raises(ConfigurationError, match=f"{parameter} is 0"):
        LeadClassifier(**{parameter: 0}).fit(X, y)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_not_enough(label: int) -> None:
    X, _ = leads(50)
    with pytest.raises(UnsupportedData, match=f"only label {label} in 50 rows"):
        small().fit(X, np.full(50, label))


def test_data_that_cannot_be_read_is_refused() -> None:
    X, y = leads(50)
    with pytest.raises(DataError, match="neither 0 nor 1"):
        small().fit(X, y + 1)
    with pytest.raises(DataError, match=r"note \(str\)"):
        small().fit(X.assign(note="text"), y)
    with pytest.raises(DataError, match=r"occur twice: visits"):
        small().fit(pd.concat([X, X[["visits"]]], axis=1), y)
    with pytest.raises(DataError, match="different lengths"):
        small().fit(X, y[:-1])
    with pytest.raises(DataError, match="sample weight"):
        small().fit(X, y, sample_weight=np.zeros(50))


def test_an_unfitted_model_says_so() -> None:
    with pytest.raises(BundleError, match="not been trained"):
        LeadClassifier().margin(leads(5)[0])


def test_nothing_to_learn_gives_the_base_rate() -> None:
    X = pd.DataFrame({"flat": np.ones(400), "empty": np.nan})
    y = np.arange(400) % 4 == 0
    # 100 of 400 won; leads that won and others are drawn apart, so every member sees 1 : 3
    np.testing.assert_allclose(small().fit(X, y).margin(X), np.log(1 / 3), atol=1e-6)


def test_a_handful_of_wins_stays_near_the_base_rate() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 20)))
    X.columns = X.columns.astype(str)
    y = (np.arange(300) < 6).astype(int)  # 6 of 300 won, whatever the features say
    margin = LeadClassifier().fit(X, y).margin(X)
    assert abs(margin.mean() - np.log(6 / 294)) < 0.3
    assert margin.std() < 0.5


def test_the_stopping_slice_is_learned_from_too() -> None:
    X, y = leads(300)
    later = leads(200, seed=5)
    model = small().fit(X, y, stopping=later)
    assert model.wins_ == y.sum() + later[1].sum()
    odd = small().fit(X, y, stopping=(later[0], np.zeros(200)))
    assert odd.wins_ == y.sum()
    assert odd.margin(X).mean() < model.margin(X).mean()


def test_held_out_loss_stops_the_boosting() -> None:
    X, y = leads(400)
    noise = np.random.default_rng(0).permutation(y)  # labels that no feature explains
    assert LeadClassifier(members=4).fit(X, noise).rounds_ <= 40
    assert LeadClassifier(members=4).fit(X, y).rounds_ > 40


def test_members_draw_whole_leads_and_keep_the_number_of_wins() -> None:
    lead = np.repeat(np.arange(60), [1, 2, 3] * 20)
    y = (lead < 20).astype(float)  # 20 of 60 leads won
    rows = Rows(np.zeros((len(lead), 1)), y, lead, np.ones(len(lead)))
    grower = Grower(settings_for(20), [], [0], seed=0, members=2, threads=1)
    drawn = [pd.Series(grower.drawn(rows, member)).groupby(lead) for member in (0, 1)]
    for times in drawn:
        assert (times.nunique() == 1).all()  # a lead's rows come together
        assert times.first()[:20].sum() == 20
        assert times.first()[20:].sum() == 40
    assert not drawn[0].first().equals(drawn[1].first())


def test_wins_are_leads_not_rows() -> None:
    X, _ = leads(60)
    lead = np.repeat(np.arange(20), 3)
    assert small(max_rounds=3).fit(X, (lead < 7).astype(int), groups=lead).wins_ == 7


@pytest.mark.parametrize(("wins", "depth"), [(5, 2), (100, 3), (5000, 3), (20000, 4)])
def test_depth_follows_the_wins(wins: int, depth: int) -> None:
    assert settings_for(wins).depth == depth


def test_what_is_given_is_kept() -> None:
    X, y = leads(200)
    model = small(depth=1, leaf_size=33, learning_rate=0.2).fit(X, y)
    assert (model.settings_.depth, model.settings_.leaf_size, model.settings_.learning_rate) == (1, 33, 0.2)
    assert model.settings_.penalty == settings_for(int(y.sum())).penalty


NAMES = st.lists(st.text(min_size=1, max_size=12), min_size=4, max_size=4, unique=True)


@settings(max_examples=15, deadline=None)
@given(names=NAMES)
def test_any_column_name_works(names: list[str]) -> None:
    X, y = leads(80, names=names)
    model = small(max_rounds=3, directions={names[0]: 1}).fit(X, y)
    again = LeadClassifier.from_texts(model.to_texts())
    np.testing.assert_array_equal(again.margin(X), model.margin(X))
    assert list(model.contributions(X)) == names
