"""Bands: every lead in exactly one, and who is ready for sales."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ConfigurationError, DataError
from models.cutoffs import Cutoff
from models.decision import BANDS, Bands, default_nurture_level

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
    for bands in (Bands(CUTOFF, 0.05, 0.6), Bands(Cutoff("precision", None), 0.05)):
        assert Bands.from_dict(json.loads(json.dumps(bands.to_dict()))) == bands


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigurationError, match="below the MQL cutoff"):
        Bands(CUTOFF, 0.05, sales_ready=0.2)
    with pytest.raises(ConfigurationError, match=r"nurture level is 1\.5"):
        Bands(CUTOFF, 1.5)
    with pytest.raises(DataError):
        Bands(CUTOFF, 0.05).decide([0.1, np.nan])
    with pytest.raises(DataError):
        Bands(CUTOFF, 0.05).decide([0.1, 0.2], [True])
