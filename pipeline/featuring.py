"""The third station: a project's snapshots to features, with the settings of its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from features.compute import frame
from features.past import Past
from features.rules import ActivityRule, AttributeRule, EmailRule, Rule, points, times, times_column
from features.settings import FeatureSettings
from features.vocabulary import Vocabulary, learn
from pipeline.config import Config, RuleConfig, format_duration
from pipeline.preparation import Prepared
from pipeline.source.dataset import Dataset


def settings(config: Config) -> FeatureSettings:
    """Return the feature settings that the configuration asks for."""
    given = config.features
    return FeatureSettings(
        windows_days=tuple(given.windows),
        half_lives_days=tuple(given.half_lives),
        session_gap_minutes=given.session_gap.total_seconds() / 60,
        directions={concept: 1 if way == "up" else -1 for concept, way in given.directions.items()},
        labels=given.labels,
    )


def about(config: Config) -> dict[str, Any]:
    """Return what a model is trained for: where any of it differs, its scores mean something else."""
    return {
        "project": config.project.name,
        "target": config.project.target,
        "horizon": None if config.flat else format_duration(config.snapshots.horizon),
        "split": config.split,
        "timezone": config.project.timezone,
        "end_at_handover": None if config.flat else config.snapshots.end_at_handover,
        "hygiene": config.hygiene.model_dump(mode="json", exclude={"effects"}),
    }


def past_of(dataset: Dataset, snapshots: ir.Table, given: FeatureSettings) -> Past:
    """Return what was known of each snapshot's lead."""
    return Past(dataset.tables, snapshots, session_gap_minutes=given.session_gap_minutes)


def learn_vocabulary(dataset: Dataset, prepared: Prepared, given: FeatureSettings) -> Vocabulary:
    """Learn the fitted state of the features from the training window alone."""
    training = prepared.rows("train", "stopping").index.to_list()
    return learn(past_of(dataset, select(dataset, prepared.snapshots, training), given), given)


def select(dataset: Dataset, snapshots: ir.Table, numbers: Sequence[int]) -> ir.Table:
    """Return some of the snapshots, by number."""
    wanted = ibis.memtable(pd.DataFrame({"snapshot": pd.Series(numbers, dtype="int64")}))
    return dataset.engine.keep("selected", snapshots.semi_join(wanted, "snapshot"))


def features_of(dataset: Dataset, snapshots: ir.Table, vocabulary: Vocabulary) -> pd.DataFrame:
    """Return the feature table of all snapshots, index snapshot."""
    return frame(past_of(dataset, snapshots, vocabulary.settings), vocabulary)


def points_of(dataset: Dataset, snapshots: ir.Table, config: Config) -> pd.Series | None:
    """Return the user's own points of all snapshots, or None without rules."""
    if not config.rules:
        return None
    found = points(past_of(dataset, snapshots, settings(config)), [_rule(r) for r in config.rules])
    return _by_snapshot(found)


def points_by_rule(dataset: Dataset, snapshots: ir.Table, config: Config) -> pd.DataFrame | None:
    """Return how many points each of the user's rules gives to each snapshot, or None without rules.

    The index is snapshot; the columns are numbered in the order of the rules, whose names may repeat.
    """
    if not config.rules:
        return None
    rules = [_rule(r) for r in config.rules]
    counted = times(past_of(dataset, snapshots, settings(config)), rules)
    table = counted.order_by(_.snapshot).to_pandas().set_index("snapshot")
    return pd.DataFrame(
        {f"rule {place}": table[times_column(place)] * rule.points for place, rule in enumerate(rules)},
        index=table.index,
    )


def asked_for_sales(dataset: Dataset, snapshots: ir.Table, kinds: Sequence[str]) -> pd.Series | None:
    """Return whether each snapshot's lead had asked for sales, by the activity kinds that say so."""
    if not kinds:
        return None
    rules = [ActivityRule(name=kind, points=1.0, kind=kind) for kind in kinds]
    past = past_of(dataset, snapshots, settings(dataset.config))
    return _by_snapshot(points(past, rules)) > 0


def _by_snapshot(found: ir.Table) -> pd.Series:
    table = found.select("snapshot", "points").order_by(_.snapshot).to_pandas()
    return table.set_index("snapshot")["points"].astype(float)


def _rule(given: RuleConfig) -> Rule:
    if given.activity is not None:
        days = given.within.total_seconds() / 86400 if given.within else None
        return ActivityRule(given.name, given.points, given.activity, given.asset, days, given.each)
    if given.email_class is not None:
        return EmailRule(given.name, given.points, given.email_class)
    unconditional = given.is_one_of is None and given.at_least is None and given.at_most is None
    return AttributeRule(
        name=given.name,
        points=given.points,
        attribute=str(given.attribute),
        one_of=tuple(given.is_one_of or ()),
        at_least=given.at_least,
        at_most=given.at_most,
        filled=True if unconditional else None,
    )
