"""How leads end: won, or left without a win, by competing hazards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.simulation.activities import NEVER
from pipeline.simulation.hazard import baseline, exits
from pipeline.simulation.moments import Events, Ints, faded_sums, rank_within
from pipeline.simulation.rhythm import Floats, Rhythms, days, seconds
from pipeline.simulation.traits import Multipliers
from pipeline.simulation.world import World


@dataclass(frozen=True)
class Fates:
    """When each lead closed (`NEVER` while open at the end of the log) and whether by a win."""

    closed: Ints
    won: npt.NDArray[np.bool_]


def draw_fates(
    world: World,
    rhythms: Rhythms,
    created: Ints,
    effect: Multipliers,
    events: Events,
    unsubscribed: Ints,
    rng: np.random.Generator,
) -> Fates:
    """Draw the first of the two: the win, or the exit; whatever would come after the end is not known."""
    born = days(created)
    won = _win_times(world, rhythms, born, effect.fit, events, rng.exponential(1.0, len(born)))
    left = _exit_times(world, rhythms, born, effect.exit, days(unsubscribed), rng.exponential(1.0, len(born)))
    first = np.minimum(won, left)
    known = first < world.end
    closed = np.full(len(born), NEVER)
    closed[known] = np.maximum(seconds(first[known]), created[known] + 1)
    return Fates(closed, known & (won <= left))


def _win_times(
    world: World, rhythms: Rhythms, created: Floats, fit: Floats, events: Events, need: Floats
) -> Floats:
    """Return when the hazard of each lead has added up to `need`; infinite when not before the end.

    `need` is exponential with mean 1, which makes these the times of a first win.
    """
    tau, office = world.memory_days, rhythms.office
    lead, t, strength = _pieces(world, created, events)
    intent = faded_sums(lead, t, strength, tau)
    last = np.append(lead[1:] != lead[:-1], True)
    following = np.where(last, world.end, np.append(t[1:], world.end))
    gained = intent * office.faded(t, following, tau)
    before = np.cumsum(gained) - gained
    before -= before[np.arange(len(lead)) - rank_within(lead)]  # what intent added up to before each piece
    reached = fit[lead] * (before + baseline(world, rhythms, created[lead], created[lead], t))
    pieces_passed = np.bincount(lead[reached < need[lead]], minlength=len(created))
    piece = np.searchsorted(lead, np.arange(len(created))) + pieces_passed - 1

    def accumulated(at: Floats) -> Floats:
        shot = before[piece] + intent[piece] * office.faded(t[piece], at, tau)
        return fit * (shot + baseline(world, rhythms, created, created, at))

    return _crossing(accumulated, t[piece], following[piece], need)


def _pieces(world: World, created: Floats, events: Events) -> tuple[Ints, Floats, Floats]:
    """Return lead, start and added strength of the pieces of time between activities that matter.

    The first piece of each lead begins with its creation and adds nothing.
    """
    strength = events.each(world.strengths)
    matters = strength > 0
    lead = np.concatenate([np.arange(len(created)), events.lead[matters]])
    t = np.concatenate([created, days(events.at[matters])])
    order = np.lexsort((t, lead))
    return lead[order], t[order], np.concatenate([np.zeros(len(created)), strength[matters]])[order]


def _exit_times(
    world: World, rhythms: Rhythms, created: Floats, factor: Floats, unsubscribed: Floats, need: Floats
) -> Floats:
    def accumulated(at: Floats) -> Floats:
        whole = exits(world, rhythms, created, created, at)
        after = np.minimum(np.maximum(unsubscribed, created), at)
        quiet = exits(world, rhythms, created, created, after)
        return factor * (quiet + world.unsubscribed_exit * (whole - quiet))

    return _crossing(accumulated, created, np.full(len(created), world.end), need)


def _crossing(accumulated: Callable[[Floats], Floats], low: Floats, high: Floats, need: Floats) -> Floats:
    """Return where a growing function reaches `need` between `low` and `high`, infinite if it does not."""
    reached = accumulated(high) >= need
    for _ in range(40):
        middle = (low + high) / 2
        beyond = accumulated(middle) >= need
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return np.where(reached, high, np.inf)
