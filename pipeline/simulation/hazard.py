"""The true probability of winning within a horizon, from what is recorded of a lead: the whole theory.

A lead that is open at time s is won with hazard

    fit x office(t) x ( baseline x exp(-age / baseline_days) + intent(t) ),

where ``intent`` is the sum of ``strength x exp(-(t - t_i) / memory_days)`` over its activities. It leaves
without a win with a hazard of its own (`exits`), which knows only age, calendar and attributes, and
``unsubscribed``. Its future activities are Poisson, with rates that know only age, calendar and
attributes. Then, with Psi(u, T) the integral of ``office(v) exp(-(v - u) / memory_days)`` from u to T and
m(du) the mean number of activities of one strength w, the chance of no win before T is (the Laplace
functional of Poisson shot noise: Kingman, *Poisson Processes*, 1993, section 3.2)

    S(T) = exp( -fit x [ baseline part + intent(s) Psi(s, T) ] - sum over w of integral of
                (1 - exp(-fit w Psi(u, T))) m(du) )
           x product over webinars registered for and still to come of (1 - p + p exp(-fit w Psi(webinar, T)))

and, with L(T) the chance of not having left,

    P(win within H) = 1 - S(H) L(H) - integral of S(t) (-dL(t)).

All is closed form but the integrals over u and t, which are sums over some thirty cells of time, longer
ones later, each represented by its centre of mass. Sales' calls, mails, clicks and page views appear
nowhere: they move nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pipeline.simulation.rhythm import Floats, Rhythms
from pipeline.simulation.world import World

_EDGES = np.array([0, 0.5, 1, 2, 3.5, 5, 7, 10, 13, 16.5, 20, 25, 30, 36, 43, 51, 60, 70, 80, 90])
_CHUNK = 4096


@dataclass(frozen=True)
class Situation:
    """What matters of each open lead at its ``as_of``; all of shape (keys,).

    `as_of` and `created` in days since the start; `fit`, `level` (activity), `asking` and `exit` are
    multipliers; `intent` is the decayed sum of strengths; `pending` counts the registrations for the
    next webinar.
    """

    as_of: Floats
    created: Floats
    fit: Floats
    level: Floats
    asking: Floats
    exit: Floats
    intent: Floats
    unsubscribed: npt.NDArray[np.bool_]
    pending: npt.NDArray[np.int64]

    def __getitem__(self, rows: slice) -> Situation:
        return Situation(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def win_within(world: World, rhythms: Rhythms, situation: Situation, horizons: Sequence[float]) -> Floats:
    """Return the probability that each lead, open at ``as_of``, is won within each of `horizons`.

    Horizons in days, growing; the result is of shape (keys, horizons).
    """
    found = np.empty((len(situation.as_of), len(horizons)))
    for start in range(0, len(found), _CHUNK):
        rows = slice(start, start + _CHUNK)
        found[rows] = _win_within(world, rhythms, situation[rows], np.array(horizons, dtype=np.float64))
    return found


def _win_within(world: World, rhythms: Rhythms, now: Situation, horizons: Floats) -> Floats:
    longest = horizons[-1]
    steps = np.concatenate([_EDGES, np.arange(105.0, max(longest, 105.0) + 15, 15.0)])
    steps = np.union1d(steps[steps < longest], horizons)
    edges = now.as_of[:, None] + steps
    cells = np.sort(np.concatenate([edges, (edges[:, 1:] + edges[:, :-1]) / 2], axis=1), axis=1)
    not_won = no_win(world, rhythms, now, edges, cells)
    not_left = no_exit(world, rhythms, now, edges, cells)
    left = (not_won[:, :-1] + not_won[:, 1:]) / 2 * (not_left[:, :-1] - not_left[:, 1:])
    won = 1 - not_won[:, 1:] * not_left[:, 1:] - np.cumsum(left, axis=1)
    return np.clip(won[:, np.searchsorted(steps, horizons) - 1], 0.0, 1.0)


def activity(world: World, rhythms: Rhythms, created: Floats, a: Floats, b: Floats) -> Floats:
    """Return the mean number of activities between `a` and `b` of a lead with level x rate = 1 a day."""
    people, tau = rhythms.people, world.activity_days
    young = np.exp(-(a - created) / tau) * people.faded(a, b, tau)
    return world.activity_floor * (people.mass(b) - people.mass(a)) + (1 - world.activity_floor) * young


def baseline(world: World, rhythms: Rhythms, created: Floats, a: Floats, b: Floats) -> Floats:
    """Return the integral of the baseline hazard between `a` and `b`, for fit 1."""
    tau = world.baseline_days
    return world.baseline * np.exp(-(a - created) / tau) * rhythms.office.faded(a, b, tau)


def exits(world: World, rhythms: Rhythms, created: Floats, a: Floats, b: Floats) -> Floats:
    """Return the integral of the hazard of leaving between `a` and `b`, for exit 1, while subscribed."""
    late, early = world.exit_late_days, world.exit_early_days
    slow = np.exp(-(a - created) / late) * rhythms.office.faded(a, b, late)
    quick = np.exp(-(a - created) / early) * rhythms.office.faded(a, b, early)
    return world.exit_rate * np.maximum(slow - quick, 0.0)


def future_strengths(world: World) -> list[tuple[float, float, bool]]:
    """Return (strength, rate, asks) of the kinds that matter, those of equal strength together."""
    rates: dict[tuple[float, bool], float] = {}
    for kind in world.kinds:
        if kind.strength > 0 and kind.rate > 0:
            rates[kind.strength, kind.asks] = rates.get((kind.strength, kind.asks), 0.0) + kind.rate
    return [(strength, rate, asks) for (strength, asks), rate in sorted(rates.items())]


def no_win(world: World, rhythms: Rhythms, now: Situation, edges: Floats, cells: Floats) -> Floats:
    """Return the chance of no win before each edge, had the lead no other way to leave; (keys, edges)."""
    tau, office = world.memory_days, rhythms.office
    start, fit = now.as_of[:, None], now.fit[:, None]
    born = now.created[:, None]
    middle = rhythms.people.centre(cells[:, :-1], cells[:, 1:])
    mean = now.level[:, None] * activity(world, rhythms, born, cells[:, :-1], cells[:, 1:])
    ahead_middle, ahead_edges = office.ahead(middle, tau), office.ahead(edges, tau)
    known = baseline(world, rhythms, born, start, edges)
    known += now.intent[:, None] * office.faded(np.broadcast_to(start, edges.shape), edges, tau)
    log_chance = -fit * known
    for j in range(1, edges.shape[1]):
        past = slice(0, 2 * j)
        fade = np.exp((middle[:, past] - edges[:, [j]]) / tau)
        reach = fit * (ahead_middle[:, past] - fade * ahead_edges[:, [j]])
        for strength, rate, asks in future_strengths(world):
            often = rate * (now.asking if asks else 1.0)
            log_chance[:, j] -= often * ((1 - np.exp(-strength * reach)) * mean[:, past]).sum(axis=1)
    return np.exp(log_chance + _webinars(world, rhythms, now, edges))


def _webinars(world: World, rhythms: Rhythms, now: Situation, edges: Floats) -> Floats:
    """Return the logarithm of what webinars to come, registered for or not yet, do to `no_win`."""
    rate = next(kind.rate for kind in world.kinds if kind.name == "webinar_registered")
    chance, weight = world.attend_probability, world.attended_strength
    following = np.searchsorted(rhythms.webinars, now.as_of, side="left")
    opens, log_chance = now.as_of, np.zeros_like(edges)
    for nth in range(int((edges[:, -1] - edges[:, 0]).max() / world.webinar_every_days) + 1):
        at = rhythms.webinars[np.minimum(following + nth, len(rhythms.webinars) - 1)]
        fresh = chance * rate * now.level * activity(world, rhythms, now.created, opens, at)
        begin = np.minimum(at[:, None], edges)  # nothing is added at edges before the webinar
        reach = weight * now.fit[:, None] * rhythms.office.faded(begin, edges, world.memory_days)
        gone = 1 - np.exp(-reach)
        log_chance -= fresh[:, None] * gone
        if nth == 0:
            log_chance += now.pending[:, None] * np.log1p(-chance * gone)
        opens = at
    return log_chance


def no_exit(world: World, rhythms: Rhythms, now: Situation, edges: Floats, cells: Floats) -> Floats:
    """Return the chance of not having left before each edge, had the lead no way to win; (keys, edges)."""
    start, born, factor = now.as_of[:, None], now.created[:, None], now.exit[:, None]
    middle = rhythms.people.centre(cells[:, :-1], cells[:, 1:])
    leaving = factor * exits(world, rhythms, born, start, edges)
    until = factor * exits(world, rhythms, born, start, middle)
    more = world.unsubscribed_exit
    staying = world.unsubscribe_rate * activity(world, rhythms, born, start, cells)
    at = np.exp(-staying[:, :-1]) - np.exp(-staying[:, 1:])
    chance = np.exp(-staying[:, ::2] - leaving)
    for j in range(1, edges.shape[1]):
        past = slice(0, 2 * j)
        hazard = more * leaving[:, [j]] - (more - 1) * until[:, past]
        chance[:, j] += (at[:, past] * np.exp(-hazard)).sum(axis=1)
    return np.where(now.unsubscribed[:, None], np.exp(-more * leaving), chance)
