"""The decision window as it would have been operated: who crosses a margin first, and what became of it.

The unit is the group: the account where people share one, else the lead. Leads of one account convert
or not together, so counting each would make a promise look surer than it is. A group contributes its
first crossing or nothing; one that had crossed before the window became an MQL then and contributes
nothing to the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError, listed

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

NEEDED = ("lead_id", "margin", "propensity", "label")


@dataclass(frozen=True)
class Replay:
    """Snapshots in the order in which they were scored, group by group, and the wins.

    Attributes
    ----------
    group
        (n,) number of the group; rows are sorted by group, then time, then lead.
    margin, propensity, label
        (n,) what the model said, and whether it converted within the horizon (not used before the window).
    inside
        (n,) whether the snapshot lies in the window, not before it.
    reached
        (w,) for each group with a win in the window: the highest margin that the lead which won had
        reached by then; minus infinity for one that was never scored before it won.
    all_wins
        Whether `reached` knows the wins of leads that were never scored.
    unit
        "account" where some leads share a group, else "lead".
    """

    group: Codes
    margin: Floats
    propensity: Floats
    label: Floats
    inside: NDArray[np.bool_]
    reached: Floats
    all_wins: bool
    unit: str

    @classmethod
    def of(
        cls,
        snapshots: pd.DataFrame,
        *,
        earlier: pd.DataFrame | None = None,
        wins: pd.DataFrame | None = None,
    ) -> Replay:
        """Set up the replay.

        Parameters
        ----------
        snapshots
            The window's: ``lead_id, margin, propensity, label``; optionally ``group_id`` (else each lead
            is its own) and ``as_of`` (else each lead has one row).
        earlier
            The same leads' snapshots before the window: ``lead_id, margin, as_of`` and ``group_id``.
        wins
            ``lead_id, won_at`` and optionally ``group_id``: all wins in the window, also of leads that were
            never scored. Without it the winners are the leads with a label 1 in the window.

        Raises
        ------
        DataError
            A column is missing.
        """
        missing = [name for name in NEEDED if name not in snapshots]
        if missing:
            raise DataError(f"The snapshots to replay lack {listed(missing)}.", allowed=listed(NEEDED))
        rows = _together(snapshots, earlier)
        found = _winners(rows) if wins is None else _from_wins(rows, wins)
        return cls(
            group=pd.factorize(rows["group_id"])[0],
            margin=rows["margin"].to_numpy(float),
            propensity=rows["propensity"].to_numpy(float),
            label=rows["label"].to_numpy(float),
            inside=rows["inside"].to_numpy(bool),
            reached=found,
            all_wins=wins is not None,
            unit="account" if rows["group_id"].nunique() < rows["lead_id"].nunique() else "lead",
        )

    @property
    def units(self) -> int:
        """The number of groups with a snapshot in the window."""
        return len(np.unique(self.group[self.inside]))

    def first(self, margin: float) -> Codes:
        """Return the rows (c,) that are a group's first crossing of `margin`, of those in the window."""
        above = np.flatnonzero(self.margin >= margin)
        of = self.group[above]
        # Rows of a group stand together: the first of each run is its first crossing.
        rows = above[np.r_[True, of[1:] != of[:-1]]] if len(above) else above
        return rows[self.inside[rows]]

    def converted(self, margin: float) -> tuple[int, int]:
        """Return how many groups cross `margin` in the window, and how many of them then convert."""
        rows = self.first(margin)
        return len(rows), int(self.label[rows].sum())

    def expected(self, margin: float) -> tuple[int, float]:
        """Return how many groups cross `margin`, and the mean propensity there: no label is looked at."""
        rows = self.first(margin)
        return len(rows), float(self.propensity[rows].mean()) if len(rows) else 0.0

    def caught(self, margin: float) -> tuple[int, int]:
        """Return the number of groups with a win, and of those that had crossed `margin` before it."""
        return len(self.reached), int((self.reached >= margin).sum())


def _together(snapshots: pd.DataFrame, earlier: pd.DataFrame | None) -> pd.DataFrame:
    """Return all snapshots in the order in which they were scored within each group."""
    rows = _grouped(snapshots).assign(inside=True)
    if earlier is not None and len(earlier):
        # What they were labelled is of no interest, and no one looks.
        before = _grouped(earlier).assign(inside=False, label=0, propensity=0.0)
        rows = pd.concat([before, rows], ignore_index=True)
    order = ["group_id", *(["as_of"] if "as_of" in rows else []), "lead_id"]
    columns = [*dict.fromkeys([*order, "margin", "propensity", "label", "inside"])]
    return rows[columns].sort_values(order, kind="stable", ignore_index=True)


def _grouped(table: pd.DataFrame) -> pd.DataFrame:
    return table if "group_id" in table else table.assign(group_id=table["lead_id"])


def _winners(rows: pd.DataFrame) -> Floats:
    """Return the margin reached by each group's first winner: by its last snapshot that saw the win come."""
    won = rows[rows["inside"] & (rows["label"] == 1)]
    if not len(won):
        return np.zeros(0)
    winner = won.drop_duplicates("group_id")["lead_id"]
    last = won[won["lead_id"].isin(winner)].drop_duplicates("lead_id", keep="last")
    until = pd.Series(last.index, index=last["lead_id"].to_numpy())
    known = rows[rows["lead_id"].isin(winner)]
    # Within a group rows are in order of time, and a lead is in one group.
    known = known[known.index <= known["lead_id"].map(until)]
    return known.groupby("lead_id")["margin"].max().to_numpy(float)


def _from_wins(rows: pd.DataFrame, wins: pd.DataFrame) -> Floats:
    """Return the margin reached by each group's first winner before it won, if it was ever scored."""
    first = _grouped(wins).sort_values(["won_at", "lead_id"], kind="stable").drop_duplicates("group_id")
    if not len(first):
        return np.zeros(0)
    seen = rows.merge(first[["lead_id", "won_at"]], on="lead_id")
    if "as_of" in seen:
        # As labels do: a win at the very moment of the snapshot comes after it.
        seen = seen[seen["as_of"] <= seen["won_at"]]
    reached = seen.groupby("lead_id")["margin"].max()
    return reached.reindex(first["lead_id"]).fillna(-np.inf).to_numpy(float)
