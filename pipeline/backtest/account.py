"""What a backtest found, from the predictions of its folds: as operated, and at equal contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from models.crossings import proportion
from models.operation import Nights, equal_contacts, fewer_calls, more_customers
from pipeline.backtest.folds import Plan
from pipeline.backtest.money import revenue, value_of
from pipeline.backtest.one import ranking
from pipeline.backtest.promised import promised_and_realised, violations
from pipeline.backtest.store import NUMBERS
from pipeline.backtest.words import sentence, words
from pipeline.config import Config, format_duration
from pipeline.source.dataset import Dataset

Flags = NDArray[np.bool_]
# The policies compared at equal contacts, in the order in which they are shown.
POLICIES = (
    "propense",
    "points",
    "points_refitted",
    "logistic",
    "first_come",
    "newest_first",
    "foresight",
)
PREDICTIONS = pa.schema(
    [
        ("fold", pa.string()),
        ("lead_id", pa.string()),
        ("group_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("label", pa.int8()),
        *((name, pa.float64()) for name in NUMBERS),
        ("mql", pa.bool_()),
        ("mql_by_points", pa.bool_()),
        *((f"contact_{name}", pa.bool_()) for name in POLICIES),
    ]
)


def account_of(
    dataset: Dataset, plan: Plan, folds: list[dict[str, Any]], rows: pd.DataFrame
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the account, and the rows with who was contacted.

    Parameters
    ----------
    folds
        The account of each fold as it was trained, in time order.
    rows
        The predictions of all folds.
    """
    config = dataset.config
    rows = rows.sort_values(["night", "lead_id"], kind="stable", ignore_index=True)
    nights = Nights(rows.assign(as_of=rows["night"]))
    mql = nights.first(rows["passes"])
    own = own_thresholds(config, nights, rows, mql)
    reference = "points" if "points" in own else "propense"
    passes = rows["passes"] if reference == "propense" else rows["points"] >= config.decision.rules_mql_at
    scores = policy_scores(nights, rows)
    contacts = equal_contacts(nights, scores, reference, passes)
    step = pd.Timedelta(config.snapshots.scoring_every) if plan.wins is not None else None
    described = [
        _fold(dataset, plan, found, _Seen(rows, nights, own, contacts), step, first=place == 0)
        for place, found in enumerate(folds)
    ]
    against = "points" if "points" in scores else "first_come"
    account = {
        "project": config.project.name,
        "target": config.project.target,
        "horizon": None if config.flat else format_duration(config.snapshots.horizon),
        "folds": described,
        "overall": _overall(config, described, rows, own, nights),
        "reference": reference,
        "comparison": {
            name: nights.count(flags) | value_of(config, nights.count(flags))
            for name, flags in contacts.items()
        },
        "answer": _answer(config, nights, scores, contacts, against),
        "notes": plan.notes,
    }
    account["sentence"] = sentence(account)
    account["words"] = words(account)
    flags = {f"contact_{name}": contacts.get(name) for name in POLICIES}
    return account, rows.assign(mql=mql, mql_by_points=own.get("points"), **flags)


@dataclass(frozen=True)
class _Seen:
    """The rows of all folds, and who is contacted on each: under own thresholds, and at equal contacts."""

    rows: pd.DataFrame
    nights: Nights
    own: Mapping[str, Flags]
    contacts: Mapping[str, Flags]


def own_thresholds(config: Config, nights: Nights, rows: pd.DataFrame, mql: Flags) -> dict[str, Flags]:
    """Return who is contacted by the cutoff, and by the user's points at the user's own threshold."""
    found = {"propense": mql}
    threshold = config.decision.rules_mql_at
    if threshold is not None and rows["points"].notna().all():
        found["points"] = nights.first(rows["points"] >= threshold)
    return found


def policy_scores(nights: Nights, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the score by which each policy chooses; those that need rules only where there are rules.

    First come, first served takes the lead that has been open longest; newest first the opposite.
    """
    waiting = rows["waiting_since"].astype("int64").to_numpy(float)
    found = {
        "propense": rows["margin"],
        "points": rows["points"],
        "points_refitted": rows["points_refitted"],
        "logistic": rows["logistic"],
        "first_come": -waiting,
        "newest_first": waiting,
        "foresight": nights.foresight(),
    }
    return {
        name: score for name, score in found.items() if not np.isnan(np.asarray(score, dtype=float)).any()
    }


def _answer(
    config: Config, nights: Nights, scores: Mapping[str, Any], contacts: Mapping[str, Flags], against: str
) -> dict[str, Any] | None:
    """Return what a head of sales wants to know, or None where nobody was contacted."""
    ours, theirs = contacts["propense"], contacts[against]
    if not ours.any():
        return None
    seed = config.model.seed
    return {
        "against": against,
        "calls": int(ours.sum()),
        "customers": nights.count(ours)["customers"],
        "customers_against": nights.count(theirs)["customers"],
        "more_customers": more_customers(nights, ours, theirs, seed=seed).to_dict(),
        "fewer_calls": fewer_calls(nights, scores["propense"], ours, theirs, seed=seed).to_dict(),
    }


def _fold(
    dataset: Dataset,
    plan: Plan,
    found: dict[str, Any],
    seen: _Seen,
    step: pd.Timedelta | None,
    *,
    first: bool,
) -> dict[str, Any]:
    """Return one fold's account: what was promised at its origin, and what came of it."""
    inside = (seen.rows["fold"] == found["origin"]).to_numpy()
    rows = seen.rows[inside]
    mql = seen.own["propense"]
    wins = None if plan.wins is None or step is None else wins_between(plan.wins, rows["night"], step)
    account = found | {
        "until": f"{rows['night'].max().isoformat()}Z" if step is not None else None,
        "nights": int(rows["night"].nunique()),
        "scored": {"snapshots": len(rows), "leads": int(rows["lead_id"].nunique())},
        **promised_and_realised(found["cutoff"], seen.rows, mql, inside, step, wins, first=first),
        "calibration": {**found["calibration"], **expected_conversions(rows)},
        "as_operated": {name: seen.nights.count(flags & inside) for name, flags in seen.own.items()},
        "equal_contacts": {name: seen.nights.count(flags & inside) for name, flags in seen.contacts.items()},
    }
    if "points" in account["as_operated"]:
        operated = account["as_operated"]
        account["contacts_saved"] = operated["points"]["contacts"] - operated["propense"]["contacts"]
    if wins is not None:
        account["wins"] = wins_caught(wins, seen.rows, mql)
        account["revenue"] = revenue(dataset, rows[rows["night"] == rows["night"].min()])
    return account


def expected_conversions(rows: pd.DataFrame) -> dict[str, Any]:
    """Return how many conversions the propensities announced, and how many there were.

    Each lead counts once, at the first of its snapshots. ``low`` and ``high`` are where nine counts in
    ten fall if every propensity is true and leads are independent (the sum of unequal coins, as a
    normal).
    """
    first = rows.sort_values("night", kind="stable").drop_duplicates("lead_id")
    expected = float(first["propensity"].sum())
    deviation = float(np.sqrt((first["propensity"] * (1 - first["propensity"])).sum()))
    return {
        "leads": len(first),
        "expected": expected,
        "low": max(0.0, expected - 1.645 * deviation),
        "high": expected + 1.645 * deviation,
        "observed": int(first["label"].sum()),
    }


def wins_between(wins: pd.DataFrame, nights: pd.Series, step: pd.Timedelta) -> pd.DataFrame:
    """Return the wins from a fold's first night to the next fold's: each win counts once."""
    return wins[(wins["won_at"] >= nights.min()) & (wins["won_at"] < nights.max() + step)]


def wins_caught(wins: pd.DataFrame, rows: pd.DataFrame, mql: Flags) -> dict[str, int]:
    """Return what became of the leads that won in a fold's time.

    ``caught``: the lead had become an MQL before; ``missed``: it was scored, and had not; ``never_scored``:
    it came and won between two scoring dates, or sales had taken it over before the first.
    """
    won_at = wins.groupby("lead_id")["won_at"].min()
    since = rows.loc[mql].set_index("lead_id")["night"]
    caught = (since.reindex(won_at.index) <= won_at).to_numpy()
    first = rows.groupby("lead_id")["night"].min()
    scored = (first.reindex(won_at.index) <= won_at).to_numpy()
    return {
        "caught": int(caught.sum()),
        "missed": int((scored & ~caught).sum()),
        "never_scored": int((~scored).sum()),
    }


def _overall(
    config: Config,
    folds: list[dict[str, Any]],
    rows: pd.DataFrame,
    own: Mapping[str, Flags],
    nights: Nights,
) -> dict[str, Any]:
    operated = {name: nights.count(flags) for name, flags in own.items()}
    units = rows[own["propense"]].drop_duplicates("group_id")
    found = {
        "mqls": operated["propense"]["contacts"],
        "customers": operated["propense"]["customers"],
        "realised": {
            **proportion(int(units["label"].sum()), len(units)),
            "units": len(units),
            "conversions": int(units["label"].sum()),
        },
        "as_operated": {name: counts | value_of(config, counts) for name, counts in operated.items()},
        "ranking": ranking(rows, config.model.seed, resamples=200),
        "violations": violations(folds),
        "promises": sum(fold["promised"] is not None for fold in folds),
        "calibration": {
            name: sum(fold["calibration"][name] for fold in folds) for name in ("expected", "observed")
        },
    }
    for part in ("wins", "revenue"):
        known = [fold[part] for fold in folds if fold.get(part)]
        if known:
            found[part] = {name: sum(k[name] for k in known) for name in known[0] if name != "mean_amount"}
    if "points" in operated:
        found["contacts_saved"] = operated["points"]["contacts"] - operated["propense"]["contacts"]
    return found
