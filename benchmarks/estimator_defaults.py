"""Are the defaults of `LeadClassifier` at least as good as a well-made logistic regression?

    PYTHONPATH=. python benchmarks/estimator_defaults.py [--data DIR] [--wins 50 150 500 0] [--repeats 2]
                                                            [--origins 0.55]

Five public data sets, in time order where they have one: the first 55 % of the leads (an origin)
train, the last part of them stops the boosting, the next 15 % calibrate both models (Platt) and the
next 30 % test. Several origins, as in ``--origins 0.25 0.35 0.45 --wins 0``, show whether a choice
holds over time without looking at the last leads. Training and calibration are thinned to about so
many wins; 0 means all. Printed: log loss
on the test leads, calibrated and as it comes, less that of the logistic regression; its standard
error from a paired bootstrap by lead; and the differences in AUC and average precision. Negative
log loss and positive AUC are in the estimator's favour.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from models.baselines import LogisticBaseline, PointsBaseline
from models.estimator import LeadClassifier
from models.labels import log_losses

AGES = (1, 3, 7, 14)  # days at which an application of bpic2012 is seen
HORIZON = pd.Timedelta(days=30)
OUTCOME_EVENTS = {
    "A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED",
    "O_ACCEPTED", "O_DECLINED", "O_CANCELLED",
}  # fmt: skip
AFTER_THE_FACT = ["Tags", "Lead Quality", "Lead Profile", "Last Notable Activity", "Last Activity"]


class Table(NamedTuple):
    """Features, labels, lead of each row, and what sorts the leads in time (None: nothing does)."""

    X: pd.DataFrame
    y: np.ndarray
    lead: np.ndarray
    order: np.ndarray | None

    def of(self, leads: np.ndarray) -> Table:
        rows = np.flatnonzero(pd.Index(self.lead).isin(leads))
        return Table(self.X.iloc[rows].reset_index(drop=True), self.y[rows], self.lead[rows], None)


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float, everything else as category."""
    kinds = {c: float if pd.api.types.is_numeric_dtype(frame[c]) else "category" for c in frame}
    return frame.astype(kinds)


def bank(root: Path) -> Table:
    frame = pd.read_csv(root / "bank/bank-full.csv", sep=";").drop(columns="duration")
    y = (frame.pop("y") == "yes").to_numpy(int)
    return Table(typed(frame), y, np.arange(len(y)), np.arange(len(y)))


def shoppers(root: Path) -> Table:
    frame = pd.read_csv(root / "shoppers/online_shoppers_intention.csv").drop(columns="PageValues")
    y = frame.pop("Revenue").to_numpy(int)
    codes = ["OperatingSystems", "Browser", "Region", "TrafficType"]
    return Table(typed(frame.astype(dict.fromkeys(codes, str))), y, np.arange(len(y)), None)


def xeducation(root: Path) -> Table:
    frame = pd.read_csv(root / "xeducation/Leads.csv").replace("Select", np.nan)
    y, order = frame.pop("Converted").to_numpy(int), frame.pop("Lead Number").to_numpy()
    leaks = [c for c in frame if c.startswith("Asymm") or c in AFTER_THE_FACT]
    return Table(typed(frame.drop(columns=[*leaks, "Prospect ID"])), y, np.arange(len(y)), order)


def olist(root: Path) -> Table:
    leads = pd.read_csv(
        root / "olist/olist_marketing_qualified_leads_dataset.csv", parse_dates=["first_contact_date"]
    )
    leads = leads[leads.first_contact_date >= "2018-01-01"].sort_values("first_contact_date")
    won = pd.read_csv(root / "olist/olist_closed_deals_dataset.csv").mql_id
    seen = leads.landing_page_id.map(leads.landing_page_id.value_counts())
    frame = pd.DataFrame(
        {
            "page": leads.landing_page_id.where(seen >= 20, "rare"),
            "origin": leads.origin,
            "weekday": leads.first_contact_date.dt.day_of_week,
        }
    ).reset_index(drop=True)
    y = leads.mql_id.isin(won).to_numpy(int)
    return Table(typed(frame), y, np.arange(len(y)), np.arange(len(y)))


def bpic2012(root: Path) -> Table:
    cases = pd.read_csv(root / "bpic2012/applications.csv", parse_dates=["reg_date"])
    ends = pd.read_csv(root / "bpic2012/outcomes.csv", parse_dates=["outcome_ts"])
    events = pd.read_parquet(root / "bpic2012/events.parquet").astype({"case_id": cases.case_id.dtype})
    last = events.timestamp.max()
    events = events[~events.activity.isin(OUTCOME_EVENTS)]
    cases = cases.merge(ends, on="case_id", how="left")
    frame = pd.concat([seen_at(cases, events, age, last) for age in AGES], ignore_index=True)
    won = (frame.outcome == "won") & (frame.outcome_ts <= frame.as_of + HORIZON)
    lead, order = frame.case_id.to_numpy(), frame.reg_date.astype("int64").to_numpy()
    known = frame.drop(columns=["case_id", "reg_date", "outcome", "outcome_ts", "as_of"])
    return Table(typed(known), won.to_numpy(int), lead, order)


def seen_at(cases: pd.DataFrame, events: pd.DataFrame, age: int, last: pd.Timestamp) -> pd.DataFrame:
    """The open and matured applications at one age: counts and recency a kind, and sums over all."""
    cases = cases.assign(age=float(age), as_of=cases.reg_date + pd.Timedelta(days=age))
    is_open = cases.outcome_ts.isna() | (cases.outcome_ts > cases.as_of)
    cases = cases[is_open & (cases.as_of + HORIZON <= last)]
    past = events.merge(cases[["case_id", "as_of"]], on="case_id").query("timestamp < as_of")
    past["ago"] = (past.as_of - past.timestamp).dt.total_seconds() / 86400
    past["day"] = past.timestamp.dt.floor("D")
    kinds = past.pivot_table(index="case_id", columns="activity", values="ago", aggfunc=["size", "min"])
    kinds.columns = [f"{how}: {kind}" for how, kind in kinds.columns]
    kinds = kinds.fillna({c: 0 for c in kinds if c.startswith("size")})
    overall = past.groupby("case_id").agg(
        events=("ago", "size"), last=("ago", "min"), days=("day", "nunique"), people=("resource", "nunique")
    )
    return cases.join(kinds, on="case_id").join(overall, on="case_id")


TABLES = {"bpic2012": bpic2012, "xeducation": xeducation, "olist": olist, "bank": bank, "shoppers": shoppers}


def split(table: Table, wins: int, rng: np.random.Generator, origin: float) -> list[Table]:
    """Train, stopping, calibration and test, of disjoint leads."""
    leads = pd.Series(table.lead if table.order is None else table.order).groupby(table.lead).min()
    leads = leads.sample(frac=1, random_state=rng) if table.order is None else leads.sort_values()
    edges = np.array([0.82 * origin, origin, origin + 0.15, min(origin + 0.45, 1.0)]) * len(leads)
    parts = np.split(leads.index.to_numpy(), edges.astype(int))[:4]
    if wins:
        won = np.unique(table.lead[table.y == 1])
        share = wins / np.isin(np.concatenate(parts[:2]), won).sum()
        parts[:3] = [part[rng.random(len(part)) < share] for part in parts[:3]]
    return [table.of(part) for part in parts]


def standard_error(difference: np.ndarray, lead: np.ndarray, rng: np.random.Generator) -> float:
    """Of the mean difference, from a bootstrap of the leads."""
    total = pd.Series(difference).groupby(lead).agg(["sum", "size"]).to_numpy()
    draws = rng.integers(0, len(total), (200, len(total)))
    return float(np.std(total[draws, 0].sum(1) / total[draws, 1].sum(1)))


def compare(table: Table, wins: int, seed: int, origin: float) -> dict[str, float] | None:
    """One line of the table; None when thinning left a window with one class."""
    rng = np.random.default_rng(seed)
    train, stop, calibration, test = split(table, wins, rng, origin)
    if min(len(np.unique(part.y)) for part in (train, stop, calibration)) < 2:
        return None
    losses, row = {}, {}
    for name, model in (("logistic", LogisticBaseline()), ("trees", LeadClassifier(seed=seed))):
        began = time.perf_counter()
        model.fit(train.X, train.y, groups=train.lead, stopping=(stop.X, stop.y))
        row[f"{name} s"] = time.perf_counter() - began
        raw = model.margin(test.X)
        platt = PointsBaseline().fit(model.margin(calibration.X), calibration.y)
        losses[name] = log_losses(test.y, platt.margin(raw))
        row |= {
            f"{name} loss": losses[name].mean(),
            f"{name} raw": log_losses(test.y, raw).mean(),
            f"{name} auc": roc_auc_score(test.y, raw),
            f"{name} ap": average_precision_score(test.y, expit(raw)),
        }
    row["se"] = standard_error(losses["trees"] - losses["logistic"], test.lead, rng)
    row["wins"] = model.wins_
    row["rounds"] = model.rounds_
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = os.environ.get("PROPENSE_REAL_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--wins", type=int, nargs="+", default=[50, 150, 500, 0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--origins", type=float, nargs="+", default=[0.55])
    parser.add_argument("--sets", nargs="+", default=list(TABLES), choices=list(TABLES))
    chosen = parser.parse_args()
    print(
        "set        origin wins  log loss  difference  (s.e.)  uncalibrated    AUC     AP   rounds  seconds"
    )
    for name in chosen.sets:
        table = TABLES[name](chosen.data)
        for origin, wins in product(chosen.origins, chosen.wins):
            rows = [compare(table, wins, seed, origin) for seed in range(chosen.repeats)]
            print_line(name, origin, pd.DataFrame([row for row in rows if row]).mean())


def print_line(name: str, origin: float, row: pd.Series) -> None:
    better = {key: row[f"trees {key}"] - row[f"logistic {key}"] for key in ("loss", "raw", "auc", "ap")}
    print(
        f"{name:<11}{origin:>6.2f}{row.wins:>5.0f}{row['trees loss']:>10.4f}"
        f"{better['loss']:>+12.4f}  ({row.se:.4f})"
        f"{better['raw']:>+14.4f}{better['auc']:>+7.3f}{better['ap']:>+7.3f}"
        f"{row.rounds:>9.0f}{row['trees s']:>9.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
