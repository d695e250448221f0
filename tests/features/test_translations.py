"""Everything that is said is said in every language, and is a translation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from features.catalogue import catalogue
from features.dictionary import example_vocabulary
from features.language import LANGUAGES, SPEAKERS, Text
from features.story import Storyteller

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("features", "models", "pipeline")

# Words that English and French write alike.
SAME_IN_BOTH = frozenset(
    ("lead", "leads", "page", "pages", "points", "segment", "session", "sessions", "source", "sources",
     "table", "version")
)  # fmt: skip
# Words of one language that are none of the other.
ENGLISH = re.compile(
    r"\b(the|and|of|with|ago|than|days?|weeks?|hours|last|not|never|is|are|was|by|from|for|this|that|which"
    r"|they|has|have|how|what|when|known|first|more|most|each|every|who|whose)\b"
)
FRENCH = re.compile(
    r"\b(les?|la|des|du|une|et|avec|jours?|semaines?|heures|dernière?s?|pas|jamais|est|sont|dans|chaque|ces?"
    r"|aux?|qui|plus|fois|sur|depuis)\b"
)
# Names of things, which are the same in every language.
NAMES = re.compile(
    r"`[^`]*`|<[^>]+>|\{[^}]*\}|\b(?:MQL|SQL|CRM|propense|student|week-end"
    r"|marketing qualified lead|sales qualified lead)\b"
)


def texts_in_code() -> Iterator[tuple[str, str, str]]:
    """Each ``Text("...", "...")`` of the packages, with its place; a library's `Text` is none of ours."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            code = file.read_text(encoding="utf-8")
            if package != "features" and not re.search(
                r"from features\.language import [^)]*?\bText\b", code
            ):
                continue
            for call in ast.walk(ast.parse(code)):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Text":
                    said = [*call.args, *(word.value for word in call.keywords)]
                    if all(isinstance(word, ast.Constant) for word in said):
                        en, fr = (str(word.value) for word in said)  # type: ignore[attr-defined]
                        yield f"{file.relative_to(ROOT)}:{call.lineno}", en, fr


def texts_in_templates() -> Iterator[tuple[str, str, str]]:
    """Each ``t("...", "...")`` of the report's templates, with its place."""
    for file in sorted((ROOT / "pipeline" / "report").rglob("*.j2")):
        tree = Environment(extensions=["jinja2.ext.do"]).parse(file.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                said = [word.value for word in call.args if isinstance(word, nodes.Const)]
                assert len(said) == len(LANGUAGES), f"{file.name}:{call.lineno}: one text for each language"
                yield f"{file.relative_to(ROOT)}:{call.lineno}", *said


def texts_of_features() -> Iterator[tuple[str, str, str]]:
    """Label, description, sentence and words of each feature, with the feature's name."""
    for feature in catalogue(example_vocabulary()):
        for text in (feature.label, feature.description, feature.sentence, *feature.level_words):
            yield feature.name, text.en, text.fr


def wrong(en: str, fr: str) -> str:
    """Say what is wrong with a translation, nothing if nothing is."""
    bare = {"en": NAMES.sub("", en), "fr": NAMES.sub("", fr)}
    if bool(en.strip()) != bool(fr.strip()):
        return "a language is empty"
    if values(en) != values(fr):
        return "the languages name different values"
    words = set(re.findall(r"[^\W\d_]{2,}", bare["en"].lower()))
    if en == fr and not words <= SAME_IN_BOTH:
        return "French is the same as English"
    if found := ENGLISH.search(bare["fr"]):
        return f"English in French: '{found[0]}'"
    if found := FRENCH.search(bare["en"]):
        return f"French in English: '{found[0]}'"
    return ""


def values(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", text))


@pytest.mark.parametrize("texts", [texts_in_code, texts_in_templates, texts_of_features])
def test_every_text_is_translated(texts) -> None:
    mistakes = [f"{place}: {why}: {en!r}, {fr!r}" for place, en, fr in texts() if (why := wrong(en, fr))]
    assert not mistakes, "\n".join(mistakes)


def test_all_of_the_code_is_looked_at() -> None:
    places = [place for place, _, _ in texts_in_code()]
    assert {place.partition("/")[0] for place in places} >= {"features", "pipeline"}
    assert len(places) > 150


@pytest.mark.parametrize(
    ("en", "fr", "why"),
    [
        ("pricing page", "page des tarifs", ""),
        ("{label} {value}", "{label} : {value}", ""),
        ("session", "session", ""),
        ("{value}", "{value}", ""),
        ("", "page", "a language is empty"),
        ("{n} days", "{m} jours", "the languages name different values"),
        ("other activity", "other activity", "French is the same as English"),
        ("last 3 days", "3 days derniers", "English in French: 'days'"),
        ("3 jours ago", "il y a 3 jours", "French in English: 'jours'"),
    ],
)
def test_what_a_mistake_is(en: str, fr: str, why: str) -> None:
    assert wrong(en, fr) == why


def test_whole_sentences_have_no_word_of_the_other_language() -> None:
    """Also what only comes together when it is said: numbers, units, windows, ages."""
    vocabulary = example_vocabulary()
    features = catalogue(vocabulary)
    foreign = {"en": FRENCH, "fr": ENGLISH}
    for language in LANGUAGES:
        teller = Storyteller(vocabulary, language)
        for amount in (0.0, 0.3, 1.0, 2.0, 40.0):
            values = {f.name: f.levels[int(amount) % len(f.levels)] if f.levels else amount for f in features}
            for concept in dict.fromkeys(f.concept for f in features):
                for said in (teller.sentence(concept, values), teller.label(concept)):
                    assert not foreign[language].search(NAMES.sub("", said)), said


def test_french_spaces_do_not_break() -> None:
    assert SPEAKERS["fr"].say(Text("pages: {n}!", "pages : {n} !"), n="« 3 »") == (
        "pages\u00a0: «\u00a03\u00a0»\u00a0!"
    )
