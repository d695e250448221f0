"""Can it be trusted: what was announced and what came, what was looked for, and what is in doubt."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.language import Said, Speaker, Text, in_every_language
from models.agreement import segments, share, tenths
from models.evaluation import evaluate
from pipeline.durations import parse_duration
from pipeline.report import checklist
from pipeline.report.material import Material, Seen
from pipeline.report.segments import by_address, by_attribute
from pipeline.report.words_backtest import POLICIES, answer_sentence, backtest_sentences
from pipeline.report.words_guard import SUBJECTS, evidence_sentence, replay_sentence
from pipeline.report.words_hygiene import NAMES, effect_sentence, measure_sentence, state
from pipeline.report.words_trust import (
    EXCLUDED,
    KINDS_OF_TEST,
    doubt_sentence,
    drift_sentence,
    drift_verdict,
    finding_sentence,
)
from pipeline.verdicts import doubted

# So many attributes, the strongest, are looked at segment by segment.
MOST_ATTRIBUTES = 2
# A table of more suspects is read by nobody; the rest is in train.json.
MOST_SUSPECTS = 12


def found(material: Material) -> dict[str, Any]:
    """Return the checklist with its verdict, and the evidence behind every line of it."""
    account, seen = material.account, material.judged_on
    parts: dict[str, Any] = {
        "test": _test(material, seen),
        "reliability": _reliability(seen),
        "ranking": _ranking(material, seen),
        "backtest": _backtest(material),
        "guard": _guard(material),
        "hygiene": _hygiene(account["hygiene"]),
        "drift": drift_sentence(account["drift"]),
        "doubts": [doubt_sentence(doubt) for doubt in doubted(account)],
        "left_out": _left_out(material),
        "ages": _ages(account),
        "segments": _segments(material, seen),
        "has_points": _has_points(seen),
    }
    checks = _checks(material, parts)
    return {"verdict": checklist.verdict(checks), "checks": checks, **parts}


def _checks(material: Material, parts: dict[str, Any]) -> list[checklist.Check]:
    account, reliability = material.account, parts["reliability"]
    kind = parts["test"]["kind"]
    backtest = parts["backtest"]
    answer = None if backtest is None else backtest["answer"]
    better, against = (answer["more_customers"], answer["against"]) if answer else (None, "points")
    checks = [
        checklist.tested(kind, KINDS_OF_TEST[kind]),
        checklist.propensities(
            reliability["overall"],
            reliability["outside"],
            len(reliability["model"]),
            leads=parts["test"],
            horizon=account["horizon"],
        ),
        checklist.order(parts["ranking"]["propense"], parts["ranking"]["words"], better, against),
        checklist.promise(account),
        checklist.leaks(account["guard"]),
        checklist.clean(account["hygiene"]["measures"]),
        checklist.steady(account["drift"], drift_verdict(account["drift"])),
        checklist.as_known_then(_unchecked(material), flat=material.config.flat),
        checklist.fresh(material.observed_until, material.as_of),
    ]
    return [one for one in checks if one is not None]


def _unchecked(material: Material) -> list[Said]:
    """Return what people call the attributes without a history."""
    known = {one.name for one in material.bundle.vocabulary.attributes}
    address = Text("e-mail domain", "domaine de l’adresse e-mail").to_dict()
    return [
        material.label(f"attribute.{name}") if name in known else address
        for name in material.account["unchecked"]
    ]


def _test(material: Material, seen: Seen) -> dict[str, Any]:
    account = material.account
    window = account["windows"]["decision" if account["shipped"] else "test"]
    return {"kind": "shipped" if account["shipped"] else account["split"], **window, "snapshots": len(seen)}


def _reliability(seen: Seen) -> dict[str, Any]:
    """Return what was announced and what came, in tenths, by the model and by the old points."""
    rows = seen.rows
    ends = (rows["propensity_low"], rows["propensity_high"])
    usable = ends if all(end.notna().all() for end in ends) else None
    model = tenths(rows["propensity"], rows["label"], rows["group_id"], usable)
    points = tenths(rows["rules"], rows["label"], rows["group_id"]) if _has_points(seen) else None
    overall = {"announced": float(rows["propensity"].mean()), **share(rows["label"], rows["group_id"])}
    inside = sum(row["given_low"] <= row["came"] <= row["given_high"] for row in model) if usable else None
    return {
        "model": model,
        "points": points,
        "overall": overall,
        "outside": sum(not row["low"] <= row["announced"] <= row["high"] for row in model),
        "inside_given": inside,
    }


def _has_points(seen: Seen) -> bool:
    return bool(seen.rows["rules"].notna().all())


def _ranking(material: Material, seen: Seen) -> dict[str, Any]:
    """Return how often the model, and the points, put the right one of two leads first."""
    found = _auc(material, seen)
    form = Text(
        "Of a lead that converted and one that did not, the model ranks the right one first in {share} of "
        "pairs (90% interval {low} to {high}; tossing a coin: 50%).",
        "D’un lead qui s’est converti et d’un autre qui ne s’est pas converti, le modèle classe le bon "
        "devant dans {share} des cas (intervalle à 90 % : {low} à {high} ; à pile ou face : 50 %).",
    )
    more = Text(" Your points do so in {share}.", " Vos points le font dans {share} des cas.")

    def tell(s: Speaker) -> str:
        own = found["propense"]
        if own["value"] is None:
            return s.say(Text("There were too few outcomes to judge it.", "Trop peu d’issues pour en juger."))
        said = s.say(
            form, share=s.percent(own["value"]), low=s.percent(own["low"]), high=s.percent(own["high"])
        )
        theirs = found["points"]
        return said + (
            s.say(more, share=s.percent(theirs["value"])) if theirs and theirs["value"] is not None else ""
        )

    return {**found, "words": in_every_language(tell)}


def _auc(material: Material, seen: Seen) -> dict[str, Any]:
    """Return the AUC from the account, or computed on the window at hand where there is no test."""
    test = material.account["test"]
    if test is not None:
        return {"propense": test["auc"]["propense"], "points": test["auc"].get("rules")}
    rows = seen.rows
    models = {"propense": rows["propensity"]} | ({"points": rows["rules"]} if _has_points(seen) else {})
    auc = evaluate(rows["label"], models, rows["group_id"], seed=material.config.model.seed)["auc"]
    return {"propense": auc["propense"], "points": auc.get("points")}


def _backtest(material: Material) -> dict[str, Any] | None:
    own = material.account["backtest"]
    account = material.backtest or own
    if account is None:
        return None
    folds = [
        {
            "origin": fold["origin"],
            "promised": (fold["promised"] or {}).get("promised"),
            "verdict": fold["held"],
            **{name: fold["realised"][name] for name in ("value", "low", "high", "mqls")},
            "equal_contacts": fold["equal_contacts"],
        }
        for fold in account["folds"]
    ]
    return {
        "answer": account["answer"],
        "sentence": answer_sentence(account),
        "words": backtest_sentences(account),
        "folds": folds,
        "policies": {
            name: text.to_dict() for name, text in POLICIES.items() if name in account["comparison"]
        },
        "comparison": account["comparison"],
        "other_data": bool(own) and not own["data"]["same"],
    }


def _guard(material: Material) -> dict[str, Any]:
    guard = material.account["guard"]
    told = [v for v in guard["verdicts"] if v["verdict"] != "clear" or v["overruled"]]
    return {
        "on": guard["on"],
        "judged": len(guard["verdicts"]),
        "verdicts": [_verdict(one, guard["effects"]) for one in told[:MOST_SUSPECTS]],
        "more": max(len(told) - MOST_SUSPECTS, 0),
        "replay": replay_sentence(guard["replay"], material.label),
    }


def _verdict(verdict: dict[str, Any], effects: dict[str, Any]) -> dict[str, Any]:
    subject = verdict["subject"]
    return {
        "subject": SUBJECTS[subject].to_dict(),
        "name": verdict["name"],
        "verdict": verdict["verdict"],
        "kept": verdict["kept"],
        "overruled": verdict["overruled"],
        "evidence": [evidence_sentence(e, subject) for e in verdict["evidence"] if e["test"] != "numbers"],
        "effect": effect_sentence(effects.get(verdict["name"])),
    }


def _hygiene(hygiene: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": NAMES[measure["name"]].to_dict(),
            "state": state(measure),
            "words": measure_sentence(measure),
            "effect": effect_sentence(hygiene["effects"].get(measure["name"])),
        }
        for measure in hygiene["measures"]
    ]


def _left_out(material: Material) -> dict[str, Any]:
    reasons = material.scored.excluded["reason"].value_counts()
    findings = [f for f in material.account["data"]["findings"] if f["level"] != "error"]
    return {
        "scored": len(material.open),
        "open_leads": [
            {"reason": EXCLUDED[str(reason)].to_dict(), "leads": int(count)}
            for reason, count in reasons.items()
        ],
        "findings": [finding_sentence(one) for one in findings],
    }


def _ages(account: dict[str, Any]) -> dict[str, Any] | None:
    """Return how well leads of each age are ranked, youngest first, and new ones; None where not known."""
    if "by_age" not in account and "new_leads" not in account:
        return None
    ages = account.get("by_age", {})
    ordered = sorted(ages, key=lambda age: parse_duration(age))
    rows = [
        {"age": _age(age), "model": ages[age]["auc"]["propense"], "points": ages[age]["auc"].get("rules")}
        for age in ordered
    ]
    new = account.get("new_leads")
    return {
        "rows": rows,
        "new": {"leads": new["leads"], "model": new["test"]["auc"]["propense"]} if new else None,
    }


def _age(age: str) -> Said:
    days = parse_duration(age).total_seconds() / 86400
    return in_every_language(lambda speaker: speaker.lasting(days))


def _segments(material: Material, seen: Seen) -> list[dict[str, Any]]:
    """Return announced and observed by the segments of the strongest attributes of fit."""
    known = {f"attribute.{one.name}": one for one in material.bundle.vocabulary.attributes}
    fit = {f.concept for f in seen.catalogue if f.family == "fit"}
    strength = seen.concepts.abs().mean().sort_values(ascending=False)
    chosen = [str(c) for c in strength.index if c in fit and (c in known or c == "email")][:MOST_ATTRIBUTES]
    told = []
    for concept in chosen:
        if concept == "email":
            segment, names = by_address(seen.features["email.class"])
        else:
            segment, names = by_attribute(known[concept], seen.features[concept])
        told.append(_one_segment(material, seen, concept, segment, names))
    return told


def _one_segment(
    material: Material, seen: Seen, concept: str, segment: pd.Series, names: dict[str, Said]
) -> dict[str, Any]:
    rows = seen.rows
    found = segments(segment, rows["lead_id"], rows["propensity"], rows["label"], rows["group_id"])
    return {
        "concept": concept,
        "label": material.label(concept),
        "rows": [{**one, "name": names[one["segment"]]} for one in found],
        "differ": [names[one["segment"]] for one in found if not one["agrees"]],
    }
