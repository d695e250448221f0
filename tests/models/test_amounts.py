"""Amounts: what deals bring, segments shrunk by hand, and nothing where there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError
from models.amounts import Amounts


def deals(number: int, seed: int = 0, effect: float = 2.0) -> tuple[np.ndarray, pd.DataFrame]:
    """Deals of small, middle and large companies (a factor `effect` apart), and a column of noise."""
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 3, number)
    noise = rng.choice(list("abcdefgh"), number)
    amount = 1000 * effect**size * rng.lognormal(0, 0.5, number)
    return amount, pd.DataFrame({"size": np.array(["S", "M", "L"], object)[size], "noise": noise})


class TestExpected:
    def test_without_segments_everyone_is_expected_to_bring_the_mean(self) -> None:
        found = Amounts.fit([100.0, 300.0, np.nan, 800.0])
        assert found.deals == 3
        assert found.expected(pd.DataFrame(index=range(2))) == pytest.approx([400, 400])

    def test_with_few_deals_segments_say_nothing(self) -> None:
        amount, segments = deals(15, effect=10)
        assert Amounts.fit(amount, segments).expected(segments) == pytest.approx(amount.mean())

    def test_a_segment_that_tells_is_learned_and_noise_is_not(self) -> None:
        amount, segments = deals(400)
        found = Amounts.fit(amount, segments)
        assert set(found.effects) == {"size"}
        small, middle, large = found.expected(pd.DataFrame({"size": ["S", "M", "L"]}))
        assert middle / small == pytest.approx(2, rel=0.15)
        assert large / middle == pytest.approx(2, rel=0.15)

    def test_a_level_is_shrunk_by_what_its_deals_leave_open(self) -> None:
        # Logs: 12 deals of A at 1 +- 1, 12 of B at -1 +- 1 (half of each above, half below).
        # within = 24 / 22 = 1.0909; between = 24 * 1 = 24; F = 22, far beyond chance.
        # variance of levels = (24 - 1 * 1.0909) / (24 - 288 / 24) = 1.9091
        # shrunk by 12 * 1.9091 / (12 * 1.9091 + 1.0909) = 22.909 / 24 = 0.95455
        log = np.r_[np.tile([0.0, 2.0], 6), np.tile([-2.0, 0.0], 6)]
        segments = pd.DataFrame({"where": ["A"] * 12 + ["B"] * 12})
        found = Amounts.fit(np.exp(log), segments)
        assert found.effects["where"]["A"] == pytest.approx(0.954545, abs=1e-5)
        assert found.effects["where"]["B"] == pytest.approx(-0.954545, abs=1e-5)

    def test_a_level_never_seen_or_missing_is_expected_in_the_middle(self) -> None:
        amount, segments = deals(400)
        found = Amounts.fit(amount, segments)
        small, unknown, missing, large = found.expected(pd.DataFrame({"size": ["S", "XL", None, "L"]}))
        assert small < unknown == missing < large

    def test_numbers_are_cut_into_quarters_of_the_deals(self) -> None:
        rng = np.random.default_rng(0)
        staff = rng.lognormal(4, 1, 500)
        found = Amounts.fit(10 * staff * rng.lognormal(0, 0.3, 500), pd.DataFrame({"staff": staff}))
        expected = found.expected(pd.DataFrame({"staff": [1.0, 40.0, 80.0, 5000.0, np.nan]}))
        assert list(expected[:4]) == sorted(expected[:4])
        assert len(set(expected[:4])) == 4
        assert expected[4] == pytest.approx(np.exp(found.level) * found.factor)

    def test_one_enormous_deal_hardly_moves_its_segment(self) -> None:
        amount, segments = deals(300)
        usual = Amounts.fit(amount, segments)
        amount[segments.index[segments["size"] == "S"][0]] = 1e9
        odd = Amounts.fit(amount, segments)
        assert odd.effects["size"]["S"] == pytest.approx(usual.effects["size"]["S"], abs=0.05)
        assert odd.mean > 1e6  # but it came in, and the mean is the mean

    def test_deals_for_nothing_count(self) -> None:
        found = Amounts.fit([0.0] * 10 + [100.0] * 30)
        assert found.expected(pd.DataFrame(index=range(1))) == pytest.approx([75])

    @pytest.mark.parametrize("amount", [[], [np.nan], [0.0, 0.0], [5.0, -1.0]])
    def test_what_cannot_be_learned_from_is_refused(self, amount: list[float]) -> None:
        with pytest.raises(DataError, match="amounts of won deals"):
            Amounts.fit(amount)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000), st.integers(5, 120), st.floats(1.0, 5.0))
    def test_what_is_expected_of_the_deals_is_what_they_brought(
        self, seed: int, number: int, effect: float
    ) -> None:
        amount, segments = deals(number, seed, effect)
        assert Amounts.fit(amount, segments).expected(segments).sum() == pytest.approx(amount.sum())


class TestDraws:
    def test_amounts_are_drawn_around_what_is_expected_and_as_uneven_as_deals_are(self) -> None:
        amount, segments = deals(400)
        found = Amounts.fit(amount, segments)
        expected = np.full(200_000, 5000.0)
        drawn = found.draw(expected, np.random.default_rng(0))
        assert drawn.mean() == pytest.approx(5000, rel=0.01)
        # Log-normal with a deviation of 0.5 on the log scale: exp(0.25) - 1 = 0.284 squared coefficient.
        assert drawn.var() / 5000**2 == pytest.approx(0.284, rel=0.25)

    def test_other_deals_would_have_taught_something_else(self) -> None:
        amount, segments = deals(60)
        found, rng = Amounts.fit(amount, segments), np.random.default_rng(0)
        others = [found.resampled(rng).mean for _ in range(200)]
        assert np.std(others) == pytest.approx(amount.std() / np.sqrt(60), rel=0.25)
