"""The rhythm of the world: how busy each hour is, and exact integrals over it.

A rhythm is a rate that is constant within each hour, on average about 1. Times are days since the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.simulation.world import HORIZON_LIMIT_DAYS, World

Floats = npt.NDArray[np.float64]

_PEOPLE_HOURS = np.repeat([0.15, 0.8, 2.2, 1.4, 2.0, 0.9, 0.15], [7, 2, 3, 2, 4, 4, 2])
_PEOPLE_WEEK = np.array([1.25, 1.3, 1.3, 1.25, 1.1, 0.4, 0.4])
_OFFICE_HOURS = np.repeat([0.0, 2.6, 1.6, 2.6, 0.0], [9, 3, 2, 4, 6])
_OFFICE_WEEK = np.array([1.4, 1.4, 1.4, 1.4, 1.4, 0.0, 0.0])
_HOUR = 1.0 / 24.0


@dataclass
class Rhythm:
    """A rate by the hour, with its integrals.

    Parameters
    ----------
    rates
        One relative rate an hour since the start, shape (hours,).
    """

    rates: Floats
    _fading: dict[float, Floats] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        edges = np.arange(len(self.rates) + 1) * _HOUR
        self._mass = np.concatenate([[0.0], np.cumsum(self.rates * _HOUR)])
        self._moment = np.concatenate([[0.0], np.cumsum(self.rates * np.diff(edges**2) / 2)])
        self.limit = float(edges[-1])

    def _hour(self, t: Floats) -> npt.NDArray[np.int64]:
        return np.minimum((t * 24.0).astype(np.int64), len(self.rates) - 1)

    def rate(self, t: Floats) -> Floats:
        """Return the rate at each time."""
        return self.rates[self._hour(t)]

    def mass(self, t: Floats) -> Floats:
        """Return the integral of the rate from the start to each time."""
        hour = self._hour(t)
        return self._mass[hour] + self.rates[hour] * (t - hour * _HOUR)

    def centre(self, a: Floats, b: Floats) -> Floats:
        """Return the mean time of what falls between `a` and `b`; the middle where nothing does."""
        mass = self.mass(b) - self.mass(a)
        first = self._first_moment(b) - self._first_moment(a)
        return np.where(mass > 1e-9, first / np.maximum(mass, 1e-9), (a + b) / 2)

    def _first_moment(self, t: Floats) -> Floats:
        hour = self._hour(t)
        return self._moment[hour] + self.rates[hour] * (t**2 - (hour * _HOUR) ** 2) / 2

    def ahead(self, t: Floats, tau: float) -> Floats:
        """Return ``integral over v >= t of rate(v) exp(-(v - t) / tau)``, up to the end of the rhythm."""
        if tau not in self._fading:
            self._fading[tau] = self._table_ahead(tau)
        table = self._fading[tau]
        hour = self._hour(t)
        left = np.exp(-((hour + 1) * _HOUR - t) / tau)
        return self.rates[hour] * tau * (1 - left) + left * table[hour + 1]

    def _table_ahead(self, tau: float) -> Floats:
        fade = np.exp(-_HOUR / tau)
        table = np.zeros(len(self.rates) + 1)
        for hour in range(len(self.rates) - 1, -1, -1):
            table[hour] = self.rates[hour] * tau * (1 - fade) + fade * table[hour + 1]
        return table

    def faded(self, a: Floats, b: Floats, tau: float) -> Floats:
        """Return ``integral from a to b of rate(v) exp(-(v - a) / tau)``, exactly; `b` not before `a`."""
        return self.ahead(a, tau) - np.exp(-(b - a) / tau) * self.ahead(b, tau)


@dataclass(frozen=True)
class Rhythms:
    """The two rhythms of the world: when leads act, and when offices sign and close; and the webinars."""

    people: Rhythm
    office: Rhythm
    webinars: Floats

    @classmethod
    def of(cls, world: World) -> Rhythms:
        """Return the rhythms of `world`, in its zone's local time, up to the longest horizon."""
        hours = int((world.end + HORIZON_LIMIT_DAYS + 1) * 24)
        local = pd.date_range(world.started, periods=hours, freq="h").tz_convert(world.zone)
        season = _season(local)
        hour, weekday = local.hour.to_numpy(), local.day_of_week.to_numpy()
        first = world.days(world.first_webinar)
        return cls(
            people=Rhythm(_PEOPLE_HOURS[hour] * _PEOPLE_WEEK[weekday] * season / _PEOPLE_HOURS.mean()),
            office=Rhythm(_OFFICE_HOURS[hour] * _OFFICE_WEEK[weekday] * season / _OFFICE_HOURS.mean()),
            webinars=np.arange(first, hours / 24.0 + world.webinar_every_days, world.webinar_every_days),
        )


def _season(local: pd.DatetimeIndex) -> Floats:
    """Return 1, less in August and in the days around Christmas, a little more in spring and autumn."""
    day = local.month.to_numpy() * 100 + local.day.to_numpy()
    season = np.ones(len(local))
    season[(day >= 715) & (day <= 831)] = 0.7
    season[(day >= 801) & (day <= 820)] = 0.5
    season[(day >= 1220) | (day <= 103)] = 0.35
    season[(day >= 901) & (day <= 1031)] = 1.15
    season[(day >= 301) & (day <= 415)] = 1.1
    return season


def seconds(t: Floats) -> npt.NDArray[np.int64]:
    """Return times in days as whole seconds since the start, rounded up."""
    return np.ceil(t * 86400.0 - 1e-6).astype(np.int64)


def days(t: npt.NDArray[np.int64]) -> Floats:
    """Return whole seconds since the start as days."""
    return t / 86400.0


def span(horizon: timedelta) -> float:
    """Return a horizon in days."""
    return horizon.total_seconds() / 86400.0
