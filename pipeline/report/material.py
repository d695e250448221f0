"""What a report is made of: the model, its account, the open leads, and the past it was judged on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
from ibis import _

from features.declare import Feature
from features.language import SPEAKERS, Said
from features.story import Storyteller
from models.bundle import Bundle
from models.reasons import by_concept, shares
from pipeline import featuring
from pipeline.config import Config
from pipeline.registry import Registered
from pipeline.results import read_table
from pipeline.score import Scored, score_with
from pipeline.snapshots import group_of
from pipeline.source.columns import local
from pipeline.source.dataset import Dataset

# The windows that the model was not trained on, in time order.
PAST = ("calibration", "decision", "test")


@dataclass(frozen=True)
class Seen:
    """Leads at moments, with what the model saw of them and made of it; row by row, one index.

    rows
        lead_id, as_of (naive UTC, NaT without times), margin, propensity and more, see `Material`.
    features
        (n, p) as the model saw them.
    contributions
        (n, p) on the margin scale; base value + row sum = margin.
    """

    rows: pd.DataFrame
    features: pd.DataFrame
    contributions: pd.DataFrame
    bundle: Bundle

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def concepts(self) -> pd.DataFrame:
        """Contributions summed by concept (n, concepts), columns in order of name."""
        return by_concept(self.contributions, self.bundle.concept_of)

    @cached_property
    def families(self) -> pd.DataFrame:
        """Contributions summed by family: columns fit and engagement."""
        return shares(self.contributions, {f.name: f.family for f in self.catalogue})

    @cached_property
    def catalogue(self) -> tuple[Feature, ...]:
        """The features' declarations, in the order of the columns."""
        return self.bundle.catalogue

    def of(self, chosen: pd.Series) -> Seen:
        """Return some of the rows: those where `chosen` (n,), of the same index, is true."""
        return Seen(self.rows[chosen], self.features[chosen], self.contributions[chosen], self.bundle)


@dataclass(frozen=True)
class Material:
    """Everything that the sections are computed from; none of them reads a file.

    Attributes
    ----------
    account
        ``train.json`` of the run, ``backtest`` the whole ``backtest.json`` of its procedure or None.
    dataset
        As the model saw it: what the leak guard left out is gone.
    as_of
        The moment of the report, naive UTC.
    scored
        The leads open then; see `pipeline.score.Scored`.
    open
        The same leads: rows have the columns of ``scored.scores`` and person, group_id, created_at. `person`
        is the lead under which the data of a duplicate is kept; ``lead_id`` is the record that sales works.
    evidence
        Snapshots that the model was not trained on: rows have lead_id, person, group_id, as_of, created_at,
        part ("calibration": leads at the configured ages; "decision" and "test": leads on the scoring
        calendar), label (1: won within the horizon), margin, propensity, propensity_low,
        propensity_high, logistic, base_rate, rules (propensity by the points), points, new_lead, age, grade.
        What the model was judged on, whatever the moment of the report.
    past
        Those of them whose outcome was known at `as_of`: a report of an earlier moment knows no more.
    """

    config: Config
    account: dict[str, Any]
    backtest: dict[str, Any] | None
    model: Registered
    dataset: Dataset
    as_of: datetime
    scored: Scored
    open: Seen
    evidence: Seen

    @cached_property
    def past(self) -> Seen:
        """The evidence whose outcome was known at `as_of`."""
        known = self.evidence.rows["as_of"] + pd.Timedelta(self.config.snapshots.horizon) <= self.as_of
        return self.evidence.of(known | self.evidence.rows["as_of"].isna())

    @cached_property
    def observed_until(self) -> datetime | None:
        """Until when outcomes are known at `as_of`; None without times."""
        until = self.dataset.observed_until
        return None if until is None else min(until, self.as_of)

    @property
    def bundle(self) -> Bundle:
        """The model."""
        return self.model.bundle

    @cached_property
    def tellers(self) -> dict[str, Storyteller]:
        """What tells concepts in words, by language."""
        return {language: Storyteller(self.bundle.vocabulary, language) for language in SPEAKERS}

    def label(self, concept: str) -> Said:
        """Return what people call a concept, in every language."""
        return {language: teller.label(concept) for language, teller in self.tellers.items()}

    def sentence(self, concept: str, values: dict[str, Any]) -> Said:
        """Say what is true of a lead, given its features (name to value), in every language."""
        return {language: teller.sentence(concept, values) for language, teller in self.tellers.items()}

    def window(self, *parts: str) -> Seen:
        """Return the past of some windows."""
        return self.past.of(self.past.rows["part"].isin(parts))

    def evidence_of(self, *parts: str) -> Seen:
        """Return the evidence of some windows."""
        return self.evidence.of(self.evidence.rows["part"].isin(parts))

    @cached_property
    def judged_on(self) -> Seen:
        """The untouched window: the test window, or the decision window of a model that is shipped."""
        return self.evidence_of("decision" if self.account["shipped"] else "test")

    def points_by_rule(self, seen: Seen) -> pd.DataFrame | None:
        """Return how many points each of the user's rules gives to each row, None without rules."""
        found = featuring.points_by_rule(self.dataset, canonical(self.dataset, seen.rows), self.config)
        return None if found is None else found.set_axis(seen.rows.index, axis=0)


def gather(
    config: Config,
    model: Registered,
    account: dict[str, Any],
    backtest: dict[str, Any] | None,
    predictions: Path,
    as_of: datetime,
    now: datetime,
    tell: Callable[[str], None],
) -> Material:
    """Read the data and let the model see the open leads and the past again.

    `predictions` is ``test_predictions.parquet`` of the same training; moments are naive UTC.

    Raises
    ------
    PropenseError
        The data or the configuration no longer fit the model.
    """
    scored = score_with(model, config, as_of, now, tell=tell, even_nobody=True)
    dataset, bundle = scored.dataset, model.bundle
    tell("looking at the past again")
    persons = scored.scores["lead_id"].replace(scored.survivor_of)
    return Material(
        config=config,
        account=account,
        backtest=backtest,
        model=model,
        dataset=dataset,
        as_of=as_of,
        scored=scored,
        open=_seen(_known(dataset, scored.scores, persons), scored.features, bundle),
        evidence=_evidence(dataset, read_table(predictions), bundle),
    )


def _evidence(dataset: Dataset, predictions: pd.DataFrame, bundle: Bundle) -> Seen:
    rows = predictions[predictions["part"].isin(PAST)].reset_index(drop=True)
    leads = set(dataset.tables.leads.lead_id.execute())
    rows = rows[rows["lead_id"].isin(leads)].reset_index(drop=True)  # data may have been removed since
    rows = _known(dataset, rows, rows["lead_id"])
    features = featuring.features_of(dataset, canonical(dataset, rows), bundle.vocabulary)
    seen = _seen(rows, features.set_axis(rows.index, axis=0), bundle)
    grade = bundle.grades.grade(seen.families["fit"], seen.families["engagement"])
    return Seen(seen.rows.assign(grade=grade), seen.features, seen.contributions, bundle)


def _seen(rows: pd.DataFrame, features: pd.DataFrame, bundle: Bundle) -> Seen:
    return Seen(rows, features, bundle.classifier.contributions(features), bundle)


def _known(dataset: Dataset, rows: pd.DataFrame, persons: pd.Series) -> pd.DataFrame:
    """Return rows with what their leads are grouped by and when they were created."""
    leads = dataset.tables.leads
    of = leads.select("lead_id", group_id=group_of(leads), created_at=leads.created_at).to_pandas()
    of = of.set_index("lead_id").reindex(persons)
    return rows.assign(
        person=persons.to_numpy(), group_id=of["group_id"].to_numpy(), created_at=of["created_at"].to_numpy()
    )


def canonical(dataset: Dataset, rows: pd.DataFrame) -> Any:
    """Return rows (person, as_of) as snapshots that features can be computed of, numbered in their order."""
    table = ibis.memtable(
        pd.DataFrame(
            {
                "snapshot": range(len(rows)),
                "lead_id": rows["person"].astype(str).to_numpy(),
                "as_of": pd.to_datetime(rows["as_of"]).astype("datetime64[us]").to_numpy(),
            }
        )
    )
    zone = dataset.config.project.timezone
    timed = table.mutate(as_of=_.as_of.cast("timestamp(6)"), snapshot=_.snapshot.cast("int64"))
    return dataset.engine.keep("seen again", timed.mutate(as_of_local=local(timed.as_of, zone)))


def read_account(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
