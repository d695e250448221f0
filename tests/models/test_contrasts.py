"""What sets some leads apart, where chance does not explain it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from models.contrasts import contrasts, residuals


def seen(difference: float, rows: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    """Contributions of three concepts: in the first half one is higher by so much, and one lower."""
    chosen = np.arange(rows) < rows // 2
    noise = np.random.default_rng(1).normal(0, 0.1, (rows, 3))
    shift = np.outer(chosen, [difference, -difference, 0.0])
    return pd.DataFrame(noise + shift, columns=["job", "size", "visit"]), chosen


def test_the_concepts_that_spoke_most_for_and_against_are_named():
    speaks_for, against = contrasts(*seen(0.5))
    assert (speaks_for.concept, against.concept) == ("job", "size")
    assert speaks_for.difference == pytest.approx(0.5, abs=0.05)
    assert against.difference == pytest.approx(-0.5, abs=0.05)


def test_where_nothing_differs_nothing_is_named():
    assert contrasts(*seen(0.0)) == (None, None)


def test_a_rare_thing_that_none_of_a_few_leads_did_is_no_difference():
    # One in ten of the others asked for a trial, which says much of them; that none of these forty did has
    # a chance of 0.9^40 = 1.5 %: not clear, though their contributions do not spread at all.
    asked = (np.arange(400) % 10 == 5) & (np.arange(400) >= 40)
    concepts = pd.DataFrame({"trial": np.where(asked, 2.0, -0.05)})
    assert contrasts(concepts, np.arange(400) < 40) == (None, None)


def test_too_few_leads_have_nothing_to_say():
    concepts, _ = seen(5.0)
    assert contrasts(concepts, np.arange(200) < 9) == (None, None)


def test_residuals_say_how_far_cells_are_from_independence():
    # Rows 40 and 60, columns 50 and 50: 20 and 30 are expected. With 30 in the first cell, the residual is
    # 10 / sqrt(100 * 0.4 * 0.5 * 0.6 * 0.5) = 4.08; its square is chi-squared of the table.
    counts = pd.DataFrame([[30, 10], [20, 40]])
    found = residuals(counts)
    assert found.iloc[0, 0] == pytest.approx(10 / np.sqrt(6.0))
    assert found.iloc[0, 0] ** 2 == pytest.approx(chi2_contingency(counts, correction=False).statistic)
    assert found.iloc[1, 0] == pytest.approx(-found.iloc[0, 0])


def test_an_empty_table_has_no_residuals():
    assert residuals(pd.DataFrame([[0, 0]])).to_numpy().tolist() == [[0.0, 0.0]]
