"""What hygiene and suspects change in the result: the same light training, with and without each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd

from features.errors import PropenseError
from models.ablation import difference, light, matters
from pipeline import featuring
from pipeline.learning_inputs import examples_of
from pipeline.preparation import Prepared, prepare
from pipeline.source.dataset import Dataset, load
from pipeline.windows import draw

# Enough to see a difference that matters; more leads are drawn down to it.
MOST_SNAPSHOTS = 40_000
# Suspects that are each tried on their own, the strongest first.
MOST_SUSPECTS = 5


def light_result(dataset: Dataset, prepared: Prepared, threads: int = 2) -> pd.DataFrame:
    """Train a light model on a dataset as it is, and return its test window's predictions."""
    part = _sampled(dataset, prepared)
    vocabulary = featuring.learn_vocabulary(dataset, part, featuring.settings(dataset.config))
    features = featuring.features_of(dataset, part.snapshots, vocabulary)
    return light(examples_of(part, features, None), vocabulary, dataset.config.model.seed, threads)


def _sampled(dataset: Dataset, prepared: Prepared) -> Prepared:
    keys = prepared.keys[prepared.keys["window"].isin(["train", "stopping", "calibration", "test"])]
    if len(keys) > MOST_SNAPSHOTS:  # whole groups, always the same ones
        keys = keys[draw(keys["group_id"]) < MOST_SNAPSHOTS / len(keys)]
    chosen = featuring.select(dataset, prepared.snapshots, keys.index.to_list())
    return replace(prepared, snapshots=chosen, keys=keys)


def hygiene_effects(
    dataset: Dataset, prepared: Prepared, base: pd.DataFrame, now: datetime, measures: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return, for each measure that found something, the result with it and without it.

    `measures` are names of switches in ``[hygiene]``; each is turned off on its own.
    """
    return {
        name: _changed(prepared, base, partial(_without_measure, dataset, prepared, now, name))
        for name in measures
    }


def _without_measure(
    dataset: Dataset, prepared: Prepared, now: datetime, name: str
) -> tuple[Dataset, Prepared]:
    config = dataset.config
    off: Any = [] if name in ("own_domains", "leave_out") else False
    hygiene = config.hygiene.model_copy(update={name: off})
    other = load(config.model_copy(update={"hygiene": hygiene}), now)
    kept = {attribute.name for attribute in dataset.tables.attributes}
    attributes = tuple(a for a in other.tables.attributes if a.name in kept)
    other = replace(other, tables=replace(other.tables, attributes=attributes))
    return other, prepare(other, bounds=prepared.bounds)


def suspect_effects(
    dataset: Dataset,
    prepared: Prepared,
    base: pd.DataFrame,
    suspects: list[str],
    without: Callable[[Dataset, list[str]], Dataset],
) -> dict[str, dict[str, Any]]:
    """Return, for each suspect and for all of them together, the result with and without."""
    groups = {name: [name] for name in suspects[:MOST_SUSPECTS]}
    if len(suspects) > 1:
        groups["all suspects"] = suspects
    return {
        name: _changed(prepared, base, partial(_without_suspects, dataset, prepared, names, without))
        for name, names in groups.items()
    }


def _without_suspects(
    dataset: Dataset, prepared: Prepared, names: list[str], without: Callable[[Dataset, list[str]], Dataset]
) -> tuple[Dataset, Prepared]:
    return without(dataset, names), prepared


def _changed(
    prepared: Prepared, base: pd.DataFrame, other: Callable[[], tuple[Dataset, Prepared]]
) -> dict[str, Any]:
    try:
        dataset, theirs = other()
        found = difference(base, light_result(dataset, theirs), dataset.config.model.seed)
    except PropenseError as error:  # without it there may be nothing left to train on
        return {"measured": False, "why": error.message}
    return {"measured": True, "matters": matters(found), **found, **_counts(prepared, theirs)}


def _counts(kept: Prepared, without: Prepared) -> dict[str, dict[str, int]]:
    both = {"with": kept.keys, "without": without.keys}
    return {
        what: {name: int(of(keys)) for name, keys in both.items()}
        for what, of in {
            "leads": lambda keys: keys["lead_id"].nunique(),
            "won": lambda keys: keys.loc[keys["label"] == 1, "lead_id"].nunique(),
        }.items()
    }
