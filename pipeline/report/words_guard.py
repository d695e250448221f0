"""What the leak guard found, as sentences in every language, written from the numbers of its evidence.

One function for each test of the guard. Sentences go on from the name of what was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from features.language import Said, Speaker, Text, in_every_language
from pipeline.guard.timing import NEAR_SECONDS
from pipeline.guard.vanishing import VANISHED

Numbers = Mapping[str, Any]
Sentence = Callable[[Speaker, Numbers, str], str]

SUBJECTS = {
    "attribute": Text("attribute", "attribut"),
    "kind": Text("kind of activity", "type d’activité"),
    "table": Text("table", "table"),
}
_COUNTS = {
    "all activities": Text("all activities", "toutes les activités"),
    "the days with activity": Text("the days with activity", "jours d’activité"),
}


def evidence_sentence(evidence: Mapping[str, Any], subject: str) -> Said:
    """Return one piece of evidence of ``train.json`` as a sentence, to go after the name of its subject."""
    tell = TESTS[evidence["test"]]
    return in_every_language(lambda speaker: tell(speaker, evidence["numbers"], subject))


def _after_the_outcome(s: Speaker, n: Numbers, _: str) -> str:
    return _timed(s, n) + s.say(Text(": it comes with the outcome", " : il vient avec l’issue"))


def _partly_after(s: Speaker, n: Numbers, _: str) -> str:
    later = Text("; only those before it can tell anything", " ; seules celles d’avant peuvent renseigner")
    return _timed(s, n) + s.say(later)


def _timed(s: Speaker, n: Numbers) -> str:
    form = Text(
        "lies at, after or within {minutes} minutes before the outcome in {share} of its {times} "
        "occurrences on {leads} leads",
        "se situe à l’issue, après elle ou moins de {minutes} minutes avant, dans {share} de ses {times} "
        "occurrences sur {leads} leads",
    )
    return s.say(
        form, minutes=s.number(NEAR_SECONDS // 60), share=s.percent(n["late_share"]),
        times=s.number(n["occurrences"]), leads=s.number(n["leads"]),
    )  # fmt: skip


def _only_won(s: Speaker, n: Numbers, subject: str) -> str:
    form = Text(
        "{there} for {rows} leads, of which {won} were won, where {base} of all are",
        "{there} pour {rows} leads, dont {won} gagnés, alors que {base} de tous le sont",
    )
    return s.say(
        form,
        there=_there(subject),
        rows=s.number(n["rows"]),
        won=s.number(n["won"]),
        base=s.percent(n["base_rate"]),
    )


def _there(subject: str) -> Text:
    if subject == "attribute":
        return Text("is filled in", "est renseigné")
    if subject == "kind":
        return Text("occurs", "apparaît")
    return Text("has rows", "a des lignes")


def _vanishes(s: Speaker, n: Numbers, subject: str) -> str:
    if n["filled_now"] >= (1 - VANISHED) * n["filled_expected"]:
        form = Text(
            "has values among {count} undecided leads that speak of {now} wins, where values of leads of "
            "their age spoke of {expected}: it changes with the outcome",
            "a, chez {count} leads encore ouverts, des valeurs qui annoncent {now} de gains, alors que "
            "celles "
            "de leads du même âge en annonçaient {expected} : il change avec l’issue",
        )
        now, expected = s.percent(n["rate_now"], 1), s.percent(n["rate_expected"], 1)
        return s.say(form, count=s.number(n["undecided_now"]), now=now, expected=expected)
    form = Text(
        "{there} for {won} of the leads that were won, and for {now} of {count} undecided ones, where "
        "{expected} would be expected at their age: it comes with the outcome",
        "{there} pour {won} des leads gagnés, et pour {now} des {count} leads encore ouverts, alors qu’on en "
        "attendrait {expected} à leur âge : cela vient avec l’issue",
    )
    return s.say(
        form, there=_there(subject), won=s.percent(n["filled_of_won"]), now=s.number(n["filled_now"]),
        count=s.number(n["undecided_now"]), expected=s.number(round(n["filled_expected"])),
    )  # fmt: skip


def _follows_the_future(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "follows the count of {what} over the lead’s whole history (rank correlation {whole}) more closely "
        "than the count known at that moment ({known}): it was written later",
        "suit le nombre de {what} sur toute l’histoire du lead (corrélation des rangs {whole}) de plus près "
        "que le nombre connu à ce moment ({known}) : il a été écrit après coup",
    )
    what = _COUNTS.get(n["counts"], Text(n["counts"], n["counts"]))
    return s.say(form, what=what, whole=s.number(n["whole"], 2), known=s.number(n["known"], 2))


def _grows_with_time(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "grows with time (rank correlation {rank}): it is the date under another name",
        "croît avec le temps (corrélation des rangs {rank}) : c’est la date sous un autre nom",
    )
    said = s.say(form, rank=s.number(n["rank_correlation"], 3))
    if n.get("outside") is None:
        return said
    more = Text(
        "{said}, and {share} of the later leads lie beyond what was seen in training",
        "{said}, et {share} des leads suivants sortent de ce que l’apprentissage a vu",
    )
    return s.say(more, said=said, share=s.percent(n["outside"]))


def _sorted_rows(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "grows with the order of the rows (rank correlation {rank}): the table may be sorted by it, or it is "
        "the date under another name",
        "croît avec l’ordre des lignes (corrélation des rangs {rank}) : la table est peut-être triée par "
        "lui, "
        "ou c’est la date sous un autre nom",
    )
    return s.say(form, rank=s.number(n["rank_correlation"], 3))


def _separates_perfectly(s: Speaker, n: Numbers, subject: str) -> str:
    more = Text("{said}: no honest column is so good", "{said} : aucune colonne honnête n’est aussi bonne")
    return s.say(more, said=_separates(s, n, subject))


def _separates(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "alone tells a won lead from another in {share} of pairs ({wins} wins)",
        "distingue à lui seul un lead gagné d’un autre dans {share} des cas ({wins} gains)",
    )
    return s.say(form, share=s.percent(n["auc"], 1), wins=s.number(n["wins"]))


def _missingness(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "tells a won lead from another in {share} of pairs by being filled in or not",
        "distingue un lead gagné d’un autre dans {share} des cas selon qu’il est renseigné ou non",
    )
    return s.say(form, share=s.percent(n["auc_of_missing"], 1))


def _pure_values(s: Speaker, n: Numbers, subject: str) -> str:
    if "base_rate" in n:  # dated before the wins, so it proves nothing
        return _only_won(s, n, subject)
    of_won = n["won"] >= n["rows"] / 2
    form = Text(
        "has values that almost settle the outcome: with one of them {won} of {rows} leads were won; such "
        "values hold {covered} of {of}",
        "a des valeurs qui règlent presque l’issue : avec l’une d’elles, {won} leads sur {rows} ont été "
        "gagnés ; "
        "de telles valeurs couvrent {covered} {of}",
    )
    of = (
        Text("the wins", "des gains")
        if of_won
        else Text("the leads that were not won", "des leads non gagnés")
    )
    return s.say(
        form, won=s.number(n["won"]), rows=s.number(n["rows"]), covered=s.percent(n["covered"]), of=of
    )


def _adds(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "adds much to all the others together: right in {with_it} of pairs with it, in {without} without",
        "ajoute beaucoup à tous les autres réunis : bon classement dans {with_it} des cas avec lui, "
        "{without} sans",
    )
    return s.say(form, with_it=s.percent(n["with"], 1), without=s.percent(n["without"], 1))


def _in_excluded_table(s: Speaker, n: Numbers, _: str) -> str:
    form = Text(
        "is in a table that is filled for won leads alone",
        "est dans une table qui n’est remplie que pour des leads gagnés",
    )
    return s.say(form)


def _numbers(s: Speaker, n: Numbers, subject: str) -> str:
    if "leads" in n:
        form = Text("has rows for {leads} leads", "a des lignes pour {leads} leads")
        return s.say(form, leads=s.number(n["leads"]))
    return _separates(s, n, subject)


TESTS: dict[str, Sentence] = {
    "after_the_outcome": _after_the_outcome,
    "partly_after_the_outcome": _partly_after,
    "only_won": _only_won,
    "vanishes": _vanishes,
    "follows_the_future": _follows_the_future,
    "grows_with_time": _grows_with_time,
    "sorted_rows": _sorted_rows,
    "separates_perfectly": _separates_perfectly,
    "separates": _separates,
    "missingness_separates": _missingness,
    "pure_values": _pure_values,
    "adds": _adds,
    "in_excluded_table": _in_excluded_table,
    "numbers": _numbers,
}


def replay_sentence(replay: Mapping[str, Any] | None, label: Callable[[str], Said]) -> Said | None:
    """Say what happens to won leads in the hour before they win; None where nobody could be replayed.

    `label` names a concept in every language.
    """
    if replay is None:
        return None
    if not replay["finding"]:
        form = Text(
            "Won leads were replayed up to the minute of their outcome: nothing leaps in the last hour.",
            "Les leads gagnés ont été rejoués jusqu’à la minute de leur issue : rien ne bondit dans la "
            "dernière heure.",
        )
        return form.to_dict()
    form = Text(
        "Within the last hour before the outcome the model’s opinion of won leads leaps, that of others does "
        "not: something is recorded with the win. What moves it most is “{concept}”.",
        "Dans la dernière heure avant l’issue, l’avis du modèle sur les leads gagnés bondit, pas celui sur "
        "les "
        "autres : quelque chose est enregistré avec le gain. Ce qui pèse le plus : « {concept} ».",
    )
    concept = label(replay["concept"])
    return in_every_language(lambda speaker: speaker.say(form, concept=speaker.pick(concept)))
