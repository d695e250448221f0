"""What is said to people, in every language, and how each language writes numbers, dates and lists.

A `Text` holds one thing to say in all languages, so what is missing in one cannot be written down: it
fails where it is made, and mypy says where. A `Speaker` says texts and writes numbers in one of them.
Numbers, dates, units and plurals are those of the Unicode CLDR, through Babel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from string import Formatter
from typing import Any, Literal, get_args

from babel import Locale
from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
# The same thing in every language, as JSON holds it.
Said = dict[str, str]

_LOCALES: dict[Language, Locale] = {"en": Locale.parse("en_GB"), "fr": Locale.parse("fr_FR")}
_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}
# French sets a space before these that a line must not break at.
_FRENCH_SPACE = re.compile(r" (?=[:;?!%»])|(?<=«) ")


@dataclass(frozen=True)
class Text:
    """One thing to say in every language; ``{names}`` stand for values and are the same in all."""

    en: str
    fr: str

    def __post_init__(self) -> None:
        if _names(self.en) != _names(self.fr):
            raise ValueError(f"the languages do not name the same values: {self.en!r}, {self.fr!r}")

    @classmethod
    def of(cls, given: str | Mapping[str, str] | Text) -> Text:
        """Return a text from what a user or a file gives: one for all languages, or one for each."""
        if isinstance(given, Text):
            return given
        return cls(given, given) if isinstance(given, str) else cls(**given)

    def __getitem__(self, language: Language) -> str:
        return str(getattr(self, language))

    def fill(self, **values: str | Text) -> Text:
        """Return the text with values in place of their names."""
        return Text(
            **{
                language: self[language].format(
                    **{name: v[language] if isinstance(v, Text) else v for name, v in values.items()}
                )
                for language in LANGUAGES
            }
        )

    def to_dict(self) -> Said:
        """Return it as JSON can hold it."""
        return {language: self[language] for language in LANGUAGES}


@dataclass(frozen=True)
class Noun:
    """What is counted: one of it, and several."""

    one: Text
    many: Text


class Speaker:
    """Says texts and writes values in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._locale = _LOCALES[language]

    def say(self, text: Text, **values: object) -> str:
        """Return a text with values in their places; a value that is a text is said in this language."""
        inside = {name: self.say(v) if isinstance(v, Text) else v for name, v in values.items()}
        found = text[self.language].format(**inside) if inside else text[self.language]
        return _FRENCH_SPACE.sub("\u00a0", found) if self.language == "fr" else found

    def pick(self, said: Mapping[str, str]) -> str:
        """Return this language's part of what was said in every language."""
        return said[self.language]

    def number(self, value: float, digits: int = 0) -> str:
        """Write a number with so many digits after the decimal sign."""
        return _signed(format_decimal(value, format=_pattern(digits), locale=self._locale))

    def plain(self, value: float) -> str:
        """Write a number without needless digits: 1,250, 12.5, 0.04."""
        if value == round(value):
            return self.number(value)
        if abs(value) >= 10:
            return self.number(value, 1)
        return _signed(format_decimal(float(f"{value:.2g}"), format="#,##0.######", locale=self._locale))

    def percent(self, share: float, digits: int = 0) -> str:
        """Write a share from 0 to 1 as a percentage."""
        sign = "%" if self.language == "en" else "\u00a0%"
        return _signed(format_percent(share, format=_pattern(digits) + sign, locale=self._locale))

    def money(self, amount: float, currency: str | None) -> str:
        """Write an amount without cents, with its currency (as ``EUR``) if there is one."""
        if currency is None:
            return self.number(amount)
        form = "¤#,##0" if self.language == "en" else "#,##0\u00a0¤"
        locale = self._locale
        return _signed(format_currency(amount, currency, format=form, locale=locale, currency_digits=False))

    def day(self, day: date) -> str:
        """Write a day: ``30 June 2026``."""
        return self._first(str(format_date(day, "long", locale=self._locale)))

    def short_day(self, day: date) -> str:
        """Write a day for the axis of a figure or the cell of a table: ``30 Jun 2026``."""
        return self._first(str(format_date(day, "medium", locale=self._locale)))

    def _first(self, written: str) -> str:
        """French counts the first of a month, which the CLDR does not know: ``1er juillet``."""
        return re.sub(r"^1 ", "1er ", written) if self.language == "fr" else written

    def listed(self, items: Iterable[str]) -> str:
        """Write items one after the other: ``a, b and c``."""
        return str(format_list(list(items), locale=self._locale))

    def plural(self, count: float, noun: Noun) -> str:
        """Return the form of a noun that goes with a whole number."""
        return self.say(noun.one if self._locale.plural_form(round(count)) == "one" else noun.many)

    def counted(self, count: float, noun: Noun) -> str:
        """Write ``1 lead`` or ``3 leads``."""
        return f"{self.number(round(count))} {self.plural(count, noun)}"

    def lasting(self, days: float) -> str:
        """Write a length of time in its largest fitting unit, rounded down: ``36 hours``, ``2 days``."""
        minutes = int(days * _MINUTES["day"] + 1e-9)
        if minutes < 1:
            return self.say(Text("less than a minute", "moins d’une minute"))
        unit = "minute" if minutes < 60 else "hour" if minutes < 2 * _MINUTES["day"] else "day"
        return self.time(minutes // _MINUTES[unit], unit)

    def time(self, count: float, unit: Literal["minute", "hour", "day", "week"] | str) -> str:
        """Write ``3 days``."""
        return str(format_unit(count, f"duration-{unit}", length="long", locale=self._locale))

    def hour(self, hour: float) -> str:
        """Write an hour of the day (0-23) as the time that it spans: ``between 14:00 and 15:00``."""
        return self.say(
            Text("between {start} and {end}", "entre {start} et {end}"),
            start=self._clock(int(hour) % 24),
            end=self._clock((int(hour) + 1) % 24),
        )

    def ago(self, days: float) -> str:
        """Write an age in days as people say it: ``2 hours ago``."""
        return self.say(Text("{time} ago", "il y a {time}"), time=self.lasting(days))

    def times(self, count: float) -> str:
        """Write how often: ``once``, ``twice``, ``3 times``."""
        whole = round(count)
        if whole == 1:
            return self.say(Text("once", "une fois"))
        if whole == 2:
            return self.say(Text("twice", "deux fois"))
        return self.say(Text("{n} times", "{n} fois"), n=self.number(whole))

    def window(self, days: float) -> str:
        """Write the time up to a moment that a count is of: ``in the last week``."""
        if days == 1:
            return self.say(Text("in the last 24 hours", "ces dernières 24 heures"))
        if days == 7:
            return self.say(Text("in the last week", "ces 7 derniers jours"))
        return self.say(Text("in the last {n} days", "ces {n} derniers jours"), n=self.plain(days))

    def _clock(self, hour: int) -> str:
        return f"{hour:02d}:00" if self.language == "en" else f"{hour}\u00a0h"

    def between(self, low: str, high: str) -> str:
        """Write an interval of two written values."""
        return self.say(Text("{low} to {high}", "{low} à {high}"), low=low, high=high)


SPEAKERS: dict[Language, Speaker] = {language: Speaker(language) for language in LANGUAGES}


def in_every_language(tell: Callable[[Speaker], str]) -> Said:
    """Return what is told, in every language."""
    return {language: tell(speaker) for language, speaker in SPEAKERS.items()}


def _signed(written: str) -> str:
    """Set a true minus sign before a number below zero, and none before what is rounded to zero."""
    return written.replace("-", "\u2212" if re.search("[1-9∞]", written) else "")


def _pattern(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")


def _names(text: str) -> frozenset[Any]:
    """Return the names of the values in a text; a label with stray braces has none."""
    try:
        return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)
    except ValueError:
        return frozenset()
