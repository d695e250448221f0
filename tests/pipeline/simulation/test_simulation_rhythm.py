"""The rhythm's integrals against plain numerical integration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulation.rhythm import Rhythm, Rhythms
from pipeline.simulation.world import World

RATES = np.random.default_rng(0).choice([0.0, 0.3, 1.0, 2.5], size=24 * 60)
RHYTHM = Rhythm(RATES)

times = st.floats(0.0, 59.9, allow_nan=False)


def integral(f, a: float, b: float) -> float:
    """The midpoint rule between the hours' edges, where everything is smooth."""
    edges = np.unique(np.concatenate([[a, b], np.arange(np.ceil(a * 24), np.floor(b * 24) + 1) / 24]))
    edges = edges[(edges >= a) & (edges <= b)]
    fine = np.concatenate([np.linspace(x, y, 9) for x, y in pairwise(edges)] or [[a]])
    middle = (fine[1:] + fine[:-1]) / 2
    return float(np.sum(f(middle) * np.diff(fine)))


@given(times, times, st.floats(0.5, 60.0))
def test_faded_is_the_integral_of_rate_times_exponential(a: float, b: float, tau: float) -> None:
    a, b = min(a, b), max(a, b)
    expected = integral(lambda v: RHYTHM.rate(v) * np.exp(-(v - a) / tau), a, b)
    assert RHYTHM.faded(np.array([a]), np.array([b]), tau)[0] == pytest.approx(expected, abs=2e-5)


@given(times, times)
def test_mass_and_centre_are_the_integral_and_its_mean(a: float, b: float) -> None:
    a, b = min(a, b), max(a, b)
    mass = integral(RHYTHM.rate, a, b)
    assert RHYTHM.mass(np.array([b]))[0] - RHYTHM.mass(np.array([a]))[0] == pytest.approx(mass, abs=1e-9)
    if mass > 1e-3:
        mean = integral(lambda v: RHYTHM.rate(v) * v, a, b) / mass
        assert RHYTHM.centre(np.array([a]), np.array([b]))[0] == pytest.approx(mean, abs=1e-5)


def test_the_centre_of_a_time_in_which_nothing_happens_is_its_middle() -> None:
    night = Rhythm(np.zeros(24))
    assert night.centre(np.array([0.0]), np.array([0.5]))[0] == 0.25


def test_the_rhythm_follows_the_local_clock_through_summer_time() -> None:
    # Offices open at 9 in Paris: 8 h UTC in winter, 7 h UTC in summer. Both days are Wednesdays.
    world = World()
    office = Rhythms.of(world).office
    for day, opens in (("2025-02-05", 8), ("2025-06-04", 7)):
        start = (np.datetime64(day) - np.datetime64("2024-07-01")).astype(int) * 24
        assert office.rates[start + opens - 1] == 0.0
        assert office.rates[start + opens] > 0.0


def test_august_christmas_nights_and_sundays_are_quiet() -> None:
    people = Rhythms.of(World()).people

    def mean(day: str, hours: slice = slice(0, 24)) -> float:
        start = (np.datetime64(day) - np.datetime64("2024-07-01")).astype(int) * 24
        return float(people.rates[start : start + 24][hours].mean())

    assert mean("2025-08-13") < 0.6 * mean("2025-06-11")
    assert mean("2025-12-24") < 0.5 * mean("2025-11-26")
    assert mean("2025-06-15") < 0.5 * mean("2025-06-11")
    assert mean("2025-06-11", slice(0, 4)) < 0.2 * mean("2025-06-11", slice(8, 16))
