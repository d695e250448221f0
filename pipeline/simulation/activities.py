"""What the leads do: first activities, Poisson activities, webinars, and the moment they unsubscribe."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.simulation import vocabulary as words
from pipeline.simulation.moments import Events, Ints, code, codes, first_of, merged
from pipeline.simulation.rhythm import Floats, Rhythms, days, seconds
from pipeline.simulation.traits import Multipliers
from pipeline.simulation.world import Kind, World

NEVER = np.iinfo(np.int64).max // 4


def draw_activities(
    world: World,
    rhythms: Rhythms,
    created: Ints,
    source: npt.NDArray[np.str_],
    effect: Multipliers,
    rng: np.random.Generator,
) -> Events:
    """Return all that the leads do of their own accord up to the end of the log, won or not."""
    first = _first(created, source, rng)
    usual = tuple(kind for kind in world.kinds if not kind.asks)
    asking = tuple(kind for kind in world.kinds if kind.asks)
    common = _streams(world, rhythms, created, effect.level, usual, rng)
    asked = _streams(world, rhythms, created, effect.level * effect.asking, asking, rng)
    own = merged(first, common, asked)
    return _name_repeated(merged(own, _attended(world, rhythms, own, rng)))


def draw_unsubscribed(world: World, rhythms: Rhythms, created: Ints, rng: np.random.Generator) -> Ints:
    """Return when each lead unsubscribes, `NEVER` if not before the end of the log."""
    lead, t = _arrivals(world, rhythms, days(created), np.full(len(created), world.unsubscribe_rate), rng)
    return first_of(lead, seconds(t), len(created), NEVER)


def _arrivals(
    world: World, rhythms: Rhythms, created: Floats, rate: Floats, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """Draw Poisson arrivals with intensity ``rate x people(t) x (floor + (1 - floor) exp(-age / days))``.

    By thinning: too many are drawn at the busiest hour's rate, then kept with the chance of their own hour.
    """
    peak = float(rhythms.people.rates.max())
    floor = rng.poisson(rate * world.activity_floor * peak * (world.end - created))
    young = rng.poisson(rate * (1 - world.activity_floor) * peak * world.activity_days)
    index = np.arange(len(created))
    lead = np.concatenate([np.repeat(index, floor), np.repeat(index, young)])
    age_floor = rng.random(int(floor.sum())) * np.repeat(world.end - created, floor)
    age = np.concatenate([age_floor, rng.exponential(world.activity_days, int(young.sum()))])
    t = created[lead] + age
    lead, t = lead[t < world.end], t[t < world.end]
    kept = rng.random(len(t)) * peak < rhythms.people.rate(t)
    lead, t = lead[kept], t[kept]
    inside = seconds(t) < seconds(np.array(world.end))
    return lead[inside], t[inside]


def _streams(
    world: World,
    rhythms: Rhythms,
    created: Ints,
    level: Floats,
    kinds: tuple[Kind, ...],
    rng: np.random.Generator,
) -> Events:
    rates = np.array([kind.rate for kind in kinds])
    lead, t = _arrivals(world, rhythms, days(created), level * rates.sum(), rng)
    which = np.array([code(kind.name) for kind in kinds], dtype=np.int8)
    return Events(lead, seconds(t), which[rng.choice(len(kinds), len(t), p=rates / rates.sum())])


def _first(created: Ints, source: npt.NDArray[np.str_], rng: np.random.Generator) -> Events:
    """Return the activity that brought each lead into the CRM, at the moment of its creation."""
    kind = np.full(len(created), -1, dtype=np.int8)
    for name, shares in words.FIRST_ACTIVITY.items():
        rows = np.flatnonzero(source == name)
        if shares and len(rows):
            kind[rows] = rng.choice([code(name) for name in shares], len(rows), p=list(shares.values()))
    rows = np.flatnonzero(kind >= 0)
    return Events(rows, created[rows], kind[rows])


def _attended(world: World, rhythms: Rhythms, own: Events, rng: np.random.Generator) -> Events:
    """Return who came to the webinar after each registration: the first one strictly later."""
    registered = own.where(own.are("webinar_registered"))
    starts = np.rint(rhythms.webinars * 86400).astype(np.int64)
    at = starts[np.searchsorted(starts, registered.at, side="right")]
    came = (rng.random(len(at)) < world.attend_probability) & (at < world.end * 86400)
    return Events(registered.lead[came], at[came], codes("webinar_attended", int(came.sum())))


def _name_repeated(events: Events) -> Events:
    """Rename a visit that is at least the third of its lead within seven days: a fact of the past alone."""
    rows = np.flatnonzero(events.are("visit"))
    lead, at = events.lead[rows], events.at[rows]
    again = np.zeros(len(rows), dtype=bool)
    again[2:] = (lead[2:] == lead[:-2]) & (at[2:] - at[:-2] <= 7 * 86400)
    kind = events.kind.copy()
    kind[rows[again]] = code("repeated_visit")
    return Events(events.lead, events.at, kind)
