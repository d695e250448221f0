"""A second reading of what is told: a sentence is taken apart and compared with the raw activities.

Plain Python over the raw rows, straight from what the words mean; nothing is shared with the product but
the labels and which kinds and values were frequent enough to have a name of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

MICROSECOND = timedelta(microseconds=1)


class Act(NamedTuple):
    """One raw row; `local` is the time on the project's wall clock."""

    at: datetime
    known: datetime
    local: datetime
    kind: str
    actor: str
    asset: str | None
    channel: str | None
    value: float | None


@dataclass(frozen=True)
class Lead:
    """A lead at a moment, with all its rows, later ones too; attributes as known at the moment."""

    as_of: datetime
    created: datetime
    acts: Sequence[Act]
    attributes: Mapping[str, str | float | None]
    domain: str | None

    @property
    def past(self) -> list[Act]:
        return [act for act in self.acts if act.known < self.as_of and act.at < self.as_of]


@dataclass(frozen=True)
class World:
    """What a sentence needs to be understood: labels, and what has a name of its own."""

    language: str
    labels: Mapping[str, str]  # concept to its label in this language
    kinds: frozenset[str]
    channels: frozenset[str]
    values: Mapping[str, frozenset[str]]  # of each category
    optional: frozenset[str]  # attributes that are sometimes missing
    # What texts stand for, by hand: company sizes, ranks of job titles, classes of domains.
    sizes: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)

    def acts(self, concept: str, lead: Lead) -> list[Act]:
        kind = concept.partition(".")[2]
        if kind == "other":
            return [act for act in lead.past if act.kind not in self.kinds]
        return [act for act in lead.past if act.kind == kind]


def true_of(sentence: str, concept: str, lead: Lead, world: World) -> bool:
    """Whether every clause of a sentence is understood, and true of the lead."""
    text = sentence.replace("\u00a0", " ").replace("\u202f", " ")
    clauses = [text] if concept.startswith("attribute.") else text.split(", ")
    return all(_true(clause, concept, lead, world) for clause in clauses)


def _true(clause: str, concept: str, lead: Lead, world: World) -> bool:
    readings = list(_readings(clause, concept, lead, world))
    assert readings, f"nobody understands '{clause}'"
    return all(readings)


def _readings(clause: str, concept: str, lead: Lead, world: World) -> Iterator[bool]:
    if concept.startswith("activity."):
        acts, label, patterns = world.acts(concept, lead), re.escape(world.labels[concept]), OF_KIND
    elif concept.startswith("attribute."):
        yield _attribute(clause, concept.partition(".")[2], world.labels[concept], lead, world)
        return
    else:
        acts, label, patterns = lead.past, "", OF_ALL.get(concept, {})
    for pattern, check in patterns.items():
        found = re.fullmatch(pattern.format(label=label), clause)
        if found:
            yield check(found, acts, lead, world)


# How numbers, times and windows are written.
_N = r"([\d, ]+)"
_TIMES = r"(once|twice|une fois|deux fois|[\d, ]+ times|[\d, ]+ fois)"
_WINDOW = (
    r"(?: (in the last 24 hours|in the last week|in the last \d+ days"
    r"|ces dernières 24 heures|ces \d+ derniers jours))?"
)
_TIME = r"(less than a minute|moins d’une minute|[\d, ]+ (?:minutes?|heures?|hours?|days?|jours?))"
_WORDS = {"once": 1, "une fois": 1, "twice": 2, "deux fois": 2}
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "j": timedelta(days=1)}
_WEEKDAYS = (
    ("Monday", "lundi"), ("Tuesday", "mardi"), ("Wednesday", "mercredi"), ("Thursday", "jeudi"),
    ("Friday", "vendredi"), ("Saturday", "samedi"), ("Sunday", "dimanche"),
)  # fmt: skip
_RARE = ("a rarer one", "une valeur plus rare")


def number(text: str) -> int:
    return int(re.sub(r"[ ,]", "", text))


def decimal(text: str, language: str) -> float:
    """1,250.5 in English, 1 250,5 in French; below zero with a true minus sign."""
    text = text.replace("−", "-")
    return float(text.replace(",", "") if language == "en" else text.replace(" ", "").replace(",", "."))


def as_read(value: str) -> str:
    """A value of the data as it stands in a sentence."""
    return " ".join(value.split("_"))


def times(text: str) -> int:
    return _WORDS.get(text) or number(text.rpartition(" ")[0])


def window(text: str | None) -> timedelta:
    if text is None:
        return timedelta.max
    if "week" in text:
        return timedelta(days=7)
    count = number(re.findall(r"\d+", text)[0])
    return timedelta(hours=count) if re.search("hours|heures", text) else timedelta(days=count)


def within(text: str, exact: timedelta, doubt: timedelta = timedelta(0)) -> bool:
    """Whether a time is as long as is said, rounded down to the unit."""
    if text in ("less than a minute", "moins d’une minute"):
        return exact < timedelta(minutes=1)
    count, unit = text.rsplit(" ", 1)
    length = _UNITS[unit[0]]
    return number(count) * length - doubt <= exact < (number(count) + 1) * length + doubt


def share(text: str, part: int, whole: int) -> bool:
    percent, exact = int(text), 100 * part / whole
    if percent in (0, 100) or exact in (0, 100):
        return percent == exact
    return abs(percent - exact) <= 0.5 or (percent == 1 and exact < 1) or (percent == 99 and exact > 99)


Check = Callable[[re.Match[str], list[Act], Lead, World], bool]


def _counted(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    said, span = found.groups()
    count = times(said) if re.search("times|fois|once|twice", said) else number(said)
    return count == sum(lead.as_of - act.at <= window(span) for act in acts)


def _last(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    return bool(acts) and within(found[1], min(lead.as_of - act.at for act in acts))


def _single(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    """It was then last, and only once at that moment: of two it is said how many there were."""
    ages = [lead.as_of - act.at for act in acts]
    return bool(ages) and within(found[1] or found[2], min(ages)) and ages.count(min(ages)) == 1


def _distinct(name: str) -> Check:
    def check(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
        return number(found[1]) == len({getattr(act, name) for act in acts} - {None})

    return check


def _kinds(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    there = len({act.kind for act in acts})
    return there >= number(found[2]) if found[1] else there == number(found[2])


def _by(actor: str) -> Check:
    def check(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
        said = times(found[1]) if not re.fullmatch(_N, found[1]) else number(found[1])
        return said == sum(act.actor == actor for act in acts)

    return check


def _pauses(acts: list[Act]) -> list[timedelta]:
    moments = sorted(act.at for act in acts)
    return [after - before for before, after in pairwise(moments)]


def _longest(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    return len(acts) > 1 and within(found[1], max(_pauses(acts)))


def _mean(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    pauses = _pauses(acts)
    return bool(pauses) and within(found[1], sum(pauses, timedelta(0)) / len(pauses), doubt=MICROSECOND)


def _sum(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    exact = sum(act.value for act in acts if act.value is not None)
    rounded = 0.05 if abs(exact) >= 10 else 0.05 * abs(exact)  # one decimal, or two digits
    return abs(decimal(found[1], world.language) - exact) <= rounded + 0.0005 * len(acts)


def _latest(acts: list[Act]) -> list[Act]:
    latest = max((act.at for act in acts), default=None)
    return [act for act in acts if act.at == latest]


def _hour(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    start, end = int(found[1]), int(found[2])
    return end == (start + 1) % 24 and any(act.local.hour == start for act in _latest(acts))


def _weekday(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    return any(found[1] in _WEEKDAYS[act.local.weekday()] for act in _latest(acts))


def _working(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    working = [act for act in acts if act.local.weekday() < 5 and 9 <= act.local.hour < 18]
    return bool(acts) and share(found[1], len(working), len(acts))


def _channel(end: Callable[..., datetime]) -> Check:
    def check(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
        seen = [act for act in acts if act.channel is not None]
        names = {act.channel for act in seen if act.at == end(other.at for other in seen)}  # tied ones
        if found[1] in _RARE:
            return bool(names - world.channels)
        return found[1] in {as_read(name) for name in names & world.channels}

    return check


def _age(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    return within(found[1], lead.as_of - lead.created)


def _filled(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    there = sum(lead.attributes[name] is not None for name in world.optional)
    return (number(found[1]), number(found[2])) == (there, len(world.optional))


def _email(found: re.Match[str], acts: list[Act], lead: Lead, world: World) -> bool:
    return lead.domain is not None and world.classes[lead.domain] == _EMAIL[found[1]]


def _nothing(condition: Callable[[list[Act], Lead], bool]) -> Check:
    return lambda found, acts, lead, world: condition(acts, lead)


_EMAIL = {
    "corporate": "corporate", "professionnelle": "corporate", "personal": "personal",
    "personnelle": "personal", "academic": "student", "universitaire": "student",
    "disposable": "disposable", "jetable": "disposable",
}  # fmt: skip
_EMPTY = _nothing(lambda acts, lead: not acts)
OF_KIND: dict[str, Check] = {
    r"{label}(?: :)? " + _TIMES + _WINDOW: _counted,
    r"{label} ?: (?:never|jamais)": _EMPTY,
    rf"(?:last|la dernière il y a) {_TIME}(?: ago)?": _last,
    rf"{{label}} {_TIME} ago|{{label}} il y a {_TIME}": _single,
    rf"{_N} (?:asset|different assets|contenu|contenus différents) (?:in all|au total)": _distinct("asset"),
    rf"{_N} (?:channel|different channels|canal|canaux différents) (?:in all|au total)": _distinct("channel"),
}
_NO_ACTIVITY: dict[str, Check] = {"no activity yet|aucune activité pour l’instant": _EMPTY}
OF_ALL: dict[str, dict[str, Check]] = {
    "overall.frequency": {rf"{_N} (?:activit(?:y|ies)|activités?){_WINDOW}": _counted, **_NO_ACTIVITY},
    "overall.recency": {
        rf"(?:last activity|dernière activité il y a) {_TIME}(?: ago)?": _last, **_NO_ACTIVITY,
    },
    "overall.rhythm": {
        rf"(?:longest pause|plus longue pause :) {_TIME}": _longest,
        rf"{_TIME} (?:between two activities on average|en moyenne entre deux activités)": _mean,
        "fewer than two activities|moins de deux activités": _nothing(lambda acts, lead: len(acts) < 2),
    },
    "overall.variety": {
        rf"{_N} (?:asset|different assets|contenu|contenus différents)": _distinct("asset"),
        rf"{_N} (?:channel|different channels|canal|canaux différents)": _distinct("channel"),
        rf"(at least |au moins )?{_N} (?:kinds? of activity|types? d’activité)": _kinds,
        **_NO_ACTIVITY,
    },
    "overall.value": {r"(?:sum of values|somme des valeurs ): (−?[\d,. ]+)": _sum},
    "overall.initiative": {
        rf"{_N} (?:activit(?:y|ies) of their own|activités? de sa propre initiative)": _by("lead"),
        rf"(?:contacted by marketing|contact par le marketing :) {_TIMES}": _by("marketing"),
    },
    "overall.time_of_day": {
        r"last activity between (\d\d):00 and (\d\d):00": _hour,
        r"dernière activité entre (\d+) h et (\d+) h": _hour,
        r"(\d+) ?% (?:of activities in working hours|des activités aux heures ouvrées)": _working,
        r"(?:last activity on a|dernière activité un) (\w+)": _weekday,
        **_NO_ACTIVITY,
    },
    "overall.channel": {
        "(?:first channel|premier canal ): (.+)": _channel(min),
        "(?:last channel|dernier canal ): (.+)": _channel(max),
        "channel not known|canal inconnu": _nothing(lambda acts, _: not any(act.channel for act in acts)),
    },
    "overall.age": {
        f"(?:known for|dans la base depuis) {_TIME}": _age,
        "age not known|ancienneté inconnue": _nothing(lambda acts, lead: lead.created >= lead.as_of),
    },
    "profile": {
        rf"(?:optional fields filled in|champs facultatifs renseignés ): {_N} (?:of|sur) {_N}": _filled
    },
    "email": {
        r"(\w+) e-mail address": _email,
        r"adresse e-mail (\w+)": _email,
        "e-mail address not known|adresse e-mail : pas d’information": (
            _nothing(lambda acts, lead: lead.domain is None)
        ),
    },
}  # fmt: skip
_BANDS = {
    "1–9 employees": (1, 10), "1 à 9 salariés": (1, 10),
    "10–49 employees": (10, 50), "10 à 49 salariés": (10, 50),
    "50–199 employees": (50, 200), "50 à 199 salariés": (50, 200),
    "200–999 employees": (200, 1000), "200 à 999 salariés": (200, 1000),
    "1,000 or more employees": (1000, 1e9), "1 000 salariés ou plus": (1000, 1e9),
}  # fmt: skip
_RANKS = {
    "trainee or student": 1, "stage ou études": 1, "assistant or junior": 2, "assistanat ou junior": 2,
    "professional": 3, "employé ou spécialiste": 3, "senior or lead": 4, "senior ou référent": 4,
    "manager": 5, "encadrement": 5, "director": 6, "direction": 6,
    "executive or owner": 7, "direction générale ou propriétaire": 7,
}  # fmt: skip


def _attribute(text: str, name: str, label: str, lead: Lead, world: World) -> bool:
    raw = lead.attributes[name]
    if text in (f"{label} not known", f"{label} : pas d’information"):
        return raw is None
    if raw is None:
        return False
    if size := re.fullmatch("company of (.+)|entreprise de (.+)", text):
        low, high = _BANDS[size[1] or size[2]]
        return low <= world.sizes[str(raw)] < high
    if rank := re.fullmatch(rf"{label} at (.+) level|{label} : niveau (.+)", text):
        return _RANKS[rank[1] or rank[2]] == world.ranks[str(raw)]
    said = re.fullmatch(rf"{label} ?: (.+)", text)
    assert said, f"nobody understands '{text}'"
    if isinstance(raw, str):
        return raw not in world.values[name] if said[1] in _RARE else said[1] == as_read(raw)
    if said[1] in ("yes", "oui", "no", "non"):
        return (said[1] in ("yes", "oui")) == bool(raw)
    return abs(decimal(said[1], world.language) - raw) <= (0.05 if abs(raw) >= 10 else 0.05 * abs(raw))
