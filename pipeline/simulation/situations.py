"""What was recorded of open leads at a moment, as the theory needs it; strictly before the moment."""

from __future__ import annotations

import numpy as np

from pipeline.simulation.hazard import Situation
from pipeline.simulation.moments import Events, Ints, count_between, faded_sums, last_before
from pipeline.simulation.rhythm import Floats, Rhythms, days
from pipeline.simulation.traits import Multipliers
from pipeline.simulation.world import World


def situations(
    world: World,
    rhythms: Rhythms,
    lead: Ints,
    as_of: Ints,
    created: Ints,
    effect: Multipliers,
    events: Events,
    unsubscribed: Ints,
) -> Situation:
    """Return the situation of each key (`lead`, `as_of`).

    `lead` and `as_of` (whole seconds since the start) are of shape (keys,); `created`, `effect` and
    `unsubscribed` of shape (leads,); `events` are sorted by lead and time.
    """
    return Situation(
        as_of=days(as_of),
        created=days(created)[lead],
        fit=effect.fit[lead],
        level=effect.level[lead],
        asking=effect.asking[lead],
        exit=effect.exit[lead],
        intent=_intent(world, lead, as_of, events),
        unsubscribed=unsubscribed[lead] < as_of,
        pending=_pending(rhythms, lead, as_of, events),
    )


def _intent(world: World, lead: Ints, as_of: Ints, events: Events) -> Floats:
    strength = events.each(world.strengths)
    matters = strength > 0
    whose, at = events.lead[matters], events.at[matters]
    sums = faded_sums(whose, days(at), strength[matters], world.memory_days)
    last = last_before(whose, at, lead, as_of)
    if not len(sums):
        return np.zeros(len(lead))
    faded = sums[last] * np.exp(-(as_of - at[last]) / 86400.0 / world.memory_days)
    return np.where(last >= 0, faded, 0.0)


def _pending(rhythms: Rhythms, lead: Ints, as_of: Ints, events: Events) -> Ints:
    """Return how often each lead has registered for the webinar that comes next at or after ``as_of``."""
    starts = np.rint(rhythms.webinars * 86400).astype(np.int64)
    previous = np.concatenate([[0], starts])[np.searchsorted(starts, as_of, side="left")]
    registered = events.where(events.are("webinar_registered"))
    return count_between(registered.lead, registered.at, lead, previous, as_of)
