"""What a cutoff was asked for, what came of it and what it promises, in every language.

Everything is said from the numbers of ``train.json``; its English sentences are for the terminal.
"""

from __future__ import annotations

import re
from typing import Any

from features.language import Said, Speaker, Text, in_every_language
from models.certificates import LEAST_UNITS

_UNITS = {"m": "minute", "h": "hour", "d": "day", "w": "week"}
# Of the units of a promise, how many did what was promised.
_COUNTED = {
    "lead": Text("{k} of {n} leads", "{k} leads sur {n}"),
    "account": Text("{k} of {n} accounts", "{k} comptes sur {n}"),
    "win": Text("{k} of {n} conversions", "{k} conversions sur {n}"),
}


def within(speaker: Speaker, horizon: str | None) -> str:
    """Say a horizon such as "90d" after a verb: " within 90 days"; nothing without one."""
    length = lasting(speaker, horizon)
    return speaker.say(Text(" within {time}", " sous {time}"), time=length) if length else ""


def lasting(speaker: Speaker, horizon: str | None) -> str:
    """Say a horizon such as "90d": "90 days"; nothing without one."""
    match = re.fullmatch(r"(\d+)([mhdw])", horizon or "")
    return speaker.time(int(match[1]), _UNITS[match[2]]) if match else horizon or ""


def precise(speaker: Speaker, share: float) -> str:
    """Write a share with a tenth where it has one: 15 %, 7.5 %."""
    return speaker.percent(share, 0 if round(1000 * share) % 10 == 0 else 1)


def of_counted(speaker: Speaker, successes: int, units: int, unit: str) -> str:
    """Write "9 of 44 accounts"."""
    return speaker.say(_COUNTED[unit], k=speaker.number(successes), n=speaker.number(units))


def promised(promise: dict[str, Any], horizon: str | None) -> Said:
    """Say a promise as one sentence."""
    account = promise["tested_on"]["unit"] == "account"

    def tell(speaker: Speaker) -> str:
        first = Text(" (counting the first of each account)", " (le premier de chaque compte faisant foi)")
        sentence = (
            Text(
                "At least {share} of the conversions{whose} were MQLs before.",
                "Au moins {share} des conversions{whose} étaient des MQL auparavant.",
            )
            if promise["what"] == "recall"
            else Text(
                "At least {share} of the MQLs{whose} convert{within}.",
                "Au moins {share} des MQL{whose} se convertissent{within}.",
            )
        )
        values = {
            "share": precise(speaker, promise["at_least"]),
            "whose": first if account else "",
            "within": within(speaker, horizon),
        }
        return speaker.say(sentence, **{name: values[name] for name in _wanted(sentence, values)})

    return in_every_language(tell)


def held(realised: dict[str, Any], unit: str) -> Said:
    """Say whether a promise held in the test window, from `models.promises.realised`."""
    sentences = {
        "held": Text(
            "It held: of leads that the model never saw, {counted} ({share}) converted.",
            "Elle a tenu : parmi des leads que le modèle n’a jamais vus, {counted} ({share}) se sont "
            "convertis.",
        ),
        "undecided": Text(
            "Undecided: {counted} ({share}) converted, less than promised but not by more than chance "
            "explains.",
            "Indécis : {counted} ({share}) se sont convertis, moins que promis, mais l’écart peut être dû au "
            "hasard.",
        ),
        "violated": Text(
            "It did not hold: only {counted} ({share}) converted, fewer than chance explains.",
            "Elle n’a pas tenu : seuls {counted} ({share}) se sont convertis, moins que le hasard ne "
            "l’explique.",
        ),
    }
    if not realised["units"]:
        return Text(
            "Nobody reached this level since, so it could not be checked.",
            "Personne n’a atteint ce niveau depuis : rien à vérifier.",
        ).to_dict()
    return in_every_language(
        lambda speaker: speaker.say(
            sentences[realised["verdict"]],
            counted=of_counted(speaker, realised["successes"], realised["units"], unit),
            share=speaker.percent(realised["share"]),
        )
    )


def in_short(cutoff: dict[str, Any]) -> Said:
    """Return what stands beside a policy's mark on the slider."""
    p = cutoff["evidence"]["parameters"]

    def tell(speaker: Speaker) -> str:
        share = precise(speaker, p["at_least"]) if p.get("at_least") is not None else ""
        match cutoff["policy"]:
            case "capacity":
                return speaker.say(Text("{n} a week", "{n} par semaine"), n=speaker.plain(p["per_week"]))
            case "precision":
                return speaker.say(Text("{share} convert", "{share} convertis"), share=share)
            case "recall":
                return speaker.say(Text("{share} caught", "{share} repérés"), share=share)
            case "value":
                return speaker.say(Text("pays for itself", "rentable"))
        return speaker.say(Text("set by hand", "fixé à la main"))

    return in_every_language(tell)


def asked(cutoff: dict[str, Any], currency: str | None) -> Said:
    """Say what was asked of a cutoff."""
    p = cutoff["evidence"]["parameters"]

    def tell(speaker: Speaker) -> str:
        share = precise(speaker, p["at_least"]) if p.get("at_least") is not None else ""
        match cutoff["policy"]:
            case "capacity":
                also = Text(", of which at least {share} convert", ", dont au moins {share} se convertissent")
                return speaker.say(
                    Text("At most {n} new MQLs a week{also}.", "Au plus {n} nouveaux MQL par semaine{also}."),
                    n=speaker.plain(p["per_week"]),
                    also=speaker.say(also, share=share) if share else "",
                )
            case "precision":
                return speaker.say(
                    Text(
                        "At least {share} of the MQLs convert.", "Au moins {share} des MQL se convertissent."
                    ),
                    share=share,
                )
            case "recall":
                return speaker.say(
                    Text(
                        "At least {share} of the conversions were MQLs before.",
                        "Au moins {share} des conversions étaient des MQL auparavant.",
                    ),
                    share=share,
                )
            case "value":
                return speaker.say(
                    Text(
                        "A contact pays for itself: it costs {cost}, a customer is worth {value}.",
                        "Un contact se rembourse : il coûte {cost}, un client rapporte {value}.",
                    ),
                    cost=speaker.money(p["cost"], currency),
                    value=speaker.money(p["value"], currency),
                )
        return speaker.say(
            Text("A propensity of {level}, set by hand.", "Une propension de {level}, fixée à la main."),
            level=precise(speaker, p["propensity"]),
        )

    return in_every_language(tell)


def outcome(cutoff: dict[str, Any]) -> Said:
    """Say what came of what was asked: the level, or why there is none and what would help."""
    evidence = cutoff["evidence"]
    if cutoff["level"] is None:
        return in_every_language(lambda speaker: " ".join(_refusal(cutoff, speaker)))

    def tell(speaker: Speaker) -> str:
        level = Text(
            "A lead is an MQL from a propensity of {level} on.",
            "Un lead est un MQL à partir d’une propension de {level}.",
        )
        told = [speaker.say(level, level=precise(speaker, cutoff["level"]))]
        if "withdrawn" in evidence:
            told.append(speaker.say(WITHDRAWN))
        elif cutoff["promise"] is None and evidence.get("tests"):  # the default: a start, uncertified
            told += _refused_share(cutoff, speaker)
        elif cutoff["promise"] is None:
            told.append(_nothing(evidence["first_crossings"], speaker))
        return " ".join(told)

    return in_every_language(tell)


WITHDRAWN = Text(
    "Nothing is promised: the share of leads that convert moved while the model was built, so what held then "
    "need not hold for the leads to come.",
    "Rien n’est promis : la part des leads qui se convertissent a bougé pendant la construction du modèle ; "
    "ce qui valait alors ne vaut pas forcément pour les leads à venir.",
)


def _nothing(counted: dict[str, Any], speaker: Speaker) -> str:
    return speaker.say(
        Text(
            "Nothing can be promised there: {counted} converted, too few to be sure.",
            "Rien ne peut y être promis : {counted} se sont convertis, trop peu pour être sûr.",
        ),
        counted=of_counted(speaker, counted["converted"], counted["units"], counted["unit"]),
    )


def _refusal(cutoff: dict[str, Any], speaker: Speaker) -> list[str]:
    """Say why a policy could not be met."""
    evidence = cutoff["evidence"]
    p, tests = evidence["parameters"], evidence.get("tests") or []
    if cutoff["policy"] == "value":
        return [speaker.say(Text(
            "A contact costs as much as a customer is worth: no level pays for it.",
            "Un contact coûte autant qu’un client rapporte : aucun seuil n’est rentable.",
        ))]  # fmt: skip
    if tests:
        return _refused_share(cutoff, speaker)
    if cutoff["policy"] == "capacity" and evidence["best"] is not None:
        return [speaker.say(Text(
            "Even the highest level makes {n} new MQLs a week: the model cannot tell its leads apart.",
            "Même le seuil le plus haut donne {n} nouveaux MQL par semaine : le modèle ne distingue pas ces "
            "leads.",
        ), n=speaker.number(evidence["best"]["mqls_per_week"], 1))]  # fmt: skip
    what = (
        Text(
            "Fewer than {n} conversions were seen: too few to judge by.",
            "Moins de {n} conversions observées : trop peu pour en juger.",
        )
        if cutoff["policy"] == "recall"
        else Text(
            "At every level fewer than {n} leads become MQLs: too few to judge by.",
            "À chaque niveau, moins de {n} leads deviennent MQL : trop peu pour en juger.",
        )
    )
    return [
        speaker.say(what, n=speaker.number(LEAST_UNITS)),
        *([_also(p, speaker)] if _also(p, speaker) else []),
    ]


def _also(parameters: dict[str, Any], speaker: Speaker) -> str:
    """Say that it was asked together with a number a week, if it was."""
    if "per_week" not in parameters:
        return ""
    return speaker.say(
        Text("At most {n} a week was asked for as well.", "Au plus {n} par semaine étaient demandés aussi."),
        n=speaker.plain(parameters["per_week"]),
    )


def _refused_share(cutoff: dict[str, Any], speaker: Speaker) -> list[str]:
    """Say that the share asked for cannot be promised, what could be, and what it would take."""
    evidence, recall = cutoff["evidence"], cutoff["policy"] == "recall"
    p, first = evidence["parameters"], evidence["tests"][0]
    best, needed = evidence.get("best_promise"), evidence.get("leads_needed") or {}
    unit = "win" if recall else _unit(evidence)
    sentence = (
        Text(
            "{share} cannot be promised with {sure} confidence: even at the lowest level {counted} had "
            "been MQLs before.",
            "{share} ne peuvent être promis avec une confiance de {sure} : même au niveau le plus bas, "
            "{counted} étaient des MQL auparavant.",
        )
        if recall
        else Text(
            "{share} cannot be promised with {sure} confidence: where the most was to be expected, at a "
            "propensity of {level}, {counted} converted.",
            "{share} ne peuvent être promis avec une confiance de {sure} : là où l’on pouvait en attendre le "
            "plus, à une propension de {level}, {counted} se sont convertis.",
        )
    )
    values = {
        "share": precise(speaker, p["at_least"]),
        "sure": precise(speaker, p["confidence"]),
        "level": precise(speaker, first["level"]),
        "counted": of_counted(speaker, first["successes"], first["units"], unit),
    }
    told = [speaker.say(sentence, **{name: values[name] for name in _wanted(sentence, values)})]
    if best:
        told.append(speaker.say(
            Text("{share} could be promised there.", "{share} pourraient y être promis."),
            share=precise(speaker, best["at_least"]),
        ))  # fmt: skip
    if needed.get("leads"):
        told.append(speaker.say(Text(
            "It would take about {times} times as many leads ({n}).",
            "Il faudrait environ {times} fois plus de leads ({n}).",
        ), times=speaker.number(needed["times"], 1), n=speaker.number(needed["leads"])))  # fmt: skip
    elif needed:
        told.append(
            speaker.say(Text("More leads would not help.", "Davantage de leads n’y changeraient rien."))
        )
    return told


def _unit(evidence: dict[str, Any]) -> str:
    """Return what a promise was counted by: best known from what was promised or counted there."""
    best = evidence.get("best_promise") or {}
    return str(best.get("tested_on", evidence.get("first_crossings", {"unit": "lead"}))["unit"])


def _wanted(text: Text, values: dict[str, Any]) -> list[str]:
    """Return which of the values a text names."""
    return [name for name in values if f"{{{name}}}" in text.en]
