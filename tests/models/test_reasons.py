"""Reasons: contributions summed by concept, strongest first; families that add up to the margin."""

from math import fsum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import BundleError, ConfigurationError
from models.reasons import Reason, reasons, shares

CONCEPT = {
    "visits_1d": "visits",
    "visits_7d": "visits",
    "trial": "trial",
    "size": "company size",
    "job": "job",
}
FAMILY = {"visits": "engagement", "trial": "engagement", "company size": "fit", "job": "fit"}
FAMILY_OF = {feature: FAMILY[concept] for feature, concept in CONCEPT.items()}


def contributions(*rows):
    return pd.DataFrame(list(rows), columns=list(CONCEPT), dtype=float)


def test_by_hand():
    # visits 0.5 + 0.3 = 0.8 up; trial 1.0 down; size 0.2 up; job 0. Summed strengths 2.0: size is a tenth.
    one = contributions([0.5, 0.3, -1.0, 0.2, 0.0])

    assert reasons(one, CONCEPT) == [
        [Reason("trial", "down", 1.0), Reason("visits", "up", 0.8), Reason("company size", "up", 0.2)]
    ]
    assert [r.concept for r in reasons(one, CONCEPT, top=2)[0]] == ["trial", "visits"]
    assert [r.concept for r in reasons(one, CONCEPT, least_share=0.1)[0]] == [
        "trial",
        "visits",
        "company size",
    ]
    assert [r.concept for r in reasons(one, CONCEPT, least_share=0.11)[0]] == ["trial", "visits"]
    assert shares(one, FAMILY_OF).to_dict("records") == [pytest.approx({"fit": 0.2, "engagement": -0.2})]


def test_features_of_one_concept_can_cancel_out():
    assert reasons(contributions([0.7, -0.7, 0.0, 0.0, 0.0], [0.1 + 0.2, -0.3, 0, 0, 0]), CONCEPT) == [[], []]


def test_equals_come_in_order_of_name_whatever_the_order_of_columns():
    tied = contributions([0.1, 0.2, -0.3, 0.3, 0.3])

    for columns in (list(CONCEPT), list(CONCEPT)[::-1]):
        (found,) = reasons(tied[columns], CONCEPT)
        assert [r.concept for r in found] == ["company size", "job", "trial", "visits"]


def test_many_equals_come_in_order_of_name():
    names = [f"concept {i:02d}" for i in range(60)]
    strengths = [1.0 + i % 3 for i in range(60)]
    tied = pd.DataFrame([strengths], columns=names)

    (found,) = reasons(tied, dict(zip(names, names, strict=True)), top=60, least_share=0.0)

    expected = [
        name for wanted in (3.0, 2.0, 1.0) for name, it in zip(names, strengths, strict=True) if it == wanted
    ]
    assert [r.concept for r in found] == expected


values = arrays(float, st.tuples(st.integers(0, 6), st.just(5)), elements=st.floats(-3, 3))


@settings(max_examples=100, deadline=None)
@given(values=values, top=st.integers(1, 6), least=st.floats(0, 1))
def test_agrees_with_the_plain_loop(values, top, least):
    found = reasons(contributions(*values), CONCEPT, top=top, least_share=least)

    for row, got in zip(values, found, strict=True):
        sums = {c: fsum(v for v, f in zip(row, CONCEPT, strict=True) if CONCEPT[f] == c) for c in FAMILY}
        everything = sum(abs(v) for v in sums.values())
        assert len(got) <= top
        assert [r.strength for r in got] == sorted((r.strength for r in got), reverse=True)
        for reason in got:
            assert reason.strength == pytest.approx(abs(sums[reason.concept]), abs=1e-11)
            assert reason.direction == ("up" if sums[reason.concept] > 0 else "down")
            assert reason.strength >= least * everything - 1e-9
        if len(got) < top:  # whoever was left out was too weak
            named = {r.concept for r in got}
            left = [abs(v) for c, v in sums.items() if c not in named]
            assert all(v <= max(least * everything, 1e-12) + 1e-9 for v in left)


@settings(max_examples=60, deadline=None)
@given(values=values, base=st.floats(-3, 3))
def test_base_and_both_families_add_up_to_the_margin(values, base):
    margin = np.array([fsum([base, *row]) for row in values])

    found = shares(contributions(*values), FAMILY_OF, total=margin - base)

    assert base + found["fit"].to_numpy() + found["engagement"].to_numpy() == pytest.approx(margin, abs=1e-9)


def test_the_index_is_kept_and_an_absent_family_is_0():
    only_fit = pd.DataFrame({"size": [1.0, 2.0]}, index=pd.Index(["x", "y"], name="lead_id"))

    found = shares(only_fit, FAMILY_OF)

    assert found.index.equals(only_fit.index)
    assert found.to_dict("list") == {"fit": [1.0, 2.0], "engagement": [0.0, 0.0]}


def test_sums_that_lose_something_are_refused():
    one = contributions([0.5, 0.3, -1.0, 0.2, 0.0])

    with pytest.raises(BundleError, match="off by up to 1e-06"):
        shares(one, FAMILY_OF, total=[0.000001])
    with pytest.raises(BundleError, match="off by"):
        shares(one, FAMILY_OF, total=[np.nan])


def test_what_is_not_named_is_refused():
    one = contributions([0.5, 0.3, -1.0, 0.2, 0.0])

    with pytest.raises(BundleError, match="without a concept: job"):
        reasons(one, {k: v for k, v in CONCEPT.items() if k != "job"})
    with pytest.raises(BundleError, match="without a family: job"):
        shares(one, {k: v for k, v in FAMILY_OF.items() if k != "job"})
    with pytest.raises(BundleError, match="Unknown family: looks"):
        shares(one, {**FAMILY_OF, "job": "looks"})
    with pytest.raises(ConfigurationError):
        reasons(one, CONCEPT, top=0)
    with pytest.raises(ConfigurationError):
        reasons(one, CONCEPT, least_share=1.5)
