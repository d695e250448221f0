"""What sets converted leads apart: concepts by importance, their curves, and the point table against them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.declare import Feature
from features.language import Said
from models.comparable import Weighed
from models.concepts import companions
from models.contradictions import Line, judged
from models.curves import Step, curve, direction, extremes, importance, main_feature
from pipeline.config import RuleConfig
from pipeline.report.material import Material, Seen
from pipeline.report.words_curves import CurveWords
from pipeline.report.words_rules import line_said

# Concepts shown with their curve; the rest are in a table.
IN_FULL = 12
# A concept with a smaller share in what tells leads apart is not shown in full.
LEAST_SHARE = 0.01


def found(material: Material) -> dict[str, Any]:
    """Return concepts grouped by family, and each line of the point table with what the model makes of it."""
    seen = material.judged_on
    shares = importance(seen.concepts)
    named = [name for name, share in shares.items() if share >= LEAST_SHARE][:IN_FULL]
    features = _features(seen)
    together = companions(material.bundle.told_as, features)
    told = {
        name: _concept(
            material, seen, str(name), features[str(name)], together[str(name)], float(share), place
        )
        for place, (name, share) in enumerate(shares.items(), start=1)
        if share > 0
    }
    by_family = {
        family: [told[name] for name in told if features[str(name)][0].family == family]
        for family in ("fit", "engagement")
    }
    return {
        "leads": int(seen.rows["lead_id"].nunique()),
        "looks": len(seen.rows),
        "won": int(seen.rows.groupby("lead_id")["label"].max().sum()),
        "propensity": float(seen.rows["propensity"].mean()),
        "families": sorted(
            (
                {
                    "family": family,
                    "share": sum(concept["share"] for concept in concepts),
                    "concepts": [concept for concept in concepts if concept["concept"] in named],
                }
                for family, concepts in by_family.items()
            ),
            key=lambda family: -family["share"],
        ),
        "more": [{k: v for k, v in told[name].items() if k != "curve"} for name in told if name not in named],
        "unused": sorted((material.label(str(name)) for name in shares[shares == 0].index), key=str),
        "rules": _rules(material, features),
    }


def _features(seen: Seen) -> dict[str, list[Feature]]:
    """Return the features of each concept, in the order of the catalogue."""
    concept_of, grouped = seen.bundle.concept_of, dict[str, list[Feature]]()
    for feature in seen.catalogue:
        grouped.setdefault(concept_of[feature.name], []).append(feature)
    return grouped


def _concept(
    material: Material,
    seen: Seen,
    name: str,
    features: list[Feature],
    with_it: list[str],
    share: float,
    place: int,
) -> dict[str, Any]:
    """Return one concept; its curve is over a feature of its own, not of those that are told with it."""
    own, rows = [feature for feature in features if feature.concept == name], seen.rows
    main = main_feature(own, seen.features, seen.concepts[name])
    steps = curve(
        main, seen.features[main.name], seen.concepts[name], rows["margin"],
        material.bundle.calibrator.predict, rows["lead_id"], rows["label"],
    )  # fmt: skip
    words = CurveWords(name, material.label(name), main, material.bundle.vocabulary, material.tellers)
    way = direction(main, steps)
    return {
        "concept": name,
        "figure": f"concept-{place}",
        "family": main.family,
        "label": words.label,
        "share": share,
        "way": way,
        "direction": words.direction(way),
        "sentence": words.sentence(extremes(main, steps)),
        "over": words.over(),
        "ordered": main.type != "category",
        "together": [material.label(other) for other in with_it],
        "curve": [_step(step, words) for step in steps],
    }


def _step(step: Step, words: CurveWords) -> dict[str, Any]:
    return {
        "values": words.step(step.bin),
        "leads": step.leads,
        "few": step.few,
        "propensity": step.propensity,
        "converted": step.won,
        "missing": step.bin.missing,
    }


def _rules(material: Material, features: dict[str, list[Feature]]) -> dict[str, Any] | None:
    """Return each line of the point table with what the model makes of it, the most at odds first."""
    past, rules = material.evidence, material.config.rules
    points = material.points_by_rule(past)
    if points is None:
        return None
    told_as, concept_of = material.bundle.told_as, material.bundle.concept_of
    named = [_about(rule) for rule in rules]
    concepts = [told_as.get(name, name) if name in features or name in told_as else None for name in named]
    lines = judged(
        material.bundle.classifier,
        Weighed(past.features, past.concepts),
        points,
        concepts,
        past.rows["lead_id"],
        concept_of,
        {name: of[0].family for name, of in features.items()},
    )
    told = [_line(rule, line) for rule, line in zip(rules, lines, strict=True)]
    order = ["opposite", "nothing", "less", "more", "same", "unclear", "few", "unseen"]
    return {
        "lines": sorted(told, key=lambda line: (order.index(line["verdict"]), -abs(line["points"]))),
        "counts": {name: sum(line["verdict"] == name for line in told) for name in order},
        "leads": int(past.rows["lead_id"].nunique()),
    }


def _about(rule: RuleConfig) -> str:
    """Return the concept that a line of the table is about, if the model has it."""
    if rule.activity is not None:
        return f"activity.{rule.activity}"
    return "email" if rule.email_class is not None else f"attribute.{rule.attribute}"


def _line(rule: RuleConfig, line: Line) -> dict[str, Any]:
    """Return a line with its effect in points, for once where the table gives them each time."""
    once = rule.points / line.given if line.given else 1.0
    worth, ends = line.effect * once, sorted((line.low * once, line.high * once))
    said: Said = line_said(rule.name, rule.points, line, worth)
    return {
        "name": rule.name,
        "points": rule.points,
        "each": rule.each,
        "leads": line.leads,
        "verdict": line.verdict,
        "sentence": said,
        "worth": worth,
        "low": ends[0],
        "high": ends[1],
        "known": bool(pd.notna(worth)),
    }
