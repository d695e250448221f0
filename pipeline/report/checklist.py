"""Can it be trusted? One line for each thing that a result stands on: fine, in doubt, or a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from features.language import Said, Speaker, Text, in_every_language
from pipeline.report.effort import difference
from pipeline.report.policies import lasting
from pipeline.report.words_hygiene import state as hygiene_state
from pipeline.verdicts import STALE_DAYS

State = Literal["ok", "doubt", "problem"]
Check = dict[str, Any]
Account = Mapping[str, Any]

# Of ten tenths with a 90% interval each, one lies outside by chance, and two are no surprise.
OUTSIDE_BY_CHANCE = 2
# Announced by what came: beyond this, and beyond chance, propensities are wrong rather than coarse.
FAR_OFF = 1.5

TITLES = {
    "test": Text("how it was tested", "la façon dont il a été testé"),
    "propensities": Text("the propensities", "les propensions"),
    "order": Text("the order of the leads", "le classement des leads"),
    "promise": Text("the promise of the cutoff", "la promesse du seuil"),
    "leaks": Text("the search for leaks of the outcome", "la recherche de fuites de l’issue"),
    "hygiene": Text("how clean the data is", "la propreté des données"),
    "drift": Text("how steady the rate of conversion is", "la stabilité du taux de conversion"),
    "unchecked": Text("how attributes are dated", "la datation des attributs"),
    "fresh": Text("how fresh the data is", "la fraîcheur des données"),
}


def check(name: str, state: State, words: Text | Said) -> Check:
    """Return one line of the checklist; `name` is one of `TITLES`."""
    said = words.to_dict() if isinstance(words, Text) else words
    return {"name": name, "state": state, "title": TITLES[name].to_dict(), "words": said}


def verdict(checks: Sequence[Check]) -> Said:
    """Return the paragraph at the top: what can be relied on, what not."""
    by_state = {s: [c["title"] for c in checks if c["state"] == s] for s in ("ok", "doubt", "problem")}

    def tell(speaker: Speaker) -> str:
        names = {s: speaker.listed(speaker.pick(title) for title in titles) for s, titles in by_state.items()}
        forms = {
            "problem": Text(
                "Do not act on these numbers before this is settled: {names}.",
                "N’agissez pas sur ces chiffres avant d’avoir réglé ceci : {names}.",
            ),
            "ok": Text("What can be relied on: {names}.", "Ce qui est solide : {names}."),
            "doubt": Text("What to keep in mind: {names}.", "Ce qu’il faut garder à l’esprit : {names}."),
        }
        return " ".join(speaker.say(form, names=names[s]) for s, form in forms.items() if by_state[s])

    return in_every_language(tell)


def tested(kind: str, words: Text) -> Check:
    """Judge the kind of test: a later time is the only one that is like the use."""
    return check("test", "ok" if kind in ("time", "row") else "doubt", words)


def propensities(
    overall: Mapping[str, float],
    outside: int,
    tenths: int,
    *,
    leads: Account | None = None,
    horizon: str | None = None,
) -> Check:
    """Judge whether as many convert as announced; `overall` has announced, came, low, high.

    These are of looks at leads; `leads` has the leads looked at, and how many of them won in the end.
    """
    agrees = overall["low"] <= overall["announced"] <= overall["high"]
    ratio = overall["announced"] / overall["came"] if overall["came"] else float("inf")
    far = not 1 / FAR_OFF <= ratio <= FAR_OFF
    state: State = (
        "ok" if agrees and outside <= OUTSIDE_BY_CHANCE else "problem" if far and not agrees else "doubt"
    )
    form = Text(
        "Of {looks} looks at a lead {announced} were announced to end in a conversion, {came} did (90% "
        "interval {low} to {high}).{way}{why} Tenths of these looks where the gap is beyond chance: "
        "{outside} of {tenths}.",
        "Sur {looks} regards portés sur un lead, {announced} conversions étaient annoncées et {came} sont "
        "venues (intervalle à 90 % : {low} à {high}).{way}{why} Dixièmes de ces regards où l’écart dépasse "
        "le hasard : {outside} sur {tenths}.",
    )

    def tell(s: Speaker) -> str:
        shares = {name: s.number(1000 * overall[name]) for name in ("announced", "came", "low", "high")}
        way = Text("", "") if agrees else _way(overall)
        why = _looked_at(s, overall["came"], leads, horizon) if leads else ""
        counts = {"looks": s.number(1000), "tenths": s.number(tenths), "outside": s.number(outside)}
        return s.say(form, way=way, why=why, **counts, **shares)

    return check("propensities", state, in_every_language(tell))


def _looked_at(s: Speaker, came: float, leads: Account, horizon: str | None) -> str:
    """Say why of all looks fewer are followed by a conversion than of all leads, where that is so."""
    if horizon is None or not leads["leads"] or came >= leads["won"] / leads["leads"]:
        return ""
    form = Text(
        " A lead is looked at on several days, and each look asks about the next {horizon}; so this share is "
        "lower than the share of leads that convert in the end ({won} of {leads}).",
        " Un lead est regardé plusieurs jours, et chaque regard porte sur les {horizon} suivants ; cette "
        "part est donc plus basse que celle des leads qui se convertissent au bout du compte ({won} sur "
        "{leads}).",
    )
    won, all_leads = s.number(leads["won"]), s.number(leads["leads"])
    return s.say(form, horizon=lasting(s, horizon), won=won, leads=all_leads)


def _way(overall: Mapping[str, float]) -> Text:
    if overall["announced"] > overall["came"]:
        return Text(" Too much was announced.", " On annonçait trop.")
    return Text(" Too little was announced.", " On n’annonçait pas assez.")


def order(auc: Mapping[str, Any], words: Said, better: Account | None, against: str = "points") -> Check:
    """Judge the ranking: above chance, and not below the points (`better`: customers more than theirs).

    `against` is "points", or "first_come" where there are none.
    """
    low, doubtful = auc["low"], better is not None and better["low"] <= 0
    said = _beside(words, better, against) if better is not None and doubtful else words
    if low is None or low <= 0.5 or (better is not None and better["high"] < 0):
        return check("order", "problem", said)
    return check("order", "doubt" if doubtful else "ok", said)


def _beside(words: Said, better: Account, against: str) -> Said:
    """Add what is in doubt: that the ranking finds more customers than that of before."""
    than = {
        "points": Text("your points", "vos points"),
        "first_come": Text("“first come, first served”", "« premier arrivé, premier servi »"),
    }[against]
    form = (
        Text(
            "{said} That it finds more customers than {than} is not sure: {more}.",
            "{said} Qu’il trouve plus de clients que {than} n’est pas sûr : {more}.",
        )
        if better["value"] > 0
        else Text(
            "{said} It did not find more customers than {than}: {more}.",
            "{said} Il n’a pas trouvé plus de clients que {than} : {more}.",
        )
    )
    return in_every_language(lambda s: s.say(form, said=s.pick(words), than=than, more=difference(better, s)))


def promise(account: Account) -> Check:
    """Judge the promise of the cutoff in force, by the test window."""
    cutoff = account["cutoffs"][0]
    if cutoff["level"] is None:
        none = Text(
            "No cutoff is in force, so nobody is an MQL and nothing is promised.",
            "Aucun seuil n’est en vigueur : personne n’est MQL et rien n’est promis.",
        )
        return check("promise", "problem", none)
    given = cutoff["promise"]
    if given is None:
        none = Text(
            "The cutoff promises nothing: the leads it was chosen on are too few, or do not bear it out. "
            "What "
            "is said of it is an estimate.",
            "Le seuil ne promet rien : les leads sur lesquels il a été choisi sont trop peu nombreux ou ne "
            "le "
            "confirment pas. Ce qui en est dit est une estimation.",
        )
        return check("promise", "doubt", none)
    held = cutoff["evidence"].get("test", {}).get("promise")
    came = held["verdict"] if held else None
    state: State = "ok" if came == "held" else "problem" if came == "violated" else "doubt"
    return check("promise", state, in_every_language(lambda s: _promised(s, given, held)))


def _promised(s: Speaker, given: Account, held: Account | None) -> str:
    form = (
        Text(
            "It promises that at least {share} of MQLs convert.",
            "Il promet qu’au moins {share} des MQL se convertissent.",
        )
        if given["what"] == "precision"
        else Text(
            "It promises to catch at least {share} of conversions.",
            "Il promet de repérer au moins {share} des conversions.",
        )
    )
    said = s.say(form, share=s.percent(given["at_least"]))
    if held is None or held["share"] is None:
        later = Text(
            "Whether that holds cannot be checked yet.", "On ne peut pas encore vérifier si c’est tenu."
        )
        return f"{said} {s.say(later)}"
    results = {
        "held": Text(
            "On later leads it held: {share} of {units}.",
            "Tenu sur des leads ultérieurs : {share} sur {units}.",
        ),
        "undecided": Text(
            "On later leads it was {share} of {units}: below, by no more than chance explains.",
            "Sur des leads ultérieurs : {share} sur {units}, en dessous, mais pas au-delà du hasard.",
        ),
        "violated": Text(
            "On later leads it did NOT hold: {share} of {units}.",
            "NON tenu sur des leads ultérieurs : {share} sur {units}.",
        ),
    }
    result = s.say(results[held["verdict"]], share=s.percent(held["share"]), units=s.number(held["units"]))
    return f"{said} {result}"


def leaks(guard: Account) -> Check:
    """Judge what the leak guard found."""
    if not guard["on"]:
        off = Text(
            "The leak guard is switched off: nobody looked for data that knows the outcome.",
            "Le détecteur de fuites est désactivé : personne n’a cherché de données qui connaissent l’issue.",
        )
        return check("leaks", "problem", off)
    verdicts = guard["verdicts"]
    counts = {
        "judged": len(verdicts),
        "out": sum(not v["kept"] for v in verdicts),
        "suspects": sum(v["verdict"] == "suspect" and v["kept"] for v in verdicts),
        "kept": sum(v["verdict"] == "excluded" and v["kept"] for v in verdicts),
    }
    leaps = bool(guard["replay"] and guard["replay"]["finding"])
    form = Text(
        "Judged: {judged} attributes, kinds and tables. Left out: {out}. Suspected and kept: {suspects}. "
        "Kept "
        "against the guard’s advice: {kept}.",
        "Jugés : {judged} attributs, types d’activité et tables. Écartés : {out}. Suspects mais gardés : "
        "{suspects}. Gardés contre l’avis du détecteur : {kept}.",
    )
    state: State = "problem" if counts["kept"] or leaps else "doubt" if counts["suspects"] else "ok"
    said = in_every_language(lambda s: s.say(form, **{name: s.number(n) for name, n in counts.items()}))
    return check("leaks", state, said)


def clean(measures: Sequence[Account]) -> Check:
    """Judge hygiene: a doubt where something could not be looked for."""
    states = [hygiene_state(measure) for measure in measures]
    missing = sum(how in ("off", "impossible") for how in states)
    form = Text(
        "Kinds of disorder looked for: {all}. Switched off, or not to be seen in this data: {missing}.",
        "Sortes de désordre recherchées : {all}. Désactivées, ou invisibles dans ces données : {missing}.",
    )
    said = in_every_language(lambda s: s.say(form, all=s.number(len(states)), missing=s.number(missing)))
    return check("hygiene", "doubt" if missing > len(states) / 2 else "ok", said)


def steady(drift: Account, words: Said) -> Check:
    """Judge drift: a problem if the rate moved, a doubt where it cannot be seen."""
    seen = any(one["ratio"] is not None for one in drift["checks"])
    return check("drift", "problem" if drift["moved"] else "ok" if seen else "doubt", words)


def as_known_then(unchecked: Sequence[Said], *, flat: bool) -> Check:
    """Judge whether attributes have a time from which they were known."""
    if not unchecked:
        words = Text(
            "Every attribute has a time from which it was known.",
            "Chaque attribut porte la date depuis laquelle il est connu.",
        )
        return check("unchecked", "ok", words)
    form = Text(
        "Taken as they are today: {n}. If one was filled in or changed after the outcome, the "
        "model knows too much: {names}.{how}",
        "Pris tels qu’ils sont aujourd’hui : {n}. Si l’un a été rempli ou modifié après "
        "l’issue, "
        "le modèle en sait trop : {names}.{how}",
    )
    how = Text("", "") if flat else Text(
        " Give their history under [[history]] and they are checked.",
        " Donnez leur historique sous [[history]] et ils seront vérifiés.",
    )  # fmt: skip

    def tell(s: Speaker) -> str:
        names = s.listed(s.pick(name) for name in unchecked)
        return s.say(form, n=s.number(len(unchecked)), names=names, how=how)

    return check("unchecked", "doubt", in_every_language(tell))


def fresh(observed_until: datetime | None, as_of: datetime) -> Check | None:
    """Judge how old the data is at the moment that is scored; None without times."""
    if observed_until is None:
        return None
    days = (as_of - observed_until).days
    form = Text(
        "Outcomes are known up to {day}, {days} before the day of this report.",
        "Les issues sont connues jusqu’au {day}, soit {days} avant la date de ce rapport.",
    )
    today = Text(
        "Outcomes are known up to the day of this report.",
        "Les issues sont connues jusqu’au jour de ce rapport.",
    )
    said = in_every_language(
        lambda s: (
            s.say(form, day=s.day(observed_until.date()), days=s.time(days, "day")) if days else s.say(today)
        )
    )
    return check("fresh", "doubt" if days >= STALE_DAYS else "ok", said)
