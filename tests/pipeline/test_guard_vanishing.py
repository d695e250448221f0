"""What undecided leads lack and past ones had, told apart from chance, drift and news."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.guard.material import Looks
from pipeline.guard.peers import Peers
from pipeline.guard.vanishing import Past, vanishes

A_DAY, DAYS, RATE = 400, 6, 0.2


def looks(random: np.random.Generator, *, a_day: int = A_DAY, share: int = 1) -> Looks:
    """`a_day` undecided leads on each of six past days and now, in two bands of age; one in five wins.

    `share` leads have one account.
    """
    n = a_day * (DAYS + 1)
    day = np.repeat(np.arange(DAYS + 1), a_day)
    won = (random.random(n) < RATE) & (day < DAYS)
    return Looks(
        lead=np.arange(n), day=day, now=DAYS, band=random.integers(0, 2, n), group=np.arange(n) // share,
        known=day < DAYS, won=won,
    )  # fmt: skip


def to_be_won(random: np.random.Generator, of: Looks) -> np.ndarray:
    """Who will win: of the past what did, of now the same share."""
    return np.where(of.is_now, random.random(len(of.day)) < RATE, of.won)


def judged(of: Looks, values, **more) -> bool:
    return vanishes(Past(of), pd.Series(values), **more) is not None


def test_an_honest_column_is_accused_in_no_world_however_strong_it_is():
    # 40 worlds of two honest columns: known before, and so filled and distributed now as ever.
    for seed in range(40):
        random = np.random.default_rng(seed)
        of = looks(random)
        will = to_be_won(random, of)
        flag = np.where(random.random(len(will)) < 0.05, ~will, will)
        assert not judged(of, flag.astype(float)), seed
        assert not judged(of, np.where(will, "won soon", None)), seed


def test_a_noisy_copy_of_the_outcome_is_caught():
    caught = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        of = looks(random)
        caught += judged(of, of.won + random.normal(0, 0.6, len(of.won)))
    assert caught >= 19


def test_a_field_filled_after_the_win_is_caught_by_how_few_leads_have_it():
    # 400 undecided leads; of leads like them one in five had it: 80 expected, 0 found.
    random = np.random.default_rng(1)
    of = looks(random)
    found = vanishes(Past(of), pd.Series(np.where(of.won, "x", None)))
    assert found.numbers["filled_now"] == 0
    assert found.numbers["filled_expected"] == pytest.approx(80, abs=12)
    assert found.numbers["vanished_share"] == pytest.approx(1, abs=0.05)


def test_what_comes_and_goes_with_the_season_is_not_accused():
    # A source of good leads: half of them on some days, none on others, none now.
    random = np.random.default_rng(2)
    of = looks(random)
    good = np.isin(of.day, [0, 2, 4]) & (random.random(len(of.day)) < 0.5)
    of = Looks(
        of.lead,
        of.day,
        of.now,
        of.band,
        of.group,
        of.known,
        of.won & (good | (random.random(len(good)) < 0.3)),
    )
    assert not judged(of, np.where(good, "fair", "web"))


def test_a_season_does_not_excuse_a_field_of_won_leads_alone():
    random = np.random.default_rng(2)
    of = looks(random)
    written = np.where(of.won & np.isin(of.day, [0, 2, 4]), "x", None)
    assert not judged(of, written)
    assert judged(of, written, only_won=True)


def test_values_never_seen_in_training_are_news_and_accuse_nobody():
    # Each day has campaigns of its own, good and bad ones, and other ones for old leads, who win more
    # often. Now nearly all are old and all campaigns are new.
    random = np.random.default_rng(3)
    of = looks(random, a_day=1200)
    old = random.random(len(of.day)) < np.where(of.is_now, 0.9, 0.3)
    good = random.integers(0, 2, len(of.day))
    won = (random.random(len(of.day)) < np.where(old, 0.5, 0.1) * good) & of.known
    of = Looks(of.lead, of.day, of.now, old.astype(int), of.group, of.known, won)
    campaign = [f"c{parts}" for parts in zip(of.day, good, old, strict=True)]
    assert not judged(of, campaign)


def test_decided_leads_of_the_same_days_tell_a_field_given_up_from_one_filled_in_at_the_outcome():
    # Now 400 undecided leads and 300 decided ones, all created since a field was given up. Among past
    # ones half had it, won leads more often.
    random = np.random.default_rng(7)
    of = looks(random)
    past = random.random(len(of.day)) < np.where(of.won, 0.9, 0.4)
    given_up = pd.Series(np.where(past & ~of.is_now, "x", None))
    born = np.append(of.day.astype(float), np.full(300, float(DAYS)))
    decided = np.append(~of.is_now, np.full(300, True))
    peers = Peers(born, decided, of.lead[of.is_now])
    for theirs, accused in ((None, False), ("x", True)):
        of_leads = pd.concat([given_up, pd.Series([theirs] * 300)], ignore_index=True)
        found = vanishes(Past(of, peers), given_up, of_leads=of_leads)
        assert (found is not None) == accused
    # With decided leads of other days only, nobody can tell, and the other tests stand.
    elsewhere = Peers(
        np.where(decided, born - 9, born), np.append(~of.is_now, np.full(300, False)), of.lead[of.is_now]
    )
    assert vanishes(Past(of, elsewhere), given_up, of_leads=of_leads) is not None


def test_a_tool_given_up_is_missed_by_all_leads_and_a_table_of_won_ones_by_the_undecided():
    random = np.random.default_rng(8)
    of = looks(random)
    used = (random.random(len(of.day)) < np.where(of.won, 0.6, 0.35)) & ~of.is_now
    assert vanishes(Past(of), pd.Series(used.astype(float)), rows=True) is None
    of_won = of.won & (random.random(len(of.day)) < 0.6)
    assert vanishes(Past(of), pd.Series(of_won.astype(float)), rows=True) is not None


def test_younger_leads_are_compared_with_young_ones():
    # The field of an old lead is known more often; now nearly all are young. Without bands: 10 % found
    # where 50 % would be expected.
    random = np.random.default_rng(4)
    of = looks(random)
    old = np.where(of.is_now, random.random(len(of.day)) < 0.05, random.random(len(of.day)) < 0.5)
    will = to_be_won(random, of)
    filled = random.random(len(old)) < np.where(old, 0.9, 0.05) * np.where(will, 1.0, 0.6)
    aged = Looks(of.lead, of.day, of.now, old.astype(int), of.group, of.known, of.won)
    assert not judged(aged, np.where(filled, "x", None))
    same = Looks(of.lead, of.day, of.now, np.zeros(len(old), int), of.group, of.known, of.won)
    assert judged(same, np.where(filled, "x", None))


def test_leads_of_one_account_are_not_counted_as_many():
    # Values of the account, and 30 leads an account: 400 undecided leads are 14 accounts.
    random = np.random.default_rng(5)
    of = looks(random, share=30)
    value = pd.Series(random.integers(0, 3, of.group.max() + 1)).loc[of.group].to_numpy(float)
    alike = Past(of).compare((value == 0).astype(float))
    alone = Past(looks(np.random.default_rng(5))).compare((value == 0).astype(float))
    assert alike.effective < 30
    assert alone.effective == 400
    assert alike.error > 3 * alone.error


def test_a_handful_of_undecided_leads_or_wins_accuses_nobody():
    few = looks(np.random.default_rng(6), a_day=20)
    assert not Past(few).enough
    assert Past(looks(np.random.default_rng(6))).enough
