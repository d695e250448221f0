"""What hygiene found and did, as sentences in every language, written from the numbers of its account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from features.language import Noun, Said, Speaker, Text, in_every_language
from pipeline.hygiene.account import NO_COLUMNS

Measure = Mapping[str, Any]

LEADS = Noun(Text("lead", "lead"), Text("leads", "leads"))
ACTIVITIES = Noun(Text("activity", "activité"), Text("activities", "activités"))

NAMES = {
    "duplicates": Text("duplicates", "doublons"),
    "tests": Text("test leads", "leads de test"),
    "employees": Text("own employees", "salariés de l’entreprise"),
    "bots": Text("clicks of machines", "clics de machines"),
    "impossible": Text("impossible activities", "activités impossibles"),
    "personal": Text("personal addresses", "adresses personnelles"),
    "student": Text("student addresses", "adresses étudiantes"),
    "disposable": Text("throw-away addresses", "adresses jetables"),
}
# Why a measure could not be taken, by what its account says of it.
NOT_POSSIBLE = {
    NO_COLUMNS: Text("the columns it needs are not there", "il manque les colonnes nécessaires"),
    "not possible: no activities": Text("there are no activities", "il n’y a pas d’activités"),
    "not possible: no such kind": Text(
        "no kind of activity is a click in a mail (name yours in mail_clicked under [hygiene])",
        "aucun type d’activité n’est un clic dans un e-mail (indiquez le vôtre dans mail_clicked sous "
        "[hygiene])",
    ),
    "not possible: times without seconds": Text(
        "the times of clicks have no seconds", "les heures des clics n’ont pas de secondes"
    ),
    "not looked for": Text("the mistakes in the data come first", "les erreurs de données passent d’abord"),
}
DONE = {
    "left out": Text("left out", "écartés"),
    "kept as a feature": Text(
        "kept, and the model sees the kind of address", "gardés, et le modèle voit le type d’adresse"
    ),
    "kept": Text("kept", "gardés"),
}
_NOTHING = Text("None found.", "Rien trouvé.")


def state(measure: Measure) -> str:
    """Return "off", "impossible", "nothing" or "found"."""
    if not measure["on"]:
        return "off"
    if measure["done"].startswith("not "):
        return "impossible"
    return "found" if measure["found"] else "nothing"


def measure_sentence(measure: Measure) -> Said:
    """Return what a measure found and did, as a sentence."""
    return in_every_language(lambda speaker: _sentence(speaker, measure))


def _sentence(speaker: Speaker, measure: Measure) -> str:
    how = state(measure)
    if how == "off":
        return speaker.say(Text("Switched off in the configuration.", "Désactivé dans la configuration."))
    if how == "impossible":
        why = NOT_POSSIBLE[measure["done"]]
        return speaker.say(Text("Not possible here: {why}.", "Impossible ici : {why}."), why=why)
    return speaker.say(_NOTHING) if how == "nothing" else FOUND[measure["name"]](speaker, measure)


def _duplicates(s: Speaker, m: Measure) -> str:
    form = Text(
        "{found} of a person who was a lead before; {merged} merged into the earliest.",
        "{found} d’une personne déjà connue ; {merged} fusionnés avec le premier.",
    )
    said = [s.say(form, found=s.counted(m["found"], LEADS), merged=s.number(m["leads"]))]
    back, shared = m["details"].get("came_back", 0), m["details"].get("shared_by_too_many", 0)
    if back:
        form = Text(
            "{n} came back after that lead was closed and keep a lead of their own.",
            "{n} revenus après la clôture du premier gardent un lead à eux.",
        )
        said.append(s.say(form, n=s.number(back)))
    if shared:
        form = Text(
            "{n} addresses or names shared by too many leads were not taken for a person.",
            "{n} adresses ou noms partagés par trop de leads n’ont pas été pris pour une personne.",
        )
        said.append(s.say(form, n=s.number(shared)))
    return " ".join(said)


def _tests(s: Speaker, m: Measure) -> str:
    form = Text("{found} entered to try something out, left out.", "{found} saisis pour un essai, écartés.")
    return s.say(form, found=s.counted(m["found"], LEADS))


def _employees(s: Speaker, m: Measure) -> str:
    form = Text("{found} of the company itself, left out.", "{found} de l’entreprise elle-même, écartés.")
    return s.say(form, found=s.counted(m["found"], LEADS))


def _bots(s: Speaker, m: Measure) -> str:
    form = Text(
        "{found} of {leads} were a mail gateway’s, not a person’s (several links within seconds): removed; "
        "the leads stay.",
        "{found} de {leads} venaient d’une passerelle de messagerie et non d’une personne (plusieurs liens "
        "en "
        "quelques secondes) : retirées ; les leads restent.",
    )
    return s.say(form, found=s.counted(m["found"], ACTIVITIES), leads=s.counted(m["leads"], LEADS))


IMPOSSIBLE = {
    "before_1990": Text("{n} dated before 1990", "{n} datées d’avant 1990"),
    "before_the_mail_was_sent": Text(
        "{n} answers before the mail was sent", "{n} réponses avant l’envoi de l’e-mail"
    ),
    "recorded_twice": Text("{n} recorded twice", "{n} enregistrées deux fois"),
}


def _impossible(s: Speaker, m: Measure) -> str:
    parts = [s.say(IMPOSSIBLE[name], n=s.number(count)) for name, count in m["details"].items() if count]
    form = Text(
        "{found} that cannot have happened as written, removed: {parts}.",
        "{found} qui n’ont pu avoir lieu telles quelles, retirées : {parts}.",
    )
    return s.say(form, found=s.counted(m["found"], ACTIVITIES), parts=s.listed(parts))


def _addresses(s: Speaker, m: Measure) -> str:
    form = Text("{found} with such an address, {done}.", "{found} avec une telle adresse, {done}.")
    return s.say(form, found=s.counted(m["found"], LEADS), done=DONE[m["done"]])


FOUND: dict[str, Callable[[Speaker, Measure], str]] = {
    "duplicates": _duplicates,
    "tests": _tests,
    "employees": _employees,
    "bots": _bots,
    "impossible": _impossible,
    "personal": _addresses,
    "student": _addresses,
    "disposable": _addresses,
}


def effect_sentence(effect: Mapping[str, Any] | None) -> Said | None:
    """Say what a part of the data changes in the ranking of leads, None where nobody asked."""
    return None if effect is None else in_every_language(lambda speaker: _effect(speaker, effect))


def _effect(s: Speaker, effect: Mapping[str, Any]) -> str:
    auc = effect.get("auc")
    if not effect["measured"] or auc is None or auc["difference"]["value"] is None:
        return s.say(Text("Its effect could not be measured.", "Son effet n’a pas pu être mesuré."))
    gap = auc["difference"]
    form = Text(
        "With it {with_it} of pairs are ranked right, without it {without}: {judged}.",
        "Avec, {with_it} des paires sont bien classées ; sans, {without} : {judged}.",
    )
    better = Text("it helps", "c’est utile") if gap["value"] > 0 else Text("it harms", "c’est nuisible")
    judged = (
        better if effect["matters"] else Text("no difference beyond chance", "pas d’écart au-delà du hasard")
    )
    return s.say(form, with_it=s.percent(auc["with"], 1), without=s.percent(auc["without"], 1), judged=judged)
