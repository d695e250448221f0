"""Plants traps, and honest columns that look as strong, into real and simulated projects.

A *trap* says of a lead what nobody could know while it was open. An *honest* plant was known when
the lead was created (or is an activity of its open life), however well it separates. It is drawn from how
each lead *will* end: for leads that are still open, an end is drawn with the odds of leads that
were still open at that age. So among open leads an honest column looks as it would in production,
and a trap shows the state of the day of the export: that is the difference that a guard can find.

Names of planted columns, kinds and files say nothing (f03, k01, t02).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from guard_worlds import DAY, World
from honest import (
    asked_before_winning,
    asked_for,
    bought_entity,
    drifting,
    filled_by,
    in_open_life,
    known_at_creation,
    like_the_score,
    never_wins,
    new_source,
    of_the_account,
    rising,
    switched_off,
    visits_before,
)
from traps import (
    Make,
    at_outcome,
    batch_number,
    closing_note,
    copy_of,
    count_today,
    filled_for,
    growing_id,
    refreshed_score,
    won_entity,
)

from pipeline.config import Activities, Config, Entities

Subject = Literal["attribute", "kind", "entity table", "activity table"]
MINUTE = pd.Timedelta(1, "min")


@dataclass(frozen=True)
class Plant:
    """One thing to plant.

    `make` returns for an attribute a column in the order of the leads; for a kind or an activity
    table ``lead_id, occurred_at``; for an entity table ``lead_id`` and its columns. `needs` says what
    a world must have: "times", "activities", "losses" (leads that ended without a win),
    "accounts".
    """

    what: str
    honest: bool
    subject: Subject
    make: Make
    needs: frozenset[str] = frozenset()

    def fits(self, world: World) -> bool:
        """Whether the world has what it takes."""
        has = {
            "times": world.until is not None,
            "activities": len(world.activities) > 0,
            "losses": bool(world.lost.any()),
            "accounts": world.config.leads.account is not None,
        }
        return all(has[need] for need in self.needs)


TIMES, LOSSES, LIVES = frozenset({"times"}), frozenset({"times", "losses"}), frozenset({"activities"})
PLANTS = (
    Plant("filled after winning", False, "attribute", filled_for("won", 1.0)),
    Plant("filled after 60 % of wins", False, "attribute", filled_for("won", 0.6)),
    Plant("filled after losing", False, "attribute", filled_for("lost", 1.0), LOSSES),
    Plant("closing note of any outcome", False, "attribute", closing_note, LOSSES),
    Plant("count of all activities, as of today", False, "attribute", count_today(False), LIVES),
    Plant("count of one kind, as of today", False, "attribute", count_today(True), LIVES),
    Plant("copy of the outcome, 5 % flipped", False, "attribute", copy_of("won", 0.05)),
    Plant("copy of the outcome, 15 % flipped", False, "attribute", copy_of("won", 0.15)),
    Plant("number that grows with time", False, "attribute", growing_id),
    Plant("batch number", False, "attribute", batch_number),
    Plant("score as of today", False, "attribute", refreshed_score),
    Plant("kind 2 min before a win", False, "kind", at_outcome("won", -2 * MINUTE, -2 * MINUTE), TIMES),
    Plant("kind after a win", False, "kind", at_outcome("won", MINUTE, 10 * DAY), TIMES),
    Plant("kind around any outcome", False, "kind", at_outcome("closed", -3 * MINUTE, 3 * MINUTE), LOSSES),
    Plant("kind of wins, backdated 1 to 5 days", False, "kind", at_outcome("won", -5 * DAY, -DAY), TIMES),
    Plant("table about won leads", False, "entity table", won_entity, TIMES),
    Plant("activities of won leads, backdated", False, "activity table",
          at_outcome("won", -DAY, -DAY), TIMES),
    Plant("number, AUC 0.75", True, "attribute", known_at_creation(0.75)),
    Plant("number, AUC 0.85", True, "attribute", known_at_creation(0.85)),
    Plant("number, AUC 0.92", True, "attribute", known_at_creation(0.92)),
    Plant("number, AUC 0.96", True, "attribute", known_at_creation(0.96)),
    Plant("twin of the copy, 5 % flipped", True, "attribute", copy_of("eventual", 0.05)),
    Plant("twin of the copy, 15 % flipped", True, "attribute", copy_of("eventual", 0.15)),
    Plant("twin of the score", True, "attribute", like_the_score),
    Plant("twin of the field of 60 % of wins (and 2 % of others)", True, "attribute", filled_by((0.6, 0.02))),
    Plant("filled more often by serious leads", True, "attribute", filled_by((0.75, 0.35), 0.3)),
    Plant("source that grows, unrelated", True, "attribute", drifting(0.0)),
    Plant("source that grows, mildly related", True, "attribute", drifting(0.12)),
    Plant("quantity that rises over the years", True, "attribute", rising),
    Plant("visits before creation, as lively as later", True, "attribute", visits_before, LIVES),
    Plant("field asked for lately", True, "attribute", asked_for(0.8, 1.0)),
    Plant("field no longer asked for", True, "attribute", asked_for(0.0, 0.9)),
    Plant("new source of late", True, "attribute", new_source),
    Plant("value that never wins", True, "attribute", never_wins),
    Plant("number that an account's leads share", True, "attribute", of_the_account, frozenset({"accounts"})),
    Plant("kind of the open life", True, "kind", in_open_life(0.7, 0.1), TIMES),
    Plant("kind of a tool given up lately", True, "kind", switched_off, TIMES),
    Plant("request hours before many wins", True, "kind", asked_before_winning, TIMES),
    Plant("table about half of the leads", True, "entity table", bought_entity, TIMES),
    Plant("activities of active leads", True, "activity table", in_open_life(0.5, 0.15, 4), TIMES),
)  # fmt: skip


# --- writing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """A project with plants: its configuration, and the names under which each plant is found.

    `columns` holds the planted attributes, indexed by lead_id.
    """

    config: Config
    names: dict[str, str]
    columns: pd.DataFrame


def plant(world: World, plants: Iterable[Plant], folder: Path, seed: int) -> Planted:
    """Write a world's tables with `plants` into `folder` and return its configuration.

    The leads and what is planted are written; the other tables are read where they are.
    """
    config = world.config
    names: dict[str, str] = {}
    columns: dict[str, pd.Series] = {}
    log: list[pd.DataFrame] = []
    entities, tables = list(config.entities), list(config.activities)
    for number, one in enumerate(plants, 1):
        made = one.make(world, np.random.default_rng([seed, PLANTS.index(one)]))
        if one.subject == "attribute":
            columns[f"f{number:02d}"] = made
            names[one.what] = f"f{number:02d}"
            continue
        stem = f"k{number:02d}" if one.subject == "kind" else f"t{number:02d}"
        names[one.what] = stem
        path = folder / f"{stem}.csv"
        if one.subject == "entity table":
            made.to_csv(path, index=False)
            entities.append(Entities(table=str(path), key="lead_id", lead_key=str(config.leads.id)))
        elif one.subject == "kind":
            log.append(_in_time(world, made).assign(kind=stem))
        else:
            _in_time(world, made).to_csv(path, index=False)
            tables.append(_activities(path, kind_is=f"kind of {stem}"))
    if log:
        harmless = in_open_life(0.8, 0.8, 3)(world, np.random.default_rng([seed, 999])).assign(kind="k00")
        pd.concat([_in_time(world, harmless), *log]).to_csv(folder / "log.csv", index=False)
        tables.append(_activities(folder / "log.csv", kind="kind"))
    leads, path = config.leads, folder / "leads.csv"
    world.raw.assign(**columns).to_csv(path, index=False, sep=leads.separator or ",")
    listed = None if leads.attributes is None else [*leads.attributes, *columns]
    leads = leads.model_copy(update={"table": str(path), "attributes": listed})
    frame = pd.DataFrame(columns, index=world.fates.index).set_index(world.fates["lead_id"].to_numpy())
    changed = {"leads": leads, "entities": entities, "activities": tables}
    return Planted(config.model_copy(update=changed), names, frame)


def _activities(path: Path, **kind: Any) -> Activities:
    return Activities(table=str(path), lead_id="lead_id", occurred_at="occurred_at", **kind)


def _in_time(world: World, rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out what would happen after the log ends."""
    return rows[rows["occurred_at"] <= world.until].assign(
        occurred_at=lambda r: r["occurred_at"].dt.as_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    )
