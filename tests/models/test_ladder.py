"""The ladder: bounds that hold at every level at once, since whoever moves the slider sees them all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaincinv, expit, logit

from models.certificates import LEAST_UNITS, Candidate, lower_bound
from models.crossings import Crossings
from models.decision_window import DecisionWindow
from models.ladder import AT_EVERY_LEVEL, confidence_of_each, ladder
from models.promises import rounded_down
from models.replay import Replay

LEVELS = expit(np.linspace(-4.5, 1.5, 40))


def snapshots(leads: int, seed: int, *, of_each: int = 1, group: int = 1) -> pd.DataFrame:
    """Leads scored so many times, so many to an account; labels drawn from their propensities."""
    rng = np.random.default_rng(seed)
    lead = np.repeat(np.arange(leads), of_each)
    margin = np.repeat(rng.normal(-2.2, 1.1, leads), of_each) + rng.normal(0, 0.5, len(lead))
    return pd.DataFrame(
        {
            "lead_id": [f"L{n}" for n in lead],
            "group_id": [f"A{n // group}" for n in lead],
            "as_of": pd.Timestamp("2025-01-06")
            + pd.to_timedelta(np.tile(np.arange(of_each) * 7, leads), "D"),
            "margin": margin,
            "propensity": expit(margin),
            "label": (rng.random(len(lead)) < expit(margin)).astype(int),
        }
    )


def window(table: pd.DataFrame, levels: np.ndarray = LEVELS) -> DecisionWindow:
    return DecisionWindow(
        crossings=Crossings.of(table),
        replay=Replay.of(table),
        candidates=tuple(Candidate(float(logit(level)), float(level)) for level in sorted(levels)[::-1]),
        predict=expit,
        horizon="30d",
    )


class TestTogether:
    @pytest.mark.parametrize(("leads", "of_each", "group"), [(150, 1, 1), (600, 1, 1), (200, 3, 2)])
    @pytest.mark.parametrize("truth", ["as said", "fewer", "more", "no relation"])
    def test_with_the_confidence_asked_for_none_of_the_bounds_is_too_high(
        self, leads: int, of_each: int, group: int, truth: str
    ) -> None:
        # 3,000 decision windows with the same leads. The truth may be what the propensities say, or half
        # or twice the odds, or the same 8 % for everyone: the bounds must not depend on the model.
        replay = Replay.of(snapshots(leads, 1, of_each=of_each, group=group))
        margins = logit(LEVELS)
        each = confidence_of_each(replay, list(margins), 0.90)
        share = {
            "as said": replay.propensity,
            "fewer": expit(logit(replay.propensity) - 0.7),
            "more": expit(logit(replay.propensity) + 0.7),
            "no relation": np.full(len(replay.propensity), 0.08),
        }[truth]
        crossing = [replay.first(m) for m in margins]
        crossing = [rows for rows in crossing if len(rows) >= LEAST_UNITS]
        # One coin for a group, whichever of its snapshots is counted.
        coin = np.random.default_rng(7).random((3000, replay.group.max() + 1))[:, replay.group]
        label = coin < share
        wrong, wrong_alone = np.zeros(3000, bool), np.zeros(3000, bool)
        for rows in crossing:
            n, k = len(rows), label[:, rows].sum(axis=1)
            for confidence, flags in ((each, wrong), (0.90, wrong_alone)):
                bound = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + (k == 0) + 1, 1 - confidence), 0)
                flags |= bound > share[rows].mean() + 1e-12
        assert wrong.mean() <= 0.10 + 0.012  # two standard errors of 3,000 draws
        assert wrong_alone.mean() > 0.12  # so a bound that is right at one level would be a lie here

    def test_it_is_stricter_than_one_level_and_no_stricter_than_dividing_the_risk(self) -> None:
        replay = Replay.of(snapshots(400, 2))
        each = confidence_of_each(replay, list(logit(LEVELS)), 0.90)
        assert 0.90 < each < 1 - 0.10 / len(LEVELS)

    def test_no_label_has_a_say_in_it(self) -> None:
        table = snapshots(300, 3)
        turned = table.assign(label=1 - table["label"])
        margins = list(logit(LEVELS))
        assert confidence_of_each(Replay.of(table), margins, 0.9) == confidence_of_each(
            Replay.of(turned), margins, 0.9
        )

    def test_one_level_alone_keeps_the_confidence_asked_for(self) -> None:
        replay = Replay.of(snapshots(300, 3))
        assert confidence_of_each(replay, [-3.0], 0.8) == 0.8
        # Levels that fewer than ten groups cross promise nothing, so they cost nothing.
        assert confidence_of_each(replay, [-3.0, 4.0, 5.0], 0.8) == 0.8

    def test_levels_that_select_the_same_leads_count_once(self) -> None:
        replay = Replay.of(snapshots(300, 3))
        assert confidence_of_each(replay, [-2.0] * 30, 0.9) == pytest.approx(
            confidence_of_each(replay, [-2.0] * 2, 0.9), abs=0.01
        )


class TestLadder:
    def test_each_rung_promises_its_exact_bound_at_that_confidence(self) -> None:
        given = window(snapshots(600, 4))
        found = ladder(given, [0.123], 0.9)
        assert [rung.candidate.level for rung in found.rungs] == sorted({*LEVELS, 0.123})
        promised = [rung for rung in found.rungs if rung.promise]
        assert promised
        for rung in promised:
            units, won = given.replay.converted(rung.candidate.margin)
            assert rung.promise is not None
            assert rung.promise["at_least"] == rounded_down(lower_bound(units, won, found.each))
            assert rung.promise["tested_on"] == {"units": units, "converted": won, "unit": "lead"}
            assert (rung.promise["confidence"], rung.promise["method"]) == (0.9, AT_EVERY_LEVEL)

    def test_none_where_few_leads_cross_or_no_more_is_sure_than_of_everyone(self) -> None:
        # 40 leads, of which the 20 above 0.5 convert no more often than those below.
        margin = np.r_[np.full(20, -1.0), np.full(15, 1.0), np.full(5, 3.0)]
        label = np.r_[np.ones(18), np.zeros(2), np.ones(3), np.zeros(12), np.ones(5)]
        table = pd.DataFrame(
            {"lead_id": range(40), "margin": margin, "propensity": expit(margin), "label": label.astype(int)}
        )
        found = ladder(window(table, expit(np.array([-1.0, 1.0, 3.0]) - 1e-9)), [], 0.9)
        loosest, middle, strictest = found.rungs
        assert loosest.promise is not None
        assert loosest.trial.units == 40
        assert middle.promise is None  # 8 of 20, where 26 of 40 is surer
        assert strictest.promise is None  # 5 of 5 says little
        assert strictest.trial.units == 5

    def test_nothing_is_promised_where_the_base_rate_moved(self) -> None:
        found = ladder(window(snapshots(600, 4)), [], 0.9, promises=False)
        assert all(rung.promise is None for rung in found.rungs)
