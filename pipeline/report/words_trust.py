"""Sentences in every language about a result as a whole: what was tested, drift, doubts, data left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from features.language import Said, Speaker, Text, in_every_language
from models.drift import BAND
from pipeline.verdicts import Doubt

# What kind of test it was, by how the windows were made.
KINDS_OF_TEST = {
    "time": Text(
        "The model was judged as it will be used: on leads of a later time, none of which it was built from.",
        "Le modèle a été jugé comme il servira : sur des leads d’une période ultérieure, dont aucun n’a "
        "servi "
        "à le construire.",
    ),
    "group": Text(
        "The model was judged on other leads drawn at random, not on a later time: what changes with time, "
        "this test cannot see.",
        "Le modèle a été jugé sur d’autres leads tirés au hasard, et non sur une période ultérieure : ce qui "
        "change avec le temps échappe à ce test.",
    ),
    "row": Text(
        "The model was judged on the last rows of the table: they came later, but when is not known.",
        "Le modèle a été jugé sur les dernières lignes de la table : elles sont venues plus tard, mais on ne "
        "sait pas quand.",
    ),
    "random": Text(
        "The model was judged on rows drawn at random, not on a later time: what changes with time, this "
        "test cannot see.",
        "Le modèle a été jugé sur des lignes tirées au hasard, et non sur une période ultérieure : ce qui "
        "change avec le temps échappe à ce test.",
    ),
    "shipped": Text(
        "This model was trained on everything up to now, so nothing is left to test it on: the numbers here "
        "are of the window in which its cutoff was chosen, and those of the backtest are of the procedure.",
        "Ce modèle a appris sur tout jusqu’à ce jour, il ne reste donc rien pour le tester : les chiffres "
        "ici "
        "sont ceux de la fenêtre où son seuil a été choisi, et ceux du backtest sont ceux de la procédure.",
    ),
}

# What drift compares, as `models.drift` names it.
BETWEEN = {
    "from the training to the calibration window": Text(
        "from the first to the second part of the past",
        "de la première à la deuxième partie du passé",
    ),
    "from the calibration to the decision window": Text(
        "from the second to the third part of the past, given what was announced",
        "de la deuxième à la troisième partie du passé, au regard de ce qui était annoncé",
    ),
    "while the model was built": Text("while the model was built", "pendant que le modèle se construisait"),
}


def drift_verdict(drift: Mapping[str, Any]) -> Said:
    """Say in one sentence whether the base rate moved while the model was built."""
    return in_every_language(lambda speaker: _verdict(speaker, drift))


def drift_sentence(drift: Mapping[str, Any]) -> Said:
    """Say whether the base rate moved while the model was built, and what that is seen by."""
    return in_every_language(lambda speaker: _drift(speaker, drift))


def _seen(drift: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [check for check in drift["checks"] if check["ratio"] is not None]


def _changed(check: Mapping[str, Any]) -> bool:
    """Return whether a rate changed beyond chance, though perhaps by no more than the season does."""
    return not check["low"] <= 1 <= check["high"]


def _verdict(s: Speaker, drift: Mapping[str, Any]) -> str:
    seen = _seen(drift)
    if not seen:
        return s.say(
            Text(
                "Whether the share that converts moves with time cannot be seen in this data.",
                "Ces données ne permettent pas de voir si le taux de conversion bouge avec le temps.",
            )
        )
    if drift["moved"]:
        return s.say(
            Text(
                "The share that converts moved while the model was built, so no cutoff promises anything.",
                "Le taux de conversion a bougé pendant que le modèle se construisait : aucun seuil ne promet "
                "rien.",
            )
        )
    if any(_changed(check) for check in seen):
        return s.say(
            Text(
                "The share that converts changed while the model was built, but perhaps by no more than the "
                "season does.",
                "Le taux de conversion a changé pendant que le modèle se construisait, mais peut-être pas "
                "plus que la saison ne le fait changer.",
            )
        )
    return s.say(
        Text(
            "No move of the share that converts beyond chance was seen while the model was built.",
            "Aucun mouvement du taux de conversion au-delà du hasard n’a été vu pendant que le modèle se "
            "construisait.",
        )
    )


def _drift(s: Speaker, drift: Mapping[str, Any]) -> str:
    seen = _seen(drift)
    told = [_verdict(s, drift), *(_check(s, check) for check in seen)]
    if not drift["moved"] and any(_changed(check) for check in seen):
        form = Text(
            "With the season a share may be {low} to {high} times what it was before, so we call it a move "
            "only if the whole interval lies beyond.",
            "Avec la saison, un taux peut aller de {low} à {high} fois ce qu’il était : nous n’y voyons un "
            "mouvement que si tout l’intervalle est au-delà.",
        )
        told.append(s.say(form, low=s.number(BAND[0], 2), high=s.number(BAND[1], 2)))
    elif seen and not drift["moved"]:
        caveat = Text(
            "It may still have moved by as much as these intervals allow.",
            "Il a pu bouger dans les limites de ces intervalles.",
        )
        told.append(s.say(caveat))
    return " ".join(told)


def _check(s: Speaker, check: Mapping[str, Any]) -> str:
    form = Text(
        "{between}: leads converted {ratio} times as often (99% interval {low} to {high}).",
        "{between} : {ratio} fois le taux d’avant (intervalle à 99 % : {low} à {high}).",
    )
    if not check["moved"] and _changed(check):
        form = (
            Text(
                "{between}: fewer leads converted than before, {ratio} times as often (99% interval {low} to "
                "{high}).",
                "{between} : moins de leads se sont convertis qu’avant, {ratio} fois le taux d’avant "
                "(intervalle à 99 % : {low} à {high}).",
            )
            if check["ratio"] < 1
            else Text(
                "{between}: more leads converted than before, {ratio} times as often (99% interval {low} to "
                "{high}).",
                "{between} : plus de leads se sont convertis qu’avant, {ratio} fois le taux d’avant "
                "(intervalle à 99 % : {low} à {high}).",
            )
        )
    between = BETWEEN[check["between"]]
    ratio, low, high = (s.number(check[name], 2) for name in ("ratio", "low", "high"))
    said = s.say(form, between=between, ratio=ratio, low=low, high=high)
    return said[:1].upper() + said[1:]


def doubt_sentence(doubt: Doubt) -> Said:
    """Say a doubt of `pipeline.verdicts.doubted`."""
    return in_every_language(lambda speaker: DOUBTS[doubt.name](speaker, doubt.values))


def _kept(s: Speaker, v: Mapping[str, Any]) -> str:
    form = Text(
        "You keep what the leak guard would leave out: {names}. If it is right, no number here will hold on "
        "leads to come.",
        "Vous gardez ce que le détecteur de fuites écarterait : {names}. S’il a raison, aucun chiffre ici ne "
        "tiendra sur les leads à venir.",
    )
    return s.say(form, names=", ".join(v["names"]))


def _moved(s: Speaker, _: Mapping[str, Any]) -> str:
    form = Text(
        "The share that converts moved while the model was built: what held then need not hold for the leads "
        "to come.",
        "Le taux de conversion a bougé pendant que le modèle se construisait : ce qui valait alors ne vaut "
        "pas "
        "forcément pour les leads à venir.",
    )
    return s.say(form)


def _too_good(s: Speaker, v: Mapping[str, Any]) -> str:
    form = Text(
        "Ranking {share} of pairs right is too good to be true: a column or an activity probably follows "
        "from "
        "the outcome.",
        "Bien classer {share} des paires est trop beau pour être vrai : une colonne ou une activité découle "
        "sans doute de l’issue.",
    )
    said = s.say(form, share=s.percent(v["auc"], 1))
    if not v["suspects"]:
        return said
    look = Text("{said} Look at these first: {names}.", "{said} À regarder d’abord : {names}.")
    return s.say(look, said=said, names=", ".join(v["suspects"]))


def _logistic_ranks(s: Speaker, v: Mapping[str, Any]) -> str:
    form = Text(
        "A simple model (logistic regression) ranks these leads better: {gain} points of pairs "
        "more "
        "(90% interval {low} to {high}).",
        "Un modèle simple (régression logistique) classe mieux ces leads : {gain} points de "
        "paires "
        "en plus (intervalle à 90 % : {low} à {high}).",
    )
    gain, low, high = (s.number(100 * v[name], 1) for name in ("gain", "low", "high"))
    return s.say(form, gain=gain, low=low, high=high)


def _logistic_calibrates(s: Speaker, _: Mapping[str, Any]) -> str:
    form = Text(
        "A simple model (logistic regression) gives these leads the better probabilities.",
        "Un modèle simple (régression logistique) donne à ces leads de meilleures probabilités.",
    )
    return s.say(form)


DOUBTS: dict[str, Callable[[Speaker, Mapping[str, Any]], str]] = {
    "kept": _kept,
    "moved": _moved,
    "too_good": _too_good,
    "logistic_ranks": _logistic_ranks,
    "logistic_calibrates": _logistic_calibrates,
}

# Why an open lead is not scored, by the words of ``excluded.parquet``.
EXCLUDED = {
    "handed_over": Text("sales had taken it over", "déjà repris par les commerciaux"),
    "duplicate": Text("the same person as another lead", "même personne qu’un autre lead"),
    "customer": Text("the same person as a customer", "même personne qu’un client"),
    "test": Text("a test lead", "lead de test"),
    "employee": Text("the company’s own employee", "salarié de l’entreprise"),
    "disposable_address": Text("a throw-away address", "adresse jetable"),
    "student_address": Text("a student address", "adresse étudiante"),
    "personal_address": Text("a personal address", "adresse personnelle"),
    "not_open": Text("not open at that moment", "pas ouvert à ce moment"),
}

# What was found while reading, by the message's beginning.
FINDINGS = {
    "an output of this program": "un résultat de ce programme, jamais une donnée du modèle",
    "the old score, never a feature": "l’ancien score, jamais une donnée du modèle",
    "looks like an old score": "ressemble à un ancien score (sinon, listez-la dans `attributes`)",
    "personal data, never in a model": "donnée personnelle, jamais dans un modèle",
    "sensitive: left out": "sensible : écartée, sauf si [leads.sensitive] la nomme avec une raison",
    "of leads that the leads table does not have": "de leads absents de la table des leads",
    "without an actor": "sans auteur, attribuées au lead lui-même",
    "`": "nomme un type d’activité qui n’existe pas",
    "constant or empty": "constante ou vide : elle ne distingue aucun lead",
    "values are e-mail addresses or telephone numbers": "contient des adresses e-mail ou des téléphones",
    "dates are no attribute": "les dates ne sont pas un attribut ; donnez-les comme activité",
    "differs in nearly every row": "change à presque chaque ligne : un identifiant ou du texte libre",
    "a different whole number in every row": "un entier différent à chaque ligne : un identifiant",
    "outcomes without a closing time": "issues sans date de clôture",
    "outcomes without a lead": "issues sans lead",
    "the outcome is earlier than the lead's creation": "l’issue précède la création du lead",
    "neither labelled nor open": "ni issue connue, ni lead ouvert",
    "stages other than": "étapes inconnues",
    "text where a number should be": "du texte au lieu d’un nombre",
    "times that cannot be read": "dates illisibles",
    "times in the future": "dates dans le futur",
    "times are missing": "dates manquantes",
    "dates without a time": "dates sans heure, tenues pour connues à la fin de leur journée",
    "every time is midnight": "toutes les heures sont minuit",
    "activities without a kind": "activités sans type",
    "activities without a lead": "activités sans lead",
}
_ELSE = "voir le détail dans train.json"


def finding_sentence(finding: Mapping[str, Any]) -> Said:
    """Return what was left out, or is worth knowing, of a table; no example, which may be of a lead."""
    message = finding["message"]
    known = next((fr for start, fr in FINDINGS.items() if message.startswith(start)), _ELSE)
    told = Text("{place}: {what}{rows}", "{place} : {what}{rows}")
    what = Text(message.replace("{", "(").replace("}", ")"), known)

    def tell(speaker: Speaker) -> str:
        column = Text("{table}, column “{column}”", "{table}, colonne « {column} »")
        named = speaker.say(column, table=finding["table"], column=finding["column"])
        place = named if finding["column"] else finding["table"]
        count = Text(" ({n} rows)", " ({n} lignes)")
        rows = speaker.say(count, n=speaker.number(finding["rows"])) if finding["rows"] else ""
        return speaker.say(told, place=place, what=what[speaker.language], rows=rows)

    return in_every_language(tell)
