"""What a backtest found, as sentences in every language, written from the numbers of its account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.language import Noun, Said, Speaker, Text, in_every_language

Account = Mapping[str, Any]

POLICIES = {
    "propense": Text("the model", "le modèle"),
    "points": Text("your points", "vos points"),
    "points_refitted": Text("your points, refitted", "vos points, recalculés"),
    "logistic": Text("a simple model", "un modèle simple"),
    "first_come": Text("first come, first served", "premier arrivé, premier servi"),
    "newest_first": Text("newest first", "les plus récents d’abord"),
    "foresight": Text("perfect foresight", "une prescience parfaite"),
}
CALLS = Noun(Text("call", "appel"), Text("calls", "appels"))


def answer_sentence(account: Account) -> Said:
    """Return the one sentence that a head of sales wants."""
    return in_every_language(lambda speaker: _answer(speaker, account))


def _answer(s: Speaker, account: Account) -> str:
    answer = account["answer"]
    if answer is None:
        return s.say(
            Text(
                "Nobody was contacted: no cutoff could be chosen at any time, so there is nothing to "
                "compare.",
                "Personne n’a été contacté : aucun seuil n’a pu être choisi, il n’y a donc rien à comparer.",
            )
        )
    more = answer["more_customers"]
    form = Text(
        "With the same number of calls ({calls}) {ours} customers instead of {theirs} with {against}: {more} "
        "(90% interval {low} to {high}).",
        "Avec le même nombre d’appels ({calls}), {ours} clients au lieu de {theirs} avec {against} : {more} "
        "(intervalle à 90 % : {low} à {high}).",
    )
    said = s.say(
        form, calls=s.number(answer["calls"]), ours=s.number(answer["customers"]),
        theirs=s.number(answer["customers_against"]), against=POLICIES[answer["against"]],
        more=signed(s, more["value"]), low=signed(s, more["low"]), high=signed(s, more["high"]),
    )  # fmt: skip
    parts = [said, _fewer(s, answer)]
    if more["low"] <= 0 <= more["high"]:
        chance = Text(
            "That difference is within what chance can do.",
            "Cet écart reste dans ce que le hasard peut faire.",
        )
        parts.append(s.say(chance))
    return " ".join(part for part in parts if part)


def _fewer(s: Speaker, answer: Account) -> str:
    fewer = answer["fewer_calls"]
    beyond_chance = not answer["more_customers"]["low"] <= 0 <= answer["more_customers"]["high"]
    if not answer["customers_against"] or fewer["value"] is None or not beyond_chance:
        return ""
    if fewer["value"] >= 0:
        form = Text("For the same customers, {calls} fewer.", "Pour les mêmes clients, {calls} de moins.")
    else:
        form = Text("For the same customers, {calls} more.", "Pour les mêmes clients, {calls} de plus.")
    return s.say(form, calls=s.counted(abs(fewer["value"]), CALLS))


def signed(s: Speaker, value: float) -> str:
    """Write a difference with its sign: ``+35``, ``−4``."""
    whole = round(value)
    return f"+{s.number(whole)}" if whole > 0 else f"−{s.number(-whole)}" if whole < 0 else "0"


def backtest_sentences(account: Account) -> list[Said]:
    """Return what else a backtest says: as operated, promises, and announced beside observed."""
    told = (_operated, _promises, _calibrated)
    return [in_every_language(lambda speaker, tell=tell: tell(speaker, account)) for tell in told]  # type: ignore[misc]


def _operated(s: Speaker, account: Account) -> str:
    overall = account["overall"]
    realised = overall["realised"]
    if realised["value"] is None:
        return s.say(Text("No lead became an MQL.", "Aucun lead n’est devenu MQL."))
    form = Text(
        "{folds} times the model was trained on what was known by then and used until the next time: {mqls} "
        "leads became MQLs, and {share} of them converted (90% interval {low} to {high}{how}).",
        "{folds} fois, le modèle a été entraîné sur ce qui était alors connu puis utilisé jusqu’à la fois "
        "suivante : {mqls} leads sont devenus MQL, et {share} d’entre eux se sont convertis (intervalle à "
        "90 % : {low} à {high}{how}).",
    )
    once = Text("; the first of each account counts", " ; le premier de chaque compte est compté")
    how = once if realised["units"] < overall["mqls"] else Text("", "")
    share, low, high = (s.percent(realised[name]) for name in ("value", "low", "high"))
    folds, mqls = s.number(len(account["folds"])), s.number(overall["mqls"])
    return s.say(form, folds=folds, mqls=mqls, share=share, low=low, high=high, how=how)


def _promises(s: Speaker, account: Account) -> str:
    overall = account["overall"]
    made, folds = overall["promises"], len(account["folds"])
    if not made:
        return s.say(
            Text("At no time could anything be promised.", "À aucun moment rien n’a pu être promis.")
        )
    form = Text(
        "A promise was made {made} of {folds} times; what came was significantly below it {broken} times.",
        "Une promesse a été faite {made} fois sur {folds} ; le résultat a été nettement en dessous {broken} "
        "fois.",
    )
    return s.say(form, made=s.number(made), folds=s.number(folds), broken=s.number(overall["violations"]))


def _calibrated(s: Speaker, account: Account) -> str:
    found = account["overall"]["calibration"]
    form = Text(
        "The propensities announced {expected} conversions, and {observed} came.",
        "Les propensions annonçaient {expected} conversions ; il y en a eu {observed}.",
    )
    return s.say(form, expected=s.number(round(found["expected"])), observed=s.number(found["observed"]))
