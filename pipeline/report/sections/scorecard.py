"""The scorecard: the model as a point table of at most 20 lines, and what it costs to use that instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ibis import _
from scipy.special import expit

from features.language import Speaker, Text, in_every_language
from features.rules import times, times_column
from models.baselines import PointsBaseline
from models.scorecard import Scorecard, distil, threshold
from models.scorecard_lines import Candidate, candidates, concept_of, in_order, inside
from models.scorecard_loss import judged
from pipeline import featuring
from pipeline.report.material import Material, Seen, canonical
from pipeline.report.words_lines import as_config, as_csv, as_toml, line_name

# At which quantiles of the points it is told what propensity goes with them.
SHOWN = (0.05, 0.25, 0.5, 0.75, 0.9, 0.97)


def found(material: Material) -> dict[str, Any]:
    """Return the point table, how it reads, how faithful it is, and its files."""
    # A shipped model has no test window: the table is judged on the decision window, and not made from it.
    parts = ("calibration",) if material.account["shipped"] else ("calibration", "decision")
    built = material.evidence_of(*parts)
    lines = candidates(material.bundle.vocabulary, built.features, built.concepts)
    held = _held(material, lines)
    card = distil(
        lines, held.loc[built.rows.index], built.concepts, built.rows["margin"], built.rows["group_id"]
    )
    points = card.total(held)
    told, level = _lines(material, card), material.bundle.cutoffs[0].level
    limit = _threshold(material, points, level)
    on = material.judged_on
    seed = material.config.model.seed
    return {
        "lines": told,
        "doubles": card.doubles,
        "threshold": limit,
        "reads": _reads(built, points),
        "explained": card.explained,
        "judged": judged(on.rows, points[on.rows.index], card.doubles, level, seed) if told else None,
        "judged_by_cutoff": level is not None,
        **_files(material, told, limit),
    }


def _held(material: Material, lines: tuple[Candidate, ...]) -> pd.DataFrame:
    """Return (n, lines) whether each line holds for each snapshot of the past, in one pass over the data."""
    rows = material.evidence.rows
    past = featuring.past_of(
        material.dataset, canonical(material.dataset, rows), material.bundle.vocabulary.settings
    )
    table = times(past, [line.rule for line in lines]).order_by(_.snapshot).to_pandas()
    columns = [times_column(place) for place in range(len(lines))]
    return table[columns].set_axis(rows.index, axis=0)


def _lines(material: Material, card: Scorecard) -> list[dict[str, Any]]:
    """Return the lines, those of one concept together and the wider before the narrower."""
    declared = {known.name: known.declared for known in material.bundle.vocabulary.attributes}
    told = []
    for rule in in_order(card.rules):
        name = line_name(rule, material.label, declared)
        told.append(
            {
                "name": name,
                "points": round(rule.points),
                "concept": concept_of(rule),
                "more": any(inside(rule, other) for other in card.rules),
                "rule": as_config(rule, name[material.config.project.language]),
            }
        )
    return told


def _threshold(material: Material, points: pd.Series, level: float | None) -> dict[str, Any] | None:
    """Return from how many points on a lead is an MQL, so that there are as many as by the cutoff."""
    rows = material.evidence_of("decision").rows
    if level is None:
        return None
    passing = rows["propensity"] >= level
    wanted = int(rows.loc[passing, "lead_id"].nunique())
    own = points[rows.index]
    limit = threshold(own, rows["lead_id"], wanted)
    if limit is None:
        return None
    named = int(rows.loc[own >= limit, "lead_id"].nunique())
    return {
        "points": limit,
        "named": named,
        "named_by_model": wanted,
        "leads": int(rows["lead_id"].nunique()),
    }


def _reads(seen: Seen, points: pd.Series) -> list[dict[str, float]]:
    """Return what propensity goes with how many points, by a logistic curve through the outcomes."""
    own, label = points[seen.rows.index].to_numpy(float), seen.rows["label"].to_numpy()
    if len(set(own)) < 2 or len(set(label)) < 2:
        return []
    steps = np.unique(np.quantile(own, SHOWN).round())
    chance = expit(PointsBaseline().fit(own, label).margin(steps))
    below = [float((own < step).mean()) for step in steps]
    return [
        {"points": int(step), "propensity": float(p), "reached_by": 1 - share}
        for step, p, share in zip(steps, chance, below, strict=True)
    ]


def _files(material: Material, told: list[dict[str, Any]], limit: dict[str, Any] | None) -> dict[str, Any]:
    """Return the table as text for a spreadsheet, and as text for the configuration."""
    entries = [line["rule"] for line in told]
    comments = in_every_language(lambda speaker: "\n".join(_comments(speaker, material, limit)))
    language = material.config.project.language
    return {"csv": as_csv(entries), "toml": as_toml(entries, comments[language].split("\n"))}


def _comments(speaker: Speaker, material: Material, limit: dict[str, Any] | None) -> list[str]:
    of = Text(
        "Scorecard of the model '{name}', version {version}: put these in the place of your own [[rules]].",
        "Grille de points du modèle « {name} », version {version} : à mettre à la place de vos [[rules]].",
    )
    said = [speaker.say(of, name=material.config.project.name, version=material.model.version)]
    if limit is not None:
        said.append(speaker.say(Text("Under [decision]:", "Sous [decision] :")))
        said.append(f"rules_mql_at = {limit['points']}")
    return said
