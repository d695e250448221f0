"""Do reasons deserve belief? How steady they are, and whether the margin does what they say.

    python benchmarks/reasons.py                               # the simulated CRM, under a minute
    PROPENSE_DATA=<folder with bpic2012/> python benchmarks/reasons.py

Stability: models are trained again, as the shipped one was, on bootstrap resamples of its leads. For each
lead of the test window and each of these models it is counted how many of the lead's five strongest concepts
are again among the five strongest. Chance is measured on the same models: the five of another, random lead.

Faithfulness: the features of a lead's strongest concept are replaced by those of comparable past leads,
and the margin must move against the concept's contribution, on average over them. Comparable are those whose
fit and engagement, without the concept, are nearest; "average" replaces by those of any past leads.

Both with each concept by itself, and with those told as one that leads have together (`models.concepts`).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from features.catalogue import catalogue
from features.vocabulary import Vocabulary
from models.comparable import Weighed, replaced
from models.concepts import concept_of, together
from models.estimator import LeadClassifier
from models.learning import Choices, Examples
from models.reason_quality import kept, moves_as_named
from models.reasons import by_concept
from pipeline import featuring
from pipeline.config import Config
from pipeline.configuring import read_config
from pipeline.guarding import guarded
from pipeline.learning_inputs import choices, examples_of
from pipeline.preparation import prepare
from pipeline.simulation import simulate
from pipeline.source.dataset import load
from pipeline.template import write_simulated

NOW = datetime(2026, 6, 30)
EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "examples"
# Leads that reasons are looked at of, and past leads that "average" replaces by.
MOST, AVERAGE = 1_000, 30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--leads", type=int, default=3_500, help="of the simulated CRM")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the simulated CRM")
    parser.add_argument("--resamples", type=int, default=8)
    given = parser.parse_args()
    print(
        "| data | leads that won | told | concepts | leads with 3 of 5 kept | kept on average | by chance "
        "| as named: comparable | as named: average |"
    )
    print("|---|--:|---|--:|--:|--:|--:|--:|--:|")
    for name, config in configurations(given.leads, given.seeds):
        for line in measured(name, config, given.resamples):
            print(line, flush=True)


def configurations(leads: int, seeds: list[int]) -> Iterator[tuple[str, Config]]:
    """Yield the data sets' configurations."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            crm = Path(scratch) / "crm"
            crm.mkdir()
            simulate(leads, seed, crm)
            write_simulated(crm)
            config = read_config(crm / "propense.toml").model_copy(update={"root": crm})
            yield f"simulated {leads:,}/{seed}", config
    if "PROPENSE_DATA" in os.environ:
        yield "bpic2012", read_config(EXAMPLES / "bpic2012.toml")


def measured(name: str, config: Config, resamples: int) -> Iterator[str]:
    """Yield a line of the table for each way to tell concepts."""
    examples, vocabulary = prepared(config)
    decided = choices(config)
    models = [trained(given, vocabulary, decided) for given in [examples, *resampled(examples, resamples)]]
    test = examples.within("test")[0]
    test = test.sample(min(MOST, len(test)), random_state=0)
    contributions = [model.contributions(test) for model in models]
    past = examples.within("calibration", "decision")[0]
    alike = together(examples.within("train", "stopping")[0], vocabulary)
    ways: list[tuple[str, dict[str, str]]] = [("each by itself", {}), ("together", alike)]
    for told, told_as in ways if alike else [("each by itself: none are alike", {})]:
        of = concept_of(vocabulary, told_as)
        weighed = Weighed(test, by_concept(contributions[0], of))
        steady = stability(weighed.concepts, [by_concept(other, of) for other in contributions[1:]])
        faithful = faithfulness(models[0], weighed, Weighed.by(models[0], past, of), of, vocabulary)
        cells = [name, str(models[0].wins_), told, str(weighed.concepts.shape[1]), *steady, *faithful]
        yield "| " + " | ".join(cells) + " |"


def prepared(config: Config) -> tuple[Examples, Vocabulary]:
    """Return what a training learns from."""
    raw = load(config, NOW)
    raw.findings.raise_errors()
    dataset, snapshots, _ = guarded(raw, prepare(raw))
    vocabulary = featuring.learn_vocabulary(dataset, snapshots, featuring.settings(config))
    features = featuring.features_of(dataset, snapshots.snapshots, vocabulary)
    return examples_of(snapshots, features, None, config), vocabulary


def resampled(examples: Examples, resamples: int) -> Iterator[Examples]:
    """Yield examples whose training leads are drawn with replacement.

    A lead drawn twice stays one lead, of double weight: as two, its copy would judge when to stop.
    """
    keys = examples.keys[examples.keys["window"].isin(["train", "stopping"])]
    leads = keys["group_id"].unique()
    for seed in range(resamples):
        drawn = pd.Series(np.random.default_rng(seed).choice(leads, len(leads))).value_counts()
        rows = keys.index.repeat(keys["group_id"].map(drawn).fillna(0).astype(int))
        yield replace(
            examples,
            features=examples.features.loc[rows].reset_index(drop=True),
            keys=keys.loc[rows].reset_index(drop=True),
        )


def trained(examples: Examples, vocabulary: Vocabulary, decided: Choices) -> LeadClassifier:
    """Return a model, trained as `models.learning.learn` trains it."""
    directions = {f.name: f.direction for f in catalogue(vocabulary) if f.direction and f.type != "category"}
    model = LeadClassifier(members=decided.members, directions=directions, seed=decided.seed)
    later, later_y, later_groups, _ = examples.within("stopping")
    if len(np.unique(later_y)) < 2:
        X, y, groups, _ = examples.within("train", "stopping")
        return model.fit(X, y, groups=groups.to_numpy())
    X, y, groups, _ = examples.within("train")
    return model.fit(
        X, y, groups=groups.to_numpy(),
        stopping=(later, later_y), stopping_groups=later_groups.to_numpy(),
    )  # fmt: skip


def stability(shipped: pd.DataFrame, others: list[pd.DataFrame]) -> list[str]:
    """Return the share of leads with three of five kept, how many on average, and how many by chance."""
    counts = np.array([kept(shipped, other) for other in others])
    order = np.random.default_rng(0).permutation(len(shipped))
    anyone = [kept(shipped, other.iloc[order].set_axis(other.index)) for other in others]
    return [f"{(counts >= 3).mean():.1%}", f"{counts.mean():.2f}", f"{np.mean(anyone):.2f}"]


def faithfulness(
    model: LeadClassifier, leads: Weighed, past: Weighed, of: dict[str, str], vocabulary: Vocabulary
) -> list[str]:
    """Return in which share of leads the margin moves as named, by comparable and by average leads."""
    family_of = {of[feature.name]: feature.family for feature in catalogue(vocabulary)}
    found = moves_as_named(model, leads, past, of, family_of)
    rng, change = np.random.default_rng(0), pd.Series(0.0, index=found.index)
    for concept in found["concept"].unique():
        rows = np.flatnonzero(found["concept"] == concept)
        columns = [column for column in past.features.columns if of[column] == concept]
        anyone = rng.integers(0, len(past), (len(rows), AVERAGE))
        moved = replaced(model, leads.at(rows), past, columns, anyone)
        change.iloc[rows] = moved.mean(axis=1)
    average = (change * found["contribution"] < 0).mean()
    return [f"{found['as_named'].mean():.1%}", f"{average:.1%}"]


if __name__ == "__main__":
    main()
