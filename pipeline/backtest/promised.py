"""What a fold's cutoff promised, and what the time after its origin made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import promises
from models.crossings import WEEK, proportion

VIOLATED = "violated"


def promised_and_realised(
    cutoff: dict[str, Any],
    rows: pd.DataFrame,
    mql: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    step: pd.Timedelta | None,
    wins: pd.DataFrame | None,
    *,
    first: bool,
) -> dict[str, Any]:
    """Return promised and realised precision and volume of one fold.

    Parameters
    ----------
    rows, mql, inside
        The rows of all folds in time order; which are an MQL's first crossing; which are this fold's.
    step
        From one scoring date to the next; None without times.
    wins
        lead_id, group_id, won_at from this origin to the next; None without times.
    first
        Whether it is the first fold, whose first night has a backlog.

    The realised precision counts each lead, or account where people share one, at its first crossing
    in the whole backtest: later ones of the same account are no independent evidence.
    """
    units = rows[mql].drop_duplicates("group_id")
    ours = units[units.index.isin(np.flatnonzero(inside))]
    if first and step is not None:  # when those crossed who were there before, nobody saw
        ours = ours[~_backlog(ours, rows["night"].min(), step)]
    converted = int(ours["label"].sum())
    promise = cutoff["promise"]
    checked = None
    if promise is not None and promise["what"] == "precision":
        checked = promises.realised(promise, len(ours), converted)
    elif promise is not None and wins is not None:
        checked = promises.realised(promise, *caught_by_group(wins, rows[mql]))
    return {
        "promised": None if checked is None else {"what": promise["what"], **checked},
        "estimated": cutoff["evidence"].get("estimate", {}).get("value"),
        "realised": {**proportion(converted, len(ours)), "mqls": len(ours), "conversions": converted},
        "held": None if checked is None else checked["verdict"],
        "volume": _volume(cutoff, rows[mql & inside], rows.loc[inside, "night"], step, first=first),
    }


def caught_by_group(wins: pd.DataFrame, mqls: pd.DataFrame) -> tuple[int, int]:
    """Return how many groups won, and of how many the first winner had become an MQL before."""
    first = wins.sort_values(["won_at", "lead_id"], kind="stable").drop_duplicates("group_id")
    since = mqls.drop_duplicates("lead_id").set_index("lead_id")["night"]
    return len(first), int((first["lead_id"].map(since) <= first["won_at"]).sum())


def violations(folds: list[dict[str, Any]]) -> int:
    """Return in how many folds the realised share is significantly below the promised one."""
    return sum(fold["held"] == VIOLATED for fold in folds)


def _backlog(mqls: pd.DataFrame, begin: pd.Timestamp, step: pd.Timedelta) -> pd.Series:
    """Return which MQLs of the first night would have been seen, and may have crossed, before it."""
    return (mqls["night"] == begin) & (mqls["opened_at"] < begin - step)


def _volume(
    cutoff: dict[str, Any], mqls: pd.DataFrame, nights: pd.Series, step: pd.Timedelta | None, *, first: bool
) -> dict[str, Any] | None:
    """Return new MQLs a week as estimated and as realised, the first night's backlog left out."""
    if step is None:
        return None
    weeks = float(nights.nunique() * step / WEEK)
    backlog = 0
    if first:  # who was open at the last scoring date before the first would have been seen then
        backlog = int(_backlog(mqls, nights.min(), step).sum())
    return {
        "estimated": cutoff["evidence"].get("mqls_per_week"),
        "realised": (len(mqls) - backlog) / weeks,
        "backlog": backlog,
        "weeks": weeks,
    }
