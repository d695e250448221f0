"""Themes: words that go together, and nothing that is anybody's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.themes import LEAST_LEADS, masked, masked_name, plain, themes

PRICE = ["the price is above their budget", "budget frozen, price too high", "no budget for this price"]
SILENT = ["never calls back, voicemail", "voicemail again, never replies", "left a voicemail, never called"]


def notes(of_each: int = 10) -> list[str]:
    return (PRICE * of_each) + (SILENT * of_each)


def test_texts_that_share_words_share_a_theme():
    found = themes(notes())
    of_price, of_silence = set(found.theme[:30]), set(found.theme[30:])
    assert of_price.isdisjoint(of_silence)
    assert all({"price", "budget"} & set(found.words[theme]) for theme in of_price)
    assert all("voicemail" in found.words[theme] for theme in of_silence)
    assert found.stability > 0.9


def test_a_text_without_a_word_of_a_theme_has_none():
    found = themes([*notes(), "zzz", "prefers the telephone"])
    assert found.theme[-2:].tolist() == [-1, -1]


def test_the_theme_of_most_leads_comes_first():
    found = themes(PRICE * 5 + SILENT * 15)
    assert "voicemail" in found.words[0]
    counts = np.bincount(found.theme[found.theme >= 0])
    assert (np.diff(counts) <= 0).all()


def test_a_word_of_four_leads_is_never_shown_and_one_of_five_may_be():
    few = [f"{text} merger" if i < LEAST_LEADS - 1 else text for i, text in enumerate(notes())]
    assert "merger" not in {word for words in themes(few).words for word in words}
    enough = [f"{text} merger" if i < 12 else text for i, text in enumerate(notes())]
    assert "merger" in {word for words in themes(enough).words for word in words}


def test_a_word_repeated_within_one_lead_is_of_one_lead():
    loud = ["merger " * 20, *notes()]
    assert "merger" not in {word for words in themes(loud).words for word in words}


def test_names_are_used_nowhere_whatever_their_case_and_accents():
    texts = [f"{text}, says Hélène" for text in notes()]
    assert "hélène" in {w for words in themes(texts).words for w in words}
    assert "hélène" not in {w for words in themes(texts, names={"HELENE dupont"}).words for w in words}


def test_two_spellings_are_one_word_written_as_it_mostly_is():
    texts = ["délai trop long", "delai trop long", "délai dépassé"] * 6 + SILENT * 6
    words = {w for of_theme in themes(texts).words for w in of_theme}
    assert "délai" in words
    assert "delai" not in words


def test_stop_words_of_both_languages_name_no_theme():
    texts = ["they do not have the budget", "ils n’ont pas le budget, mais avec un projet"] * 8 + SILENT * 6
    words = {w for of_theme in themes(texts).words for w in of_theme}
    assert words.isdisjoint({"they", "have", "the", "pas", "ils", "avec", "mais", "ont"})


@pytest.mark.parametrize("texts", [[], ["one"], ["budget"] * 20, ["a b c"] * 20])
def test_too_little_text_has_no_themes(texts):
    found = themes(texts)
    assert found.words == ()
    assert found.theme.tolist() == [-1] * len(texts)


PERSONAL = [
    "write to jo.doe+x@acme.example", "www.acme.example/jo", "https://acme.example/?id=77",
    "+33 1 99 00 12 34", "06.12.34.56.78", "order 4711", "(0)30-123 456", "JO@ACME.EXAMPLE",
]  # fmt: skip


@pytest.mark.parametrize("text", PERSONAL)
def test_addresses_links_and_numbers_are_masked(text):
    left = masked(f"before {text} after")
    assert left.startswith("before ")
    assert left.endswith(" after")
    assert not any(c.isdigit() for c in left)
    assert "acme" not in left.lower()


def test_the_name_of_a_page_keeps_its_short_numbers():
    assert masked_name("mail-07") == "mail-07"
    assert masked_name("guide-market-2025") == "guide-market-2025"
    assert masked_name("/leave?who=jo%40acme.example") == "/leave"
    assert masked_name("/thanks?name=Bob+Meier") == "/thanks"
    assert masked_name("/p/bob%2540acme.example") == "…"
    assert masked_name("callback +33 1 99 00 12 34") == "callback …"


WORDS = st.sampled_from(
    [
        "price",
        "budget",
        "voicemail",
        "silent",
        "merger",
        "Jo",
        "jo@acme.example",
        "4711",
        "délai",
        "projet",
        "the",
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=40))
def test_whatever_is_written_only_words_of_five_leads_are_shown(texts):
    found = themes(texts, names={"Jo"})
    for word in {w for words in found.words for w in words}:
        assert sum(plain(word) in {plain(w) for w in text.split()} for text in texts) >= LEAST_LEADS
        assert plain(word) not in {"jo", "acme", "the"}
        assert word.isalpha()
    assert len(found.theme) == len(texts)
    assert set(found.theme) <= {-1, *range(len(found.words))}
