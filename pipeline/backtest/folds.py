"""Where the origin stands as it rolls through the history, and what each fold may see from there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.errors import UnsupportedData
from pipeline.config import Backtest, Config
from pipeline.preparation import Prepared, Timeline, placed, prepare, timeline
from pipeline.source.columns import utc
from pipeline.source.dataset import Dataset
from pipeline.windows import BUILDING, CALENDAR, NEEDED, SHARES, bounds_at

# Without times, origins lie in the rows after this share of them.
FIRST_SHARE = 0.4


@dataclass(frozen=True)
class Fold:
    """One origin: what had matured by then, in its windows, and the time up to the next origin.

    ``prepared`` has the windows before the origin and the window "test": the leads open on the
    scoring calendar from the origin on (or, without times, the next rows). ``nights`` are that
    window's dates, as numbers without times.
    """

    name: str
    prepared: Prepared
    nights: list[pd.Timestamp] | list[int]


@dataclass(frozen=True)
class Plan:
    """All folds, in time order, and what there is to say about those that are not there.

    ``wins`` (lead_id, group_id, won_at) is None without times; ``order`` (index snapshot) is what
    first-come-first-served goes by.
    """

    folds: list[Fold]
    snapshots: ir.Table
    order: pd.Series
    wins: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def used(self) -> list[int]:
        """Numbers of the snapshots that any fold uses."""
        return sorted(set().union(*(fold.prepared.keys.index for fold in self.folds)))


def plan(dataset: Dataset) -> Plan:
    """Choose the origins and place the snapshots at each.

    Raises
    ------
    UnsupportedData
        There is no time order, or no two origins with enough past to train on.
    """
    split = dataset.config.split
    if split == "group":
        raise UnsupportedData(
            'With split = "group" the windows do not follow each other, so there is no origin to roll.',
            allowed='[windows] split = "time"',
            todo="leave out split: the backtest makes windows in time order at each origin",
        )
    if split == "random":
        raise UnsupportedData(
            "A flat table without an order has no past to train on and no future to test on.",
            allowed="a table with times, or rows in the order in which the leads came",
            todo='give created_at and [outcomes], or set order_by under [leads] to a column, or to "row"',
        )
    return _by_position(dataset) if split == "row" else _by_time(dataset)


def _by_time(dataset: Dataset) -> Plan:
    config = dataset.config
    assert dataset.observed_until is not None, "a table with times has a latest time"
    last = _history_end(config, pd.Timestamp(dataset.observed_until))
    seen = timeline(dataset, last.floor("D"))
    first = config.windows.train_from
    start = None if first is None else pd.Timestamp(utc(first, config.project.timezone))
    on_calendar = seen.keys.loc[seen.keys["age"] == CALENDAR, "as_of"]
    dates = sorted(on_calendar[on_calendar <= last].unique())

    def fold_at(begin: int, end: int) -> Fold:
        return _fold(dataset, seen, dates[begin:end], start)

    @cache
    def ready(place: int) -> bool:
        return _enough(lambda: fold_at(place, place + 1))

    kept = _origins(len(dates), ready, config.backtest)
    if len(kept) < 2:
        raise _too_few_origins(config.snapshots.horizon)
    folds = [fold_at(a, b) for a, b in zip(kept, [*kept[1:], len(dates)], strict=True)]
    notes = []
    if kept[0] > 0:
        notes.append(
            f"The first origin is {dates[kept[0]]:%Y-%m-%d}; the {kept[0]} scoring dates before are its past."
        )
    return Plan(folds, seen.snapshots, seen.keys["opened_at"], seen.wins, notes)


def _history_end(config: Config, observed_until: pd.Timestamp) -> pd.Timestamp:
    """Return the last moment that has matured, or that the configuration says the tests end at.

    The other dates pinned under ``[windows]`` are for one training: here the origin moves them.
    """
    last = observed_until - config.snapshots.horizon
    until = config.windows.test_until
    return last if until is None else min(last, pd.Timestamp(utc(until, config.project.timezone)))


def _fold(dataset: Dataset, seen: Timeline, dates: list[pd.Timestamp], start: pd.Timestamp | None) -> Fold:
    """Place the snapshots at the first of these dates; the test window is all of them."""
    aged = seen.keys.loc[seen.keys["age"] != CALENDAR, "as_of"]
    horizon = dataset.config.snapshots.horizon
    bounds = bounds_at(aged[aged < dates[0]], horizon, dates[0], dates[-1], start)
    prepared = placed(dataset, seen, bounds)
    keys = prepared.keys[prepared.keys["window"] != "test_by_age"]
    return Fold(_name(dates[0]), replace(prepared, keys=keys), list(dates))


def _name(origin: pd.Timestamp) -> str:
    return f"{origin:%Y-%m-%d}" if origin == origin.floor("D") else f"{origin:%Y-%m-%dT%H%M}"


def _origins(dates: int, ready: Callable[[int], bool], wanted: Backtest) -> list[int]:
    """Return the places of the origins, spread from the first that is ready to the end.

    One that is not ready (more past can mean later windows with fewer wins) is left out, or the
    origins are spread from behind it: whichever leaves more of them.
    """
    starts, best = [_first(dates, ready)], list[int]()
    while starts:
        step, number = _spread(dates - (start := starts.pop()), wanted.folds, wanted.every)
        origins = [dates - step * back for back in range(number, 0, -1)]
        kept = [place for place in origins if ready(place)]
        best = kept if len(kept) > len(best) else best
        starts += [place + 1 for place in origins if place not in kept and place >= start][-1:]
    return best


def _first(number: int, ready: Callable[[int], bool]) -> int:
    """Return the first place that is ready, by bisection: more past is never less to train on."""
    low, high = 0, number
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if ready(middle) else (middle + 1, high)
    return low


def _enough(make: Callable[[], Fold]) -> bool:
    """Say whether a fold's windows follow each other and can be built from."""
    try:
        return _can_build(make())
    except UnsupportedData:
        return False


def _can_build(fold: Fold) -> bool:
    """Say whether the windows before the origin hold enough of both classes."""
    summary = fold.prepared.summary
    rarer = {name: min(found["won"], found["leads"] - found["won"]) for name, found in summary.items()}
    return all(rarer[name] >= needed for name, needed in NEEDED.items() if name != "test")


def _spread(dates: int, folds: int, every: int | None) -> tuple[int, int]:
    """Return how many dates lie from one origin to the next, and how many origins there are."""
    step = every if every is not None else max(1, dates // folds)
    return step, min(folds, dates // step)


def _too_few_origins(horizon: timedelta | None) -> UnsupportedData:
    ripe = f", and a horizon of {horizon.days} days at each end" if horizon is not None else ""
    return UnsupportedData(
        "The history has no two origins with enough matured past to train on.",
        allowed=f"before each origin {NEEDED['train']} wins to train on, {NEEDED['calibration']} to "
        f"calibrate and {NEEDED['decision']} to decide on{ripe}",
        todo="give a longer history, shorten the horizon, or bring the origins closer with `every` under "
        "[backtest]; `propense train` tests on one window",
    )


def _by_position(dataset: Dataset) -> Plan:
    """Roll through rows in their order: nothing is known of when they matured, so there is no embargo."""
    prepared = prepare(dataset, ship=False)
    assert dataset.labels is not None, "a flat table has labels"
    of_lead = dataset.labels.select("lead_id", "position").to_pandas().set_index("lead_id")["position"]
    order = prepared.keys["lead_id"].map(of_lead).rank(method="first").astype(int)
    config = dataset.config.backtest
    first = int(FIRST_SHARE * len(order))
    step, number = _spread(len(order) - first, config.folds, config.every)
    edges = [len(order) - step * back for back in range(number, -1, -1)]
    folds = [
        _rows_fold(prepared, order, place, a, b) for place, (a, b) in enumerate(itertools.pairwise(edges))
    ]
    folds = [fold for fold in folds if _can_build(fold)]
    if len(folds) < 2:
        raise _too_few_origins(None)
    notes = ["Rows have no times: a fold's past is the rows before it, and no embargo is possible."]
    return Plan(folds, prepared.snapshots, order, None, notes)


def _rows_fold(prepared: Prepared, order: pd.Series, place: int, origin: int, until: int) -> Fold:
    """Place the rows before an origin in the building windows, and those up to the next in the test."""
    shares = np.cumsum([SHARES[name] for name in BUILDING])
    place_of = np.searchsorted(shares[:-1] / shares[-1], (order - 0.5) / origin, side="right")
    own = pd.Series(np.array(BUILDING, dtype=object)[place_of], index=order.index)
    own = own.mask(order > origin, "test").where(order <= until, "")
    keys = prepared.keys.assign(window=own)
    # A group belongs to the window of its first row; seen again later it is only ever tested.
    home = own.loc[order.groupby(keys["group_id"]).transform("idxmin")].to_numpy()
    keys = keys[((own == home) | (own == "test")) & (own != "")]
    share = float((keys["window"] == "decision").sum() / max((keys["window"] != "test").sum(), 1))
    fold = replace(prepared, keys=keys, decision_share=share)
    return Fold(f"row-{origin + 1:07d}", fold, [place])
