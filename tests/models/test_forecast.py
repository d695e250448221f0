"""The forecast: chance alone is binomial, shared fate and a common shift widen it, and it covers."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from models.amounts import Amounts
from models.forecast import PRIOR_SPREAD, SPREADS, Ageing, Outlook, Period, Spread, forecast, shared_fate

NONE = Spread(np.eye(len(SPREADS))[0])


def leads(propensity: list[float], group: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"propensity": propensity, "group_id": group or range(len(propensity))})


def once(propensity: np.ndarray, label: np.ndarray) -> Period:
    """Leads that were open on one night."""
    return Period.of(np.arange(len(propensity)), np.zeros(len(propensity)), propensity, label)


def whole(table: pd.DataFrame, spread: Spread = NONE, **options):
    return forecast(table, {"open": np.ones(len(table))}, spread, **options)["open"]


class TestChance:
    def test_alone_it_is_a_sum_of_coins(self) -> None:
        found = whole(leads([0.1] * 200)).customers
        assert found.value == pytest.approx(20)
        assert (found.low, found.high) == (binom.ppf(0.05, 200, 0.1), binom.ppf(0.95, 200, 0.1))

    def test_parts_are_of_the_same_future(self) -> None:
        table = leads([0.5] * 10 + [0.0] * 10)
        found = forecast(table, {"open": np.ones(20), "first": np.arange(20) < 10}, NONE)
        assert found["open"].customers == found["first"].customers
        assert (found["open"].leads, found["first"].leads) == (20, 10)

    def test_leads_of_one_account_that_share_fate_convert_together(self) -> None:
        # Ten leads of one account with one coin: all or none, so 5 % and 95 % are the two ends.
        alone = whole(leads([0.5] * 10)).customers
        together = whole(leads([0.5] * 10, [1] * 10), fate=1.0).customers
        assert (together.low, together.high) == (0, 10)
        assert (alone.low, alone.high) == (2, 8)
        assert alone.value == together.value == pytest.approx(5)

    def test_nobody_open_brings_nothing(self) -> None:
        found = whole(leads([]))
        assert (found.leads, found.customers.value, found.customers.high) == (0, 0, 0)
        assert found.revenue is None

    def test_the_same_seed_tells_the_same_and_memory_changes_nothing(self) -> None:
        table, spread = leads([0.2] * 50), Spread.learned([])
        assert whole(table, spread, seed=3) == whole(table, spread, seed=3)


class TestRevenue:
    def test_where_all_deals_are_alike_it_is_the_customers_times_the_amount(self) -> None:
        amounts = Amounts.fit([500.0] * 30)
        found = whole(leads([0.1] * 200), amounts=amounts, segments=pd.DataFrame(index=range(200)))
        assert found.revenue is not None
        assert found.revenue.value == pytest.approx(20 * 500)
        assert found.revenue.high == pytest.approx(found.customers.high * 500)

    def test_a_lead_is_expected_to_bring_what_its_segment_does(self) -> None:
        segments = pd.DataFrame({"size": ["S", "L"] * 100})
        deals = np.where(segments["size"] == "L", 4000.0, 1000.0)
        deals = deals * np.random.default_rng(0).lognormal(0, 0.1, 200)
        amounts = Amounts.fit(deals, segments)
        found = whole(leads([0.5, 0.0]), amounts=amounts, segments=segments.head(2)).revenue
        assert found is not None
        assert found.value == pytest.approx(0.5 * 1000, rel=0.1)

    def test_few_uneven_deals_make_it_less_sure(self) -> None:
        table, none = leads([0.5] * 2000), pd.DataFrame(index=range(2000))
        rng = np.random.default_rng(1)
        widths = []
        for number in (15, 1000):
            found = whole(table, amounts=Amounts.fit(rng.lognormal(8, 0.8, number)), segments=none).revenue
            assert found is not None
            widths.append((found.high - found.low) / found.value)
        assert widths[0] > 2 * widths[1]


class TestSharedFate:
    def test_by_hand(self) -> None:
        # Propensity 0.5 each. A: both convert, 0.5 * 0.5; B: neither, 0.25; C: one, -0.25; D is alone.
        # One coin would give 0.5 - 0.25 = 0.25 each: (0.25 + 0.25 - 0.25) / 0.75 = 1/3.
        assert shared_fate(list("AABBCCD"), [0.5] * 7, [1, 1, 0, 0, 1, 0, 1]) == pytest.approx(1 / 3)

    def test_strangers_share_nothing(self) -> None:
        assert shared_fate(list("ABC"), [0.5] * 3, [1, 1, 0]) == 0.0

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 0.99), st.booleans()), min_size=1, max_size=12)
    )
    def test_against_all_pairs_one_by_one(self, rows: list[tuple[int, float, bool]]) -> None:
        together = most = 0.0
        for (g, p, y), (h, q, z) in itertools.combinations(rows, 2):
            if g == h:
                together += (y - p) * (z - q)
                most += min(p, q) - p * q
        expected = min(max(together / most, 0.0), 1.0) if most > 0 else 0.0
        group, p, y = zip(*rows, strict=True)
        assert shared_fate(group, p, np.array(y, float)) == pytest.approx(expected, abs=1e-9)

    def test_it_finds_how_often_one_coin_was_thrown(self) -> None:
        rng = np.random.default_rng(0)
        group = np.repeat(np.arange(4000), 3)
        p = rng.uniform(0.05, 0.4, 12_000)
        coin = np.where(rng.random(4000)[group] < 0.3, rng.random(4000)[group], rng.random(12_000))
        assert shared_fate(group, p, coin < p) == pytest.approx(0.3, abs=0.06)


class TestSpread:
    def test_without_a_past_it_is_the_prior(self) -> None:
        assert Spread.learned([]).typical == pytest.approx(PRIOR_SPREAD, rel=0.01)

    def test_periods_that_came_as_announced_make_it_small_others_large(self) -> None:
        true = [Period(500.0, 450.0, 500.0 + d) for d in (-5, 0, 5, 3, -2, 1)]
        off = [Period(500.0, 450.0, observed) for observed in (250, 900, 300, 800, 260, 950)]
        assert Spread.learned(true).typical < 0.1
        assert Spread.learned(off).typical > 0.45

    def test_what_chance_explains_says_little(self) -> None:
        few = [Period(4.0, 3.6, observed) for observed in (2, 6, 5, 3)]
        assert Spread.learned(few).typical == pytest.approx(PRIOR_SPREAD, rel=0.35)

    def test_a_shift_is_read_from_the_sums(self) -> None:
        p = np.random.default_rng(0).uniform(0.02, 0.3, 5000)
        period = once(p, expit(logit(p) + 0.3))
        assert period.shift[0] == pytest.approx(0.3, abs=0.03)
        assert period.shift[1] == pytest.approx(1 / (p * (1 - p)).sum())

    def test_nine_futures_in_ten_fall_inside(self) -> None:
        # 300 companies whose model is off by another common shift each period; five periods are known.
        rng = np.random.default_rng(5)
        inside = 0
        for _ in range(300):
            p = rng.beta(1, 9, (6, 300))
            label = rng.random(p.shape) < expit(logit(p) + rng.normal(0, 0.3, (6, 1)))
            past = [once(p[k], label[k]) for k in range(5)]
            found = whole(leads(list(p[5])), Spread.learned(past), repeats=400).customers
            inside += found.low <= label[5].sum() <= found.high
        assert 0.86 <= inside / 300 <= 0.98


class TestPeriod:
    def test_a_lead_open_on_two_nights_is_one_coin(self) -> None:
        # Two nights, lead a on both and b on one, all with 0.5: 1.5 in two nights, so 0.75 in one.
        # Variance: a counts whole (0.25), b half (0.25 / 4).
        period = Period.of(["a", "a", "b"], [1, 2, 1], [0.5] * 3, [1, 1, 0])
        assert period == Period(0.75, 0.25 + 0.0625, 1.0)


class TestAgeing:
    def nights(self, leads: int = 3000, slope: float = -2.0) -> pd.DataFrame:
        rng = np.random.default_rng(3)
        p, age = rng.beta(1, 9, leads), rng.uniform(0, 2, leads)
        label = rng.random(leads) < expit(logit(p) + slope * np.minimum(age, 1))
        columns = {"lead_id": range(leads), "group_id": range(leads), "as_of": 0, "part": "test"}
        return pd.DataFrame({**columns, "propensity": p, "age": age, "label": label.astype(int)})

    def test_it_finds_how_much_less_often_older_leads_convert(self) -> None:
        table = self.nights()
        found = Ageing.learned(table["lead_id"], table["propensity"], table["age"], table["label"])
        assert found.slope == pytest.approx(-2, abs=0.35)
        assert found.level == pytest.approx(0, abs=0.2)
        right = found.applied(table["propensity"], table["age"])
        assert right.sum() == pytest.approx(table["label"].sum(), rel=0.05)

    def test_where_propensities_are_true_hardly_anything_changes(self) -> None:
        table = self.nights(slope=0.0)
        found = Ageing.learned(table["lead_id"], table["propensity"], table["age"], table["label"])
        right = found.applied(table["propensity"], table["age"])
        assert right.sum() == pytest.approx(table["propensity"].sum(), rel=0.1)

    def test_a_lead_counts_once_however_often_it_was_seen(self) -> None:
        table = self.nights(300)
        often = pd.concat([table] * 5)
        one, five = (
            Ageing.learned(of["lead_id"], of["propensity"], of["age"], of["label"]) for of in (table, often)
        )
        assert (one.level, one.slope) == pytest.approx((five.level, five.slope))

    def test_with_a_handful_of_leads_propensities_are_believed(self) -> None:
        found = Ageing.learned([1, 2], [0.1, 0.1], [0.0, 1.0], [0, 0])
        assert abs(found.level) < 0.05
        assert abs(found.slope) < 0.15

    def test_one_and_nought_stay_what_they_are(self) -> None:
        assert Ageing(-1.0, -1.0).applied([0.0, 1.0], [1.0, 1.0]).tolist() == [0.0, 1.0]

    def test_without_a_past_there_is_the_prior_alone(self) -> None:
        nothing = self.nights().head(0)
        found = Outlook.learned(nothing, "part")
        assert (found.ageing, found.fate, found.apart) == (Ageing(), 0.0, ())
        assert found.spread.typical == Spread.learned([]).typical

    def test_a_period_is_put_right_by_the_others_and_not_by_itself(self) -> None:
        table = self.nights()
        alone = Outlook.learned(table, "part")
        announced = table["label"].sum() / table["propensity"].sum()
        assert alone.apart == pytest.approx((announced,))
        both = pd.concat([table, table.assign(part="decision", lead_id=-1 - table["lead_id"])])
        assert Outlook.learned(both, "part").apart == pytest.approx((1.0, 1.0), abs=0.05)

    def test_the_folds_of_a_backtest_are_judged_instead(self) -> None:
        assert Outlook.learned(self.nights(), "part", [Period(10, 9, 20)]).apart == (2.0,)
