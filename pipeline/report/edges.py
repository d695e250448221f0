"""What sets the best grade apart from the worst, concept by concept, in values that people know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.declare import Feature
from features.language import LANGUAGES, Said
from features.wording import spaced
from models.personas import distance, most_typical
from pipeline.report.material import Material, Seen

MOST = 4
# A concept that makes less of the whole distance is not worth a line.
LEAST = 0.05
# Shares of leads that differ by less than this do not say what sets two groups apart.
APART = 0.05


def edges(
    material: Material, seen: Seen, best: pd.Series, worst: pd.Series, family: str
) -> list[dict[str, Any]]:
    """Return the concepts of a family that set two groups of leads apart most, the strongest first.

    `best` and `worst` (n,) say which rows of `seen` are in which group. Each has ``concept``, ``label``,
    ``weight`` (its part of the whole distance, see `models.personas.distance`) and what is known of both
    groups, one of

    * ``shares``: what it is (``what``) and the share of each group (``best``, ``worst``) that has it;
    * ``typical``: a sentence true of the middle lead of each group, or None where it is the same.
    """
    concept_of = material.bundle.concept_of
    names = sorted({concept_of[feature.name] for feature in seen.catalogue if feature.family == family})
    apart = distance(seen.concepts[names], best.to_numpy(bool), worst.to_numpy(bool))
    return [
        {
            "concept": str(concept),
            "label": material.label(str(concept)),
            "weight": float(weight),
            **_known(material, seen, str(concept), seen.features[best], seen.features[worst]),
        }
        for concept, weight in apart.head(MOST).items()
        if weight >= LEAST
    ]


def _known(
    material: Material, seen: Seen, concept: str, best: pd.DataFrame, worst: pd.DataFrame
) -> dict[str, Any]:
    features = [feature for feature in seen.catalogue if feature.concept == concept]
    shares = _did(concept, best, worst) or _was(material, features[0], best, worst)
    if shares is not None and shares["best"] - shares["worst"] >= APART:
        return {"shares": shares, "typical": None}
    main = _main(seen, features, best.index, worst.index)
    sentences = [material.sentence(concept, _middle(main, rows)) for rows in (best, worst)]
    different = sentences[0] != sentences[1]
    return {"shares": None, "typical": {"best": sentences[0], "worst": sentences[1]} if different else None}


def _did(concept: str, best: pd.DataFrame, worst: pd.DataFrame) -> dict[str, Any] | None:
    """Return which share of each group had done a kind of activity at all."""
    name = f"{concept}.count"
    if not concept.startswith("activity.") or name not in best:
        return None
    return {"what": None, **{k: float((rows[name] > 0).mean()) for k, rows in _both(best, worst)}}


def _was(
    material: Material, feature: Feature, best: pd.DataFrame, worst: pd.DataFrame
) -> dict[str, Any] | None:
    """Return the value of a category that is more frequent in the best group by most."""
    if feature.type != "category":
        return None
    found = most_typical(best[feature.name], worst[feature.name])
    if found is None:
        return None
    what: Said = material.sentence(feature.concept, {feature.name: found[0]})
    what = {language: spaced(what[language]) for language in LANGUAGES}
    return {"what": what, "best": found[1], "worst": found[2]}


def _both(best: pd.DataFrame, worst: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [("best", best), ("worst", worst)]


def _main(seen: Seen, features: list[Feature], best: pd.Index, worst: pd.Index) -> Feature:
    """Return the feature of a concept that sets the groups apart most: what is to be told of it."""
    names = [feature.name for feature in features]
    apart = seen.contributions.loc[best, names].mean() - seen.contributions.loc[worst, names].mean()
    return features[int(apart.to_numpy().argmax())]


def _middle(feature: Feature, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the middle value of a feature: a number that a lead has, or the commonest category."""
    known = rows[feature.name].dropna()
    if known.empty:
        return {feature.name: None}
    if feature.type == "category":
        return {feature.name: known.astype("string").mode().iloc[0]}
    return {feature.name: float(np.quantile(known.astype(float), 0.5, method="inverted_cdf"))}
