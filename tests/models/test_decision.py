"""Bands: every lead in exactly one, and who is ready for sales."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ConfigurationError, DataError
from models.cutoffs import Cutoff
from models.decision import (
    BANDS,
    Bands,
    comings_and_goings,
    default_nurture_level,
    keep_level,
    replayed,
    settle,
)

CUTOFF = Cutoff("manual", 0.3)


def test_by_hand():
    # lead          at 0.3   just below   at 0.05   below   asked, but no MQL   asked   at 0.6
    propensity = [0.3, 0.2999, 0.05, 0.0499, 0.2, 0.4, 0.6]
    asked = [False, False, False, False, True, True, False]

    found = Bands(CUTOFF, nurture=0.05, sales_ready=0.6).decide(propensity, asked)

    assert found["band"].tolist() == ["mql", "nurture", "nurture", "let_go", "nurture", "mql", "mql"]
    assert found["sales_ready"].tolist() == [False, False, False, False, False, True, True]


def test_nobody_asked_and_no_second_cutoff_means_nobody_is_sales_ready():
    assert not Bands(CUTOFF, 0.05).decide([0.2, 0.99])["sales_ready"].any()


def test_a_policy_that_was_not_met_makes_nobody_an_mql():
    found = Bands(Cutoff("precision", None), 0.05, 0.5).decide([0.99, 0.01], [True, True])

    assert found["band"].tolist() == ["nurture", "let_go"]
    assert not found["sales_ready"].any()


def test_the_default_lets_go_who_is_half_as_likely_as_the_average():
    assert default_nurture_level(0.12) == pytest.approx(0.06)


@settings(max_examples=80, deadline=None)
@given(
    propensity=st.lists(st.floats(0, 1), max_size=20),
    level=st.floats(0, 1),
    nurture=st.floats(0, 1),
    asked=st.booleans(),
)
def test_a_higher_propensity_never_gets_a_lower_band(propensity, level, nurture, asked):
    ordered = np.sort(propensity)[::-1]

    found = Bands(Cutoff("manual", level), nurture).decide(ordered, np.full(len(ordered), asked))

    place = [BANDS.index(band) for band in found["band"]]
    assert place == sorted(place)
    assert ((found["band"] == "mql") == (ordered >= level)).all()
    assert (found["sales_ready"] == ((found["band"] == "mql") & asked)).all()


def test_the_index_is_kept():
    leads = pd.Series([0.1, 0.9], index=["x", "y"])

    assert Bands(CUTOFF, 0.2).decide(leads).index.tolist() == ["x", "y"]


def test_bands_are_the_same_after_a_way_through_json():
    for bands in (Bands(CUTOFF, 0.05, 0.6, 0.2), Bands(Cutoff("precision", None), 0.05)):
        assert Bands.from_dict(json.loads(json.dumps(bands.to_dict()))) == bands


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigurationError, match="below the MQL cutoff"):
        Bands(CUTOFF, 0.05, sales_ready=0.2)
    with pytest.raises(ConfigurationError, match=r"nurture level is 1\.5"):
        Bands(CUTOFF, 1.5)
    with pytest.raises(ConfigurationError, match=r"hysteresis of -0\.1"):
        Bands(CUTOFF, 0.05, hysteresis=-0.1)
    with pytest.raises(DataError):
        Bands(CUTOFF, 0.05).decide([0.1, np.nan])
    with pytest.raises(DataError, match="among them sql"):
        Bands(CUTOFF, 0.05).decide([0.1, 0.2], last=["sql", None])
    with pytest.raises(DataError, match="3 last bands for 2 leads"):
        Bands(CUTOFF, 0.05).decide([0.1, 0.2], last=[None, None, None])
    with pytest.raises(DataError):
        Bands(CUTOFF, 0.05).decide([0.1, 0.2], [True])


# The levels are 0.3 and 0.05, the hysteresis 0.2 log-odds: a band is kept down to
# 1 / (1 + (1 / 0.3 - 1) e^0.2) = 0.2598 and 1 / (1 + 19 e^0.2) = 0.0413.
@pytest.mark.parametrize(
    ("propensity", "never", "let_go", "nurture", "mql"),
    [
        (0.30, "mql", "mql", "mql", "mql"),
        (0.29, "nurture", "nurture", "nurture", "mql"),
        (0.26, "nurture", "nurture", "nurture", "mql"),
        (0.25, "nurture", "nurture", "nurture", "nurture"),
        (0.05, "nurture", "nurture", "nurture", "nurture"),
        (0.045, "let_go", "let_go", "nurture", "nurture"),
        (0.04, "let_go", "let_go", "let_go", "let_go"),
    ],
)
def test_the_state_machine(propensity, never, let_go, nurture, mql):
    bands = Bands(CUTOFF, 0.05, hysteresis=0.2)
    found = bands.decide([propensity] * 4, last=[None, "let_go", "nurture", "mql"])
    assert found["band"].tolist() == [never, let_go, nurture, mql]


def test_a_missing_last_band_is_none_whatever_it_is_written_as():
    bands = Bands(CUTOFF, 0.05, hysteresis=0.2)
    last = pd.Series([None, np.nan, pd.NA, "mql"], dtype=object)
    assert bands.decide([0.28] * 4, last=last)["band"].tolist() == ["nurture"] * 3 + ["mql"]


def test_an_mql_that_is_kept_can_be_ready_for_sales():
    found = Bands(CUTOFF, 0.05, hysteresis=0.2).decide([0.28, 0.28], [True, True], ["mql", "nurture"])
    assert found["sales_ready"].tolist() == [True, False]


def test_without_a_level_nobody_stays_an_mql():
    found = Bands(Cutoff("precision", None), 0.05, hysteresis=2.0).decide([0.99], last=["mql"])
    assert found["band"].tolist() == ["nurture"]


def test_the_level_a_band_is_kept_down_to():
    assert keep_level(0.3, 0.2) == pytest.approx(1 / (1 + (1 / 0.3 - 1) * np.exp(0.2)))
    assert keep_level(0.3, 0.0) == 0.3
    assert (keep_level(0.0, 0.2), keep_level(1.0, 0.2)) == (0.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(
    propensity=st.floats(0, 1),
    last=st.sampled_from([None, *BANDS]),
    mql=st.floats(0.01, 0.99),
    nurture=st.floats(0.01, 0.99),
    hysteresis=st.floats(0, 2),
)
def test_the_last_band_lifts_a_lead_never_drops_it_and_no_further_than_it_was(
    propensity, last, mql, nurture, hysteresis
):
    levels = {"mql": mql, "nurture": nurture, "hysteresis": hysteresis}
    found, alone = (settle([propensity], [of], **levels)[0] for of in (last, None))
    place = BANDS.index
    assert place(found) <= place(alone)
    if found != alone:
        assert last is not None
        assert place(last) <= place(found)
    # Settled once, it stays: the same propensity again changes nothing.
    assert settle([propensity], [found], **levels)[0] == found


# Lead a hovers about 0.3, b falls and comes back from far, c never gets there.
HOVERING = pd.DataFrame(
    [(lead, day, p) for lead, series in
     {"a": [0.31, 0.28, 0.32, 0.27, 0.2], "b": [0.5, 0.1, 0.02, 0.4, 0.4], "c": [0.1, 0.2, 0.29]}.items()
     for day, p in enumerate(series)],
    columns=["lead_id", "as_of", "propensity"],
)  # fmt: skip


def test_a_history_replayed():
    found = replayed(HOVERING.sample(frac=1, random_state=0), Bands(CUTOFF, 0.05, hysteresis=0.2))
    by_lead = found.sort_index().groupby(HOVERING["lead_id"]).agg(list)
    assert by_lead["a"] == ["mql", "mql", "mql", "mql", "nurture"]
    assert by_lead["b"] == ["mql", "nurture", "let_go", "mql", "mql"]
    assert by_lead["c"] == ["nurture"] * 3


def test_what_the_hysteresis_spares_people():
    # a loses the band at the end only; without the hysteresis twice, and gets it back once. b, twice an MQL
    # with either, lost it in between.
    found = comings_and_goings(HOVERING, Bands(CUTOFF, 0.05, hysteresis=0.2))
    assert found == {"log_odds": 0.2, "mqls": 2, "lost": 2, "again": 1, "again_without": 2}


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.floats(0.01, 0.99)),
        min_size=1,
        unique_by=lambda row: row[:2],
    ),
    hysteresis=st.floats(0, 2),
)
def test_the_hysteresis_changes_no_first_crossing(rows, hysteresis):
    table = pd.DataFrame(rows, columns=["lead_id", "as_of", "propensity"]).sort_values(["lead_id", "as_of"])
    band = replayed(table, Bands(CUTOFF, 0.05, hysteresis=hysteresis))
    is_mql = table[band == "mql"].drop_duplicates("lead_id").index
    above = table[table["propensity"] >= 0.3].drop_duplicates("lead_id").index
    assert is_mql.equals(above)
