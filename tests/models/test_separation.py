"""How well one column alone tells won from not won."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from models.separation import (
    MISSING,
    Codes,
    auc_alone,
    folds_of,
    lower_bound,
    pure_values,
    rates,
    what_each_adds,
)


def coded(values: pd.Series) -> tuple[np.ndarray, int]:
    codes = Codes.fit(values)
    return codes.of(values), codes.size


def alone(values, won) -> float:
    code, size = coded(pd.Series(values))
    return auc_alone(code, won, folds_of(np.arange(len(code)).astype(str)), size)


def test_few_numbers_and_frequent_words_have_a_code_each_and_missing_is_0():
    numbers = Codes.fit(pd.Series([1.0, 2.0, 2.0, np.nan]))
    assert numbers.of(pd.Series([np.nan, 1.0, 2.0, 99.0])).tolist() == [MISSING, 1, 2, 3]
    words = Codes.fit(pd.Series(["web"] * 5 + ["fair"] * 5 + ["once", None]))
    # In alphabetical order: fair 1, web 2; "once" is rarer than 5 and shares the last code with all unseen.
    assert words.of(pd.Series(["web", "fair", "once", "new", None])).tolist() == [2, 1, 3, 3, MISSING]


def test_many_numbers_fall_into_bins_of_equal_count():
    code, size = coded(pd.Series(np.arange(1000.0)))
    counts = np.bincount(code, minlength=size)
    assert counts[MISSING] == 0
    assert set(counts[1:]) <= {49, 50, 51}


def test_a_codes_rate_is_shrunk_towards_the_overall_rate():
    # Overall 4/20 = 0.2. Code 1: (4 + 10 * 0.2) / (4 + 10) = 6/14; code 2: (0 + 2) / (16 + 10) = 2/26.
    code = np.array([1] * 4 + [2] * 16)
    found = rates(code, [1] * 4 + [0] * 16, 4)
    assert found == pytest.approx([0.2, 6 / 14, 2 / 26, 0.2])


def test_noise_separates_nothing_however_many_values_it_has():
    random = np.random.default_rng(1)
    won = random.random(4000) < 0.2
    assert alone(random.integers(0, 700, 4000).astype(str), won) == pytest.approx(0.5, abs=0.04)
    # Judged on the rows it was learned on, the same column would look strong.
    code, size = coded(pd.Series(random.integers(0, 700, 4000).astype(str)))
    assert roc_auc_score(won, rates(code, won, size)[code]) > 0.65


def test_a_number_separates_as_well_as_its_own_order_does():
    random = np.random.default_rng(2)
    won = random.random(5000) < 0.3
    value = won + random.normal(0, 1, 5000)
    assert alone(value, won) == pytest.approx(roc_auc_score(won, value), abs=0.02)
    # And as well where wins are in the middle, where an order would see nothing.
    middle = np.where(won, random.normal(0, 0.3, 5000), random.normal(0, 3, 5000))
    assert abs(roc_auc_score(won, middle) - 0.5) < 0.05
    assert alone(middle, won) > 0.85


def test_rows_of_one_group_share_a_fold():
    groups = pd.Series(["a", "b", "a", "c", "b"] * 20)
    assert pd.Series(folds_of(groups)).groupby(groups).nunique().eq(1).all()
    assert (folds_of(groups) == folds_of(groups[::-1])[::-1]).all()


def test_pure_values_are_purer_than_chance_and_have_enough_rows():
    # Overall 60/300 = 0.2. "deal": 40 of 40 won. "pair": 2 of 2, too few to tell. "trash": 0 of 150,
    # which chance does with 0.8^150 = 3e-15. The rest is mixed.
    values = pd.Series(["deal"] * 40 + ["pair"] * 5 + ["trash"] * 150 + ["rest"] * 105)
    won = [1] * 40 + [1] * 5 + [0] * 150 + [1] * 15 + [0] * 90
    codes = Codes.fit(values)
    found = {codes.name(p.code): (p.rows, p.won) for p in pure_values(codes.of(values), won, codes.size)}
    assert found == {"'trash'": (150, 0), "'deal'": (40, 40)}


def test_where_nearly_all_win_a_value_of_winners_is_no_news():
    values = pd.Series(["x"] * 30 + ["y"] * 270)
    won = [1] * 30 + [1] * 243 + [0] * 27
    codes = Codes.fit(values)
    # 273/300 = 0.91: 30 of 30 happen with 0.91^30 = 6 %.
    assert pure_values(codes.of(values), won, codes.size) == []


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_lower_bound_is_scipys_exact_one(counts):
    won, rows = counts
    exact = binomtest(won, rows, alternative="greater").proportion_ci(0.95, "exact").low
    assert lower_bound(won, rows) == pytest.approx(exact, abs=1e-9)


def test_what_a_column_adds_is_measured_beside_the_others():
    random = np.random.default_rng(3)
    won = random.random(3000) < 0.3
    own, copied = won + random.normal(0, 1, 3000), won + random.normal(0, 1, 3000)
    fold = folds_of(np.arange(3000).astype(str), 3)
    matrix = np.column_stack([own, copied, copied, random.normal(0, 1, 3000)])
    added = {
        c: with_ - without for c, (with_, without) in what_each_adds(matrix, won, fold, [], [0, 1, 3]).items()
    }
    assert added[0] > 0.05  # nobody else knows it
    assert added[1] == pytest.approx(0, abs=0.02)  # its twin stays
    assert added[3] == pytest.approx(0, abs=0.02)  # noise
