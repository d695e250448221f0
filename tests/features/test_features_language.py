"""Numbers, times and lists as each language writes them."""

from __future__ import annotations

from datetime import date

import pytest

from features.language import SPEAKERS, Language, Noun, Speaker, Text, in_every_language

LEADS = Noun(Text("lead", "lead"), Text("leads", "leads"))


def as_typed(said: dict[str, str]) -> tuple[str, str]:
    """English and French, with spaces as they are typed."""
    return said["en"], said["fr"].replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("tell", "en", "fr"),
    [
        (lambda s: s.plain(1250.0), "1,250", "1 250"),
        (lambda s: s.plain(12.345), "12.3", "12,3"),
        (lambda s: s.plain(0.0423), "0.042", "0,042"),
        (lambda s: s.plain(-3.0), "−3", "−3"),
        (lambda s: s.plain(-0.0423), "−0.042", "−0,042"),
        (lambda s: s.number(-1250.5, 1), "−1,250.5", "−1 250,5"),
        (lambda s: s.number(-0.4), "0", "0"),  # nothing is not less than nothing
        (lambda s: s.number(float("-inf")), "−∞", "−∞"),
        (lambda s: s.percent(-0.125), "−12%", "−12 %"),
        (lambda s: s.percent(-0.001), "0%", "0 %"),
        (lambda s: s.money(-1234.5, "EUR"), "−€1,234", "−1 234 €"),
        (lambda s: s.percent(0.125), "12%", "12 %"),
        (lambda s: s.money(1234.5, "EUR"), "€1,234", "1 234 €"),
        (lambda s: s.money(1234.5, None), "1,234", "1 234"),
        (lambda s: s.counted(1, LEADS), "1 lead", "1 lead"),
        (lambda s: s.counted(0, LEADS), "0 leads", "0 lead"),  # in French nothing is singular
        (lambda s: s.times(1), "once", "une fois"),
        (lambda s: s.times(2), "twice", "deux fois"),
        (lambda s: s.times(1200), "1,200 times", "1 200 fois"),
        (lambda s: s.window(1), "in the last 24 hours", "ces dernières 24 heures"),
        (lambda s: s.window(7), "in the last week", "ces 7 derniers jours"),
        (lambda s: s.window(30), "in the last 30 days", "ces 30 derniers jours"),
        (lambda s: s.hour(9.0), "between 09:00 and 10:00", "entre 9 h et 10 h"),
        (lambda s: s.hour(23.0), "between 23:00 and 00:00", "entre 23 h et 0 h"),
        (lambda s: s.day(date(2026, 6, 30)), "30 June 2026", "30 juin 2026"),
        (lambda s: s.listed(["a", "b", "c"]), "a, b and c", "a, b et c"),
    ],
)
def test_written(tell, en: str, fr: str) -> None:
    assert as_typed(in_every_language(tell)) == (en, fr)


@pytest.mark.parametrize(
    ("days", "en", "fr"),
    [
        (0, "less than a minute", "moins d’une minute"),
        (1 / 24, "1 hour", "1 heure"),
        (1, "24 hours", "24 heures"),
        (47.99 / 24, "47 hours", "47 heures"),
        (2, "2 days", "2 jours"),
        (89.9, "89 days", "89 jours"),  # rounded down: 90 days have not passed
    ],
)
def test_lengths_of_time(days: float, en: str, fr: str) -> None:
    assert as_typed(in_every_language(lambda speaker: speaker.lasting(days))) == (en, fr)
    assert SPEAKERS["en"].ago(days) == f"{en} ago"


def test_a_text_within_a_text_is_said_in_the_same_language() -> None:
    outer, inner = Text("{what}: yes", "{what} : oui"), Text("trial", "essai")
    assert as_typed(in_every_language(lambda s: s.say(outer, what=inner))) == ("trial: yes", "essai : oui")
    assert outer.fill(what=inner) == Text("trial: yes", "essai : oui")


@pytest.mark.parametrize("name", ["{x}", "a { b", "}{", "{0}"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_name_with_brackets_is_only_a_name(name: str, language: Language) -> None:
    label = Text.of(name)
    assert Speaker(language).say(label) == name
    assert Speaker(language).say(Text("{what}!", "{what}!"), what=label) == f"{name}!"
    assert Text("{what}!", "{what}!").fill(what=label)[language] == f"{name}!"
