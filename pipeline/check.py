"""``propense check``: what is there, what is wrong, and whether it supports a training."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from ibis import _

from features.errors import PropenseError
from pipeline import snapshots as snap
from pipeline.config import Config, format_duration
from pipeline.guard.verdicts import Judgement
from pipeline.guarding import guarded
from pipeline.preparation import Prepared, at_moment, prepare
from pipeline.source.dataset import Dataset, load
from pipeline.windows import check_enough

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
ROUND_HORIZONS = tuple(timedelta(days=d) for d in (1, 3, 7, 14, 30, 60, 90, 180, 365))
# A horizon should leave room: the windows and the embargo need several of them.
HORIZONS_IN_HISTORY = 5


@dataclass(frozen=True)
class Checked:
    """What a check found. ``problem`` is why nothing can be trained, or None."""

    dataset: Dataset
    kinds: pd.DataFrame
    outcomes: dict[str, int]
    days_to_win: dict[str, float]
    suggested_horizon: timedelta | None
    notes: list[str]
    prepared: Prepared | None
    judgement: Judgement | None
    problem: PropenseError | None


def check(config: Config, now: datetime) -> Checked:
    """Read everything that training would read, and train nothing."""
    dataset = load(config, now)
    days = _days_to_win(dataset)
    problem: PropenseError | None = None
    prepared, judgement, notes = None, None, []
    try:
        dataset.findings.raise_errors()
        prepared = prepare(dataset)
        check_enough(prepared.summary)
        _, prepared, judgement = guarded(dataset, prepared)
        check_enough(prepared.summary)
        notes = _notes(dataset)
    except PropenseError as error:
        problem = error
    return Checked(
        dataset=dataset,
        kinds=_kinds(dataset),
        outcomes=_outcomes(dataset),
        days_to_win={f"{q:.0%}": float(days.quantile(q)) for q in QUANTILES} if len(days) else {},
        suggested_horizon=suggest_horizon(days, _span(dataset)),
        notes=notes,
        prepared=prepared,
        judgement=judgement,
        problem=problem,
    )


def suggest_horizon(days: pd.Series, span: timedelta | None) -> timedelta | None:
    """Return the shortest round horizon that holds three in four wins and fits the history, or None."""
    if not len(days) or span is None:
        return None
    needed = timedelta(days=float(days.quantile(0.75)))
    fitting = [h for h in ROUND_HORIZONS if h * HORIZONS_IN_HISTORY <= span]
    enough = [h for h in fitting if h >= needed]
    if enough:
        return enough[0]
    return fitting[-1] if fitting else None


def _days_to_win(dataset: Dataset) -> pd.Series:
    if dataset.outcomes is None:
        return pd.Series(dtype=float)
    won = dataset.outcomes.filter(_.outcome == "won").group_by("lead_id").agg(at=_.closed_at.min())
    created = dataset.tables.leads.select("lead_id", "created_at")
    table = won.inner_join(created, "lead_id").select("at", "created_at").to_pandas()
    return (table["at"] - table["created_at"]).dt.total_seconds() / 86400


def _span(dataset: Dataset) -> timedelta | None:
    if dataset.observed_until is None:
        return None
    first = dataset.tables.leads.created_at.min().execute()
    return None if pd.isna(first) else dataset.observed_until - first.to_pydatetime()


def _kinds(dataset: Dataset) -> pd.DataFrame:
    grouped = dataset.activities_all.group_by(["kind", "actor"]).agg(
        activities=_.count(), leads=_.lead_id.nunique()
    )
    return grouped.order_by([_.activities.desc(), _.kind]).to_pandas()


def _outcomes(dataset: Dataset) -> dict[str, int]:
    if dataset.labels is not None:
        counts = dataset.labels.group_by("label").agg(n=_.count()).to_pandas()
        names = {1: "won", 0: "not won"}
        return {names.get(row.label, "no label"): int(row.n) for row in counts.itertuples()}
    if dataset.outcomes is None:
        return {}
    counts = dataset.outcomes.group_by("outcome").agg(n=_.count()).order_by(_.n.desc()).to_pandas()
    return {row.outcome: int(row.n) for row in counts.itertuples()}


def _notes(dataset: Dataset) -> list[str]:
    if dataset.outcomes is None:
        return []
    notes = []
    several = dataset.outcomes.group_by("lead_id").having(_.count() > 1).agg(n=_.count()).count().execute()
    config = dataset.config
    if several and config.outcomes and config.outcomes.episodes == "first":
        notes.append(
            f"{several:,} leads have several outcomes; only the first counts "
            '(episodes = "all" takes every one).'
        )
    notes += _open_leads(dataset)
    if not config.snapshots.end_at_handover:
        notes.append(
            "Snapshots do not end at the hand-over to sales, and sales' work is seen by the features."
        )
    return notes


def _open_leads(dataset: Dataset) -> list[str]:
    """Say how many leads are open at the end, and how many of them are older than any training snapshot."""
    assert dataset.observed_until is not None
    keys = at_moment(dataset, dataset.observed_until)[1]
    waiting = keys[~keys["handed_over"]]
    notes = [
        f"{len(keys):,} leads are open at the end of the data; "
        f"sales has taken over {int(keys['handed_over'].sum()):,} of them."
    ]
    if dataset.config.snapshots.calendar or not len(waiting):
        return notes
    opened = snap.episodes(dataset).group_by("lead_id").agg(at=_.opened_at.max()).to_pandas()
    age = dataset.observed_until - waiting["lead_id"].map(opened.set_index("lead_id")["at"])
    oldest = max(dataset.config.snapshots.ages)
    older = float((age > oldest).mean())
    if older > 0.2:
        notes.append(
            f"{older:.0%} of the leads to be scored are older than any snapshot trained on "
            f"({format_duration(oldest)}): add ages under [snapshots], or set stale_after."
        )
    return notes


def exit_status(checked: Checked) -> int:
    """Return 0 if training can start, else the status of what is in the way."""
    return checked.problem.exit_status if checked.problem else 0


def as_json(checked: Checked) -> dict[str, Any]:
    """Return the check for programs."""
    return {
        "tables": checked.dataset.counts,
        "outcomes": checked.outcomes,
        "days_to_win": checked.days_to_win,
        "suggested_horizon_days": checked.suggested_horizon.days if checked.suggested_horizon else None,
        "windows": checked.prepared.summary if checked.prepared else None,
        "guard": checked.judgement.to_dict() if checked.judgement else None,
        "hygiene": {"measures": checked.dataset.hygiene.to_dict()},
        "findings": checked.dataset.findings.as_records(),
        "notes": checked.notes,
        "problem": checked.problem.message if checked.problem else None,
    }
