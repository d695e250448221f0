"""What is said of a concept's curve: its steps, which way it goes, and what the ends of it are."""

from __future__ import annotations

from dataclasses import dataclass

from features.bands import SENIORITY_LEVELS
from features.declare import Feature
from features.language import Said, Speaker, Text, in_every_language
from features.story import Storyteller, written
from features.vocabulary import OTHER, Vocabulary
from features.wording import spaced
from models.bins import WHOLE_UNITS, Bin
from models.curves import Direction, Step

# Propensities that differ by less than this factor are told as the same.
ALIKE = 1.1
ABOUT_TWICE = (1.9, 2.1)

_NEVER = Text("never", "jamais")
_NOT_KNOWN = Text("not known", "non renseigné")
_RARER = Text("rarer ones", "valeurs plus rares")
_FROM_TO = Text("{low} to {high}", "{low} à {high}")
_BELOW = Text("below {high}", "moins de {high}")
_OR_MORE = Text("{low} or more", "{low} ou plus")


@dataclass(frozen=True)
class CurveWords:
    """What is said of the curve of one concept over its main feature."""

    concept: str
    label: Said
    feature: Feature
    vocabulary: Vocabulary
    tellers: dict[str, Storyteller]

    def over(self) -> Said:
        """Say what the values are of, for an axis."""
        return in_every_language(lambda speaker: speaker.say(Text.of(self.feature.label)))

    def step(self, one: Bin) -> Said:
        """Say the values of a step, for an axis that says what they are of."""
        return in_every_language(lambda speaker: self._values(speaker, one))

    def direction(self, way: Direction) -> Said:
        """Say which way the curve goes."""
        return in_every_language(lambda speaker: speaker.say(_way(self.feature, way)))

    def sentence(self, ends: tuple[Step, Step] | None) -> Said:
        """Say how far the steps of the highest and the lowest propensity are apart."""
        return in_every_language(lambda speaker: self._sentence(speaker, ends))

    def _sentence(self, speaker: Speaker, ends: tuple[Step, Step] | None) -> str:
        if ends is None:
            return speaker.say(
                Text(
                    "There are too few leads at different values to compare them.",
                    "Trop peu de leads ont des valeurs différentes pour les comparer.",
                )
            )
        high, low = ends
        values = {
            "high": self._clause(speaker, high.bin),
            "low": self._clause(speaker, low.bin),
            "most": _percent(speaker, high.propensity),
            "least": _percent(speaker, low.propensity),
        }
        ratio = high.propensity / low.propensity if low.propensity > 0 else float("inf")
        if ratio < ALIKE:
            return speaker.say(_HARDLY, **values)
        return speaker.say(_APART, **values, much=_much(speaker, ratio))

    def _clause(self, speaker: Speaker, one: Bin) -> str:
        """Say what is true of the leads of a step, so that it can stand alone."""
        label, values = speaker.pick(self.label), self._values(speaker, one)
        if self.feature.family == "fit" or one.missing:
            return speaker.say(Text("{label}: {values}", "{label} : {values}"), label=label, values=values)
        if self.concept.startswith("activity.") and self.feature.unit == "times":
            return self._often(speaker, label, one)
        if self.concept.startswith("activity.") and self.feature.unit == "days ago":
            form = Text("{label}, {values}", "{label}, {values}")
            if one.low:  # below, "less than" says already that it is the last time
                form = Text("{label}, last {values}", "{label}, la dernière fois {values}")
            return speaker.say(form, label=label, values=values)
        if self.feature.unit == "days ago":  # the concept is all about when
            return speaker.say(Text("{label}: {values}", "{label} : {values}"), label=label, values=values)
        name = speaker.say(Text.of(self.feature.label))
        return speaker.say(Text("{name}, {values}", "{name}, {values}"), name=name, values=values)

    def _often(self, speaker: Speaker, label: str, one: Bin) -> str:
        days = self._days()
        if one.high is not None and one.high <= 1:
            if days is None:
                return speaker.say(Text("{label}: never", "{label} : jamais"), label=label)
            form = Text("{label}: not {window}", "{label} : pas {window}")
            return speaker.say(form, label=label, window=speaker.window(days))
        often = self._times(speaker, one)
        if days is not None:
            often = f"{often} {speaker.window(days)}"
        return speaker.say(Text("{label}: {often}", "{label} : {often}"), label=label, often=often)

    def _days(self) -> float | None:
        """Return the window of the main feature, if it counts within one."""
        windows = self.vocabulary.settings.windows_days
        return next((days for days in windows if self.feature.name.endswith(f".count_{days:g}d")), None)

    @staticmethod
    def _times(speaker: Speaker, one: Bin) -> str:
        if one.low is not None and one.high is not None and one.high - one.low == 1:
            return speaker.times(one.low)
        if one.low is not None and one.high == float("inf"):
            return speaker.say(Text("{n} times or more", "{n} fois ou plus"), n=speaker.number(one.low))
        return speaker.say(Text("{n} times", "{n} fois"), n=_whole(speaker, one))

    def _values(self, speaker: Speaker, one: Bin) -> str:
        if one.missing:
            return self._missing(speaker)
        if one.levels:
            rare = len(one.levels) > 1 or one.levels[0] == OTHER
            return speaker.say(_RARER) if rare else spaced(written(self.feature, one.levels[0], speaker))
        if self.feature.type == "flag":
            return speaker.say(Text("yes", "oui") if one.low else Text("no", "non"))
        if self.feature.unit in WHOLE_UNITS:
            return _whole(speaker, one)
        return _BY_UNIT.get(self.feature.unit, _plain)(speaker, one)

    def _missing(self, speaker: Speaker) -> str:
        if self.feature.family == "fit":
            return speaker.say(_NOT_KNOWN)
        if self.concept.startswith("activity."):
            return speaker.say(_NEVER)
        return self.tellers[speaker.language].sentence(self.concept, {})


_APART = Text(
    "Of otherwise average leads, about {most} convert with “{high}” and {least} with “{low}”: {much}.",
    "Parmi des leads par ailleurs moyens, environ {most} se convertissent avec « {high} » et {least} avec "
    "« {low} » : {much}.",
)
_HARDLY = Text(
    "It makes hardly a difference: of otherwise average leads, about {most} convert with “{high}” and "
    "{least} with “{low}”.",
    "Cela ne change presque rien : parmi des leads par ailleurs moyens, environ {most} se convertissent "
    "avec « {high} » et {least} avec « {low} ».",
)


def _much(speaker: Speaker, ratio: float) -> str:
    if ABOUT_TWICE[0] <= ratio <= ABOUT_TWICE[1]:
        return speaker.say(Text("about twice as many", "environ deux fois plus"))
    if ratio < ABOUT_TWICE[0]:
        more = speaker.percent(round(ratio - 1, 1))
        return speaker.say(Text("about {more} more", "environ {more} de plus"), more=more)
    times = speaker.number(ratio, 0 if ratio >= 10 else 1)
    return speaker.say(Text("{times} times as many", "{times} fois plus"), times=times)


def _way(feature: Feature, way: Direction) -> Text:
    if way == "nothing":
        return Text("hardly any effect", "presque sans effet")
    if way == "depends":
        if feature.type == "category" or feature.unit == "rank 1 to 7":
            return Text("depends on the value", "dépend de la valeur")
        return Text("rises and falls over the values", "monte et descend selon la valeur")
    up = way == "raises"
    if feature.type == "flag":
        return Text("higher with yes", "plus haute avec « oui »") if up else _LOWER_WITH_YES
    if feature.unit == "days ago":
        return Text("the longer ago, the higher", "plus c’est ancien, plus elle est haute") if up else _RECENT
    if feature.unit == "days":
        return _LONGER_UP if up else _LONGER_DOWN
    if feature.unit in WHOLE_UNITS:
        return _MORE_UP if up else _MORE_DOWN
    return _VALUE_UP if up else _VALUE_DOWN


_LOWER_WITH_YES = Text("lower with yes", "plus basse avec « oui »")
_RECENT = Text("the more recent, the higher", "plus c’est récent, plus elle est haute")
_LONGER_UP = Text("the longer, the higher", "plus c’est long, plus elle est haute")
_LONGER_DOWN = Text("the longer, the lower", "plus c’est long, plus elle est basse")
_MORE_UP = Text("the more, the higher", "plus il y en a, plus elle est haute")
_MORE_DOWN = Text("the more, the lower", "plus il y en a, plus elle est basse")
_VALUE_UP = Text("rises with the value", "monte avec la valeur")
_VALUE_DOWN = Text("falls as the value rises", "baisse quand la valeur monte")


def _percent(speaker: Speaker, share: float) -> str:
    return speaker.percent(share, 0 if share >= 0.095 else 1)


def _whole(speaker: Speaker, one: Bin) -> str:
    """Write whole numbers: 0, 1, 3 to 4, 10 or more."""
    low, high = _ends(one)
    if high == float("inf"):
        return speaker.say(_OR_MORE, low=speaker.number(low))
    if high - low == 1:
        return speaker.number(low)
    return speaker.say(_FROM_TO, low=speaker.number(low), high=speaker.number(high - 1))


def _plain(speaker: Speaker, one: Bin) -> str:
    low, high = _ends(one)
    if high == float("inf"):
        return speaker.say(_OR_MORE, low=speaker.plain(low))
    form = Text("{low} to under {high}", "{low} à moins de {high}")
    return speaker.say(form, low=speaker.plain(low), high=speaker.plain(high))


def _days(speaker: Speaker, one: Bin) -> str:
    low, high = _ends(one)
    if low == 0 and high == float("inf"):
        return speaker.say(Text("any length of time", "une durée quelconque"))
    if high == float("inf"):
        return speaker.say(_OR_MORE, low=speaker.time(int(low), "day"))
    if low == 0 and high == 1:
        return speaker.say(Text("less than a day", "moins d’un jour"))
    if low == 0:
        return speaker.say(Text("less than {high}", "moins de {high}"), high=speaker.time(int(high), "day"))
    if high - low == 1:
        return speaker.time(int(low), "day")
    return speaker.say(_FROM_TO, low=speaker.number(low), high=speaker.time(int(high) - 1, "day"))


def _days_ago(speaker: Speaker, one: Bin) -> str:
    if _ends(one) == (0, float("inf")):
        return speaker.say(Text("at any time", "à un moment ou un autre"))
    return speaker.say(Text("{time} ago", "il y a {time}"), time=_days(speaker, one))


def _employees(speaker: Speaker, one: Bin) -> str:
    low, high = _ends(one)
    if low == 0 and high != float("inf"):
        return speaker.say(
            Text("fewer than {high} employees", "moins de {high} salariés"), high=speaker.number(high)
        )
    if high == float("inf"):
        form = Text("{low} or more employees", "{low} salariés ou plus")
        return speaker.say(form, low=speaker.number(low))
    return speaker.say(Text("{n} employees", "{n} salariés"), n=_whole(speaker, one))


def _rank(speaker: Speaker, one: Bin) -> str:
    low, high = _ends(one)
    last = len(SENIORITY_LEVELS) if high == float("inf") else int(high) - 1
    words = [speaker.say(Text.of(SENIORITY_LEVELS[place - 1])) for place in (int(low), last)]
    return words[0] if words[0] == words[1] else speaker.say(_FROM_TO, low=words[0], high=words[1])


def _hour(speaker: Speaker, one: Bin) -> str:
    low, high = _ends(one)
    form = Text("{low}:00 to {high}:00", "de {low} h à {high} h")
    return speaker.say(form, low=speaker.number(low), high=speaker.number(min(high, 24)))


def _share(speaker: Speaker, one: Bin) -> str:
    low, high = _ends(one)
    if low >= 1:
        return speaker.percent(1)
    if 0 < high < 1e-6:
        return speaker.percent(0)
    if high == float("inf"):
        return speaker.say(_OR_MORE, low=speaker.percent(low))
    if low < 1e-6:
        return speaker.say(_BELOW, high=speaker.percent(high))
    return speaker.say(_FROM_TO, low=speaker.percent(low), high=speaker.percent(high))


def _ends(one: Bin) -> tuple[float, float]:
    assert one.low is not None
    assert one.high is not None
    return one.low, one.high


_BY_UNIT = {
    "days": _days,
    "days ago": _days_ago,
    "employees": _employees,
    "rank 1 to 7": _rank,
    "hour": _hour,
    "share": _share,
}
