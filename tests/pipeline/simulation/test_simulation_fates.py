"""How leads end, against the chances that their hazards imply."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.simulation.activities import NEVER
from pipeline.simulation.fates import Fates, draw_fates
from pipeline.simulation.hazard import baseline, exits
from pipeline.simulation.moments import Events, code
from pipeline.simulation.rhythm import Rhythms
from pipeline.simulation.traits import Multipliers
from pipeline.simulation.world import World

WORLD = World()
RHYTHMS = Rhythms.of(WORLD)
LEADS = 20_000
BORN = np.array([100.4])


def fates(fit: float, exit_: float, kind: str | None = None, unsubscribed: float | None = None) -> Fates:
    """The ends of many equal leads, each with one activity of `kind` at its creation."""
    created = np.full(LEADS, round(BORN[0] * 86400))
    one = np.ones(LEADS)
    who = np.arange(LEADS if kind else 0)
    events = Events(who, created[: len(who)], np.full(len(who), code(kind or "visit"), np.int8))
    gone = np.full(LEADS, NEVER if unsubscribed is None else round((BORN[0] + unsubscribed) * 86400))
    effect = Multipliers(fit * one, one, one, exit_ * one)
    return draw_fates(WORLD, RHYTHMS, created, effect, events, gone, np.random.default_rng(4))


def share_closed(found: Fates, age: float) -> float:
    return float((found.closed <= (BORN[0] + age) * 86400).mean())


@pytest.mark.parametrize("age", [5.0, 40.0, 200.0])
def test_without_a_chance_to_win_leads_leave_by_the_exit_hazard(age: float) -> None:
    found = fates(fit=0.0, exit_=1.5)
    expected = 1 - np.exp(-1.5 * exits(WORLD, RHYTHMS, BORN, BORN, BORN + age)[0])
    assert not found.won.any()
    assert share_closed(found, age) == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(LEADS))


def test_after_unsubscribing_they_leave_several_times_as_fast() -> None:
    # Until day 20 once the hazard, then `unsubscribed_exit` times.
    found = fates(fit=0.0, exit_=1.0, unsubscribed=20.0)
    before = exits(WORLD, RHYTHMS, BORN, BORN, BORN + 20)[0]
    after = exits(WORLD, RHYTHMS, BORN, BORN + 20, BORN + 50)[0]
    expected = 1 - np.exp(-(before + WORLD.unsubscribed_exit * after))
    assert share_closed(found, 50.0) == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(LEADS))


@pytest.mark.parametrize("age", [2.0, 15.0, 90.0])
def test_a_win_comes_by_the_faded_strength_of_what_was_done(age: float) -> None:
    found = fates(fit=3.0, exit_=0.0, kind="demo_requested")
    shot = WORLD.strengths["demo_requested"] * RHYTHMS.office.faded(BORN, BORN + age, WORLD.memory_days)[0]
    hazard = 3.0 * (shot + baseline(WORLD, RHYTHMS, BORN, BORN, BORN + age)[0])
    assert share_closed(found, age) == pytest.approx(1 - np.exp(-hazard), abs=4 * 0.5 / np.sqrt(LEADS))


def test_what_does_nothing_changes_nothing() -> None:
    with_newsletter, without = fates(5.0, 1.0, kind="newsletter_subscribed"), fates(5.0, 1.0)
    np.testing.assert_array_equal(with_newsletter.closed, without.closed)
