"""What the same effort brought before: the model beside the points, or else first come, first served."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.language import Said, Speaker, Text, in_every_language
from models.operation import Nights, equal_contacts, fewer_calls, more_customers
from pipeline.report.material import Material

Floats = NDArray[np.float64]

LABELS = {
    "propense": Text("the model", "le modèle"),
    "points": Text("your points", "vos points"),
    "points_refitted": Text("your points, refitted", "vos points, recalculés"),
    "logistic": Text("a simple model", "un modèle simple"),
    "first_come": Text("first come, first served", "premier arrivé, premier servi"),
    "newest_first": Text("newest first", "les plus récents d’abord"),
    "chance": Text("picked at random", "au hasard"),
}
NOBODY = Text(
    "There is no comparison with the effort of before, because nobody was an MQL in the past. Choose a "
    "cutoff that can be met, and train again.",
    "Pas de comparaison avec l’effort d’avant : personne n’était MQL dans le passé. Choisissez un seuil "
    "atteignable et relancez l’entraînement.",
)


def effort_of(material: Material) -> tuple[dict[str, Any] | None, Said | None]:
    """Return what the same number of calls brought, or why that is not known.

    From the backtest if there is one; else from the window the model was not trained on, night by night at
    equal contacts; without times, beside leads picked at random.
    """
    found: dict[str, Any] | None
    if material.backtest is not None and material.backtest["answer"] is not None:
        found = _of_backtest(material.backtest)
    elif material.judged_on.rows["as_of"].isna().any():
        found = _beside_chance(material)
    else:
        found = _of_window(material)
    if found is None:
        return None, NOBODY.to_dict()
    labels = [{**of, "label": LABELS[of["policy"]].to_dict()} for of in found["policies"]]
    words = in_every_language(lambda speaker: _words(found, speaker))
    against = LABELS[found["against"]].to_dict()
    return {**found, "policies": labels, "against_words": against, "words": words}, None


def _of_backtest(backtest: dict[str, Any]) -> dict[str, Any]:
    answer = backtest["answer"]
    policies = {
        name: counts["customers"] for name, counts in backtest["comparison"].items() if name in LABELS
    }
    return {
        "against": answer["against"],
        "since": "backtest",
        **{name: answer[name] for name in ("calls", "customers", "customers_against")},
        "more": answer["more_customers"],
        "fewer_calls": answer["fewer_calls"],
        "policies": _ranked(policies),
    }


def _of_window(material: Material) -> dict[str, Any] | None:
    """Replay the window: every night all policies contact as many leads as the reference does."""
    rows = material.judged_on.rows
    level, threshold = material.bundle.cutoffs[0].level, material.config.decision.rules_mql_at
    pointed = bool(len(rows)) and bool(rows["points"].notna().all())
    scores: dict[str, Any] = {"propense": rows["margin"].to_numpy(float)}
    if pointed:
        scores["points"] = rows["points"].to_numpy(float)
    scores["first_come"] = -rows["created_at"].astype("int64").to_numpy(float)
    by_points = pointed and threshold is not None
    if not len(rows) or (level is None and not by_points):
        return None
    passes = rows["points"] >= threshold if by_points else rows["propensity"] >= level
    nights = Nights(rows)
    contacts = equal_contacts(nights, scores, "points" if by_points else "propense", passes)
    ours, against = contacts["propense"], "points" if pointed else "first_come"
    if not ours.any():
        return None
    found = {name: nights.count(flags)["customers"] for name, flags in contacts.items()}
    seed = material.config.model.seed
    return {
        "against": against,
        "since": "window",
        "calls": int(ours.sum()),
        "customers": found["propense"],
        "customers_against": found[against],
        "more": more_customers(nights, ours, contacts[against], seed=seed).to_dict(),
        "fewer_calls": fewer_calls(nights, scores["propense"], ours, contacts[against], seed=seed).to_dict(),
        "policies": _ranked(found),
    }


def _beside_chance(material: Material) -> dict[str, Any] | None:
    """Without times: the MQLs of the window beside as many of its leads picked at random."""
    rows = material.judged_on.rows
    mql = np.asarray(material.bundle.cutoffs[0].passes(rows["propensity"]), dtype=float)
    calls = int(mql.sum())
    if not calls:
        return None
    label = rows["label"].to_numpy(float)
    customers, chance = int(label @ mql), calls * float(label.mean())
    low, high = _apart(label, mql)
    return {
        "against": "chance",
        "since": "window",
        "calls": calls,
        "customers": customers,
        "customers_against": chance,
        "more": {"value": customers - chance, "low": low, "high": high},
        "fewer_calls": None,
        "policies": _ranked({"propense": customers, "chance": chance}),
    }


def _apart(label: Floats, mql: Floats) -> tuple[float, float]:
    """Return the 90% interval of the conversions beyond chance, which are n times a covariance (normal)."""
    product = (mql - mql.mean()) * (label - label.mean())
    value, error = float(product.sum()), float(np.sqrt(((product - product.mean()) ** 2).sum()))
    return value - 1.645 * error, value + 1.645 * error


def _ranked(customers: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the policies, the model first and then those that found the most."""
    order = sorted(customers, key=lambda name: (name != "propense", -customers[name]))
    return [{"policy": name, "customers": customers[name]} for name in order]


def _words(found: dict[str, Any], speaker: Speaker) -> str:
    return " ".join(filter(None, [_more(found, speaker), _fewer(found, speaker)]))


def _more(found: dict[str, Any], speaker: Speaker) -> str:
    others = {
        "points": Text("by your points", "avec vos points"),
        "first_come": Text("first come, first served", "en appelant les premiers arrivés d’abord"),
        "chance": Text("picked at random", "au hasard"),
    }
    sentence = Text(
        "Of {calls} leads to call, the model’s choice held {ours} that became customers, against "
        "{theirs} {others}: {more}.",
        "Sur {calls} leads à appeler, le choix du modèle en comptait {ours} devenus clients, contre "
        "{theirs} {others} : {more}.",
    )
    return speaker.say(
        sentence,
        calls=speaker.number(found["calls"]),
        ours=speaker.number(found["customers"]),
        theirs=speaker.number(round(found["customers_against"])),
        others=others[found["against"]],
        more=difference(found["more"], speaker),
    )


def difference(more: Mapping[str, Any], speaker: Speaker) -> str:
    """Write "51 more (90% interval 35 to 67)", and whether it may be chance."""
    value, low, high = round(more["value"]), more["low"], more["high"]
    fewer, plus = Text("{n} fewer", "{n} de moins"), Text("{n} more", "{n} de plus")

    def one(number: float) -> str:
        return speaker.say(plus if number >= 0 else fewer, n=speaker.number(abs(round(number))))

    if low is None or high is None:
        return one(value)
    ends = [speaker.number(low), speaker.number(high)] if low >= 0 else [one(low), one(high)]
    chance = Text(": it may be chance", " ; ce peut être un hasard")
    return speaker.say(
        Text(
            "{value} (90% interval {low} to {high}{chance})",
            "{value} (intervalle à 90 % : {low} à {high}{chance})",
        ),
        value=one(value),
        low=ends[0],
        high=ends[1],
        chance=speaker.say(chance) if low <= 0 <= high else "",
    )


def _fewer(found: dict[str, Any], speaker: Speaker) -> str:
    """Say how many calls would have been saved, if that more customers are found is beyond chance."""
    saved, more = found["fewer_calls"], found["more"]["low"]
    if saved is None or saved["value"] is None or saved["low"] is None or more is None or more <= 0:
        return ""
    least = floor(saved["low"])
    if least <= 0:
        return ""
    return speaker.say(
        Text(
            "As many customers would have taken {n} fewer calls ({low} to {high}).",
            "Pour autant de clients, {n} appels de moins auraient suffi ({low} à {high}).",
        ),
        n=speaker.number(saved["value"]),
        low=speaker.number(least),
        high=speaker.number(saved["high"]),
    )
