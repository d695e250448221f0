"""Themes in what people wrote of leads: groups of words that occur together, and nobody's own words.

Texts become weights of words (TF-IDF), and those are parted into themes by non-negative matrix
factorisation (Lee and Seung 1999). How many themes there are is asked of the texts: as many as come out
alike when a fifth of the leads is left out (Greene, O'Callaghan and Cunningham 2014).

Nothing personal is shown: addresses, links and numbers are masked before anything is counted, and a
word is only used that occurs with several leads and is not part of anybody's name.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.utils.extmath import randomized_svd
from stop_words import get_stop_words

Floats = NDArray[np.float64]

# A word of fewer leads could be about one of them.
LEAST_LEADS = 5
MOST_WORDS = 2000
MOST_THEMES = 12
WORDS = 5
# How a number of themes is chosen: subsamples, leads in each, and leads that are enough to choose by.
SUBSAMPLES = 6
SUBSAMPLE = 0.8
ENOUGH = 3000
# Numbers of themes whose agreement is this near to the best are as good; the largest of them says most.
AS_STABLE = 0.95
# A theme of fewer leads than this, or than this share of them, is left to the rest.
LEAST_SHARE = 0.02

_URL = re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)
_ADDRESS = re.compile(r"\S+(?:@|%40)\S+")
_NUMBER = re.compile(r"\+?\d[\d\s().,/:+-]*\d|\d")
_LONG_NUMBER = re.compile(r"\+?\d(?:[\s().-]*\d){6,}")
_WORD = re.compile(r"[^\W\d_]{3,}")
MASK = "…"


def masked(text: str) -> str:
    """Return a text with addresses, links and all numbers replaced by an ellipsis.

    >>> masked("call +33 1 99 00 12 34 or jo@acme.example")
    'call … or …'
    """
    found = _ADDRESS.sub(MASK, _URL.sub(MASK, text))
    return _NUMBER.sub(MASK, found)


def masked_name(name: str) -> str:
    """Return the name of a page, a campaign or a code with e-mail addresses and long numbers masked.

    What a link asks for after ``?`` is cut off: it often says who is asking.

    >>> masked_name("mail-07"), masked_name("/leave?who=jo%40acme.example")
    ('mail-07', '/leave')
    """
    found = unicodedata.normalize("NFKC", name)
    while (decoded := unquote(found)) != found:
        found = unicodedata.normalize("NFKC", decoded)
    bare = found.split("?")[0].strip() or found
    return _LONG_NUMBER.sub(MASK, _ADDRESS.sub(MASK, bare))


def plain(word: str) -> str:
    """Return a word without case and accents: two spellings of one word are the same."""
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))


# What every note on a lead has, and scikit-learn's list lacks. (Longer lists have "need" and "call" too.)
_VERBS = ("did", "didn", "does", "doesn", "said", "says", "told", "want", "wants", "went", "just")
STOP_WORDS = frozenset(
    plain(part)
    for word in (*ENGLISH_STOP_WORDS, *_VERBS, *get_stop_words("fr"))
    for part in _WORD.findall(word)
)


@dataclass(frozen=True)
class Themes:
    """Themes, most leads first.

    words
        The words of each theme, strongest first, as they are mostly written.
    theme
        (n,) the theme of each text, -1 where it has none: it uses none of the words of one.
    stability
        From 0 to 1: how much of the themes comes back when a fifth of the leads is left out.
    """

    words: tuple[tuple[str, ...], ...]
    theme: NDArray[np.int64]
    stability: float


def themes(texts: Sequence[str], names: Collection[str] = (), seed: int = 0) -> Themes:
    """Group texts, one a lead, into themes.

    Parameters
    ----------
    texts
        (n,) what was written of each lead, as it was written.
    names
        Words that are parts of people's names, in any case: they are used nowhere, even where they are
        ordinary words too.
    seed
        Of the subsamples.

    Returns
    -------
    No themes where fewer than two words occur with at least `LEAST_LEADS` leads.
    """
    told = [_words(masked(text)) for text in texts]
    forbidden = STOP_WORDS | {plain(part) for name in names for part in _WORD.findall(name)}
    kept = [[plain(w) for w in words if plain(w) not in forbidden] for words in told]
    weights, vocabulary = _weights(kept)
    if len(vocabulary) < 2:
        return Themes((), np.full(len(texts), -1), 0.0)
    with warnings.catch_warnings():  # an unfinished last digit moves no word from theme to theme
        warnings.simplefilter("ignore", ConvergenceWarning)
        number, stability = _how_many(weights, np.random.default_rng(seed))
        model = NMF(number, init="nndsvda", random_state=0, max_iter=400)
        share = model.fit_transform(weights)
    spelling = _spellings(word for words in told for word in words)
    named = [_named(topic, vocabulary, spelling) for topic in model.components_]
    theme = share.argmax(axis=1)
    # A text that has none of the theme's words is in it by arithmetic only.
    inside = [
        not {plain(w) for w in named[t]}.isdisjoint(words) for t, words in zip(theme, kept, strict=True)
    ]
    return _sorted(named, np.where(inside, theme, -1), stability)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.replace("’", " ").replace("'", " "))


def _weights(kept: list[list[str]]) -> tuple[csr_matrix, list[str]]:
    counted = Counter(word for words in kept for word in set(words))
    frequent = [w for w, n in sorted(counted.items(), key=lambda p: (-p[1], p[0])) if n >= LEAST_LEADS]
    vocabulary = sorted(frequent[:MOST_WORDS])
    if len(vocabulary) < 2:
        return csr_matrix((len(kept), 0)), vocabulary
    vectors = TfidfVectorizer(analyzer=list, vocabulary=vocabulary, sublinear_tf=True)
    return vectors.fit_transform(kept), vocabulary


def _how_many(weights: csr_matrix, rng: np.random.Generator) -> tuple[int, float]:
    """Return the number of themes that comes out alike from subsamples of the leads, and how much so."""
    filled = np.flatnonzero(weights.getnnz(axis=1))
    chosen = rng.permutation(filled)[:ENOUGH]
    some = weights[chosen]
    size = int(SUBSAMPLE * len(chosen))
    parts = [some[rng.permutation(len(chosen))[:size]] for _ in range(SUBSAMPLES)]
    most = min(MOST_THEMES, len(chosen) // (2 * LEAST_LEADS), *map(_rank, parts))
    if most < 2:
        return 1, 1.0
    agreement = {}
    for number in range(2, most + 1):
        whole = _topics(some, number)
        agreement[number] = float(np.mean([_agreement(whole, _topics(part, number)) for part in parts]))
    best = max(agreement.values())
    number = max(n for n, value in agreement.items() if value >= AS_STABLE * best)
    return number, agreement[number]


def _rank(weights: csr_matrix) -> int:
    """Return how many themes there can be: more than the texts are independent cannot be started from."""
    most = min(MOST_THEMES, *weights.shape)
    strength = randomized_svd(weights, most, random_state=0)[1] if most else np.zeros(1)
    return int((strength > 1e-6 * strength[0]).sum())


def _topics(weights: csr_matrix, number: int) -> list[frozenset[int]]:
    """Return the strongest words of each theme, by position."""
    model = NMF(number, init="nndsvda", random_state=0, max_iter=200).fit(weights)
    return [frozenset(_strongest(topic, 2 * WORDS)) for topic in model.components_]


def _strongest(topic: Floats, most: int) -> list[int]:
    order = np.argsort(-topic, kind="stable")[:most]
    return [int(i) for i in order if topic[i] > 0]


def _agreement(one: list[frozenset[int]], other: list[frozenset[int]]) -> float:
    """Return the mean overlap (Jaccard) of the words of themes, matched as well as can be."""
    overlap = np.array([[len(a & b) / max(len(a | b), 1) for b in other] for a in one])
    rows, columns = linear_sum_assignment(-overlap)
    return float(overlap[rows, columns].mean())


def _spellings(words: Iterable[str]) -> dict[str, str]:
    """Return how each plain word is mostly written, in lower case."""
    written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        written[plain(word)][word.lower()] += 1
    return {word: min(counts, key=lambda w: (-counts[w], w)) for word, counts in written.items()}


def _named(topic: Floats, vocabulary: list[str], spelling: dict[str, str]) -> tuple[str, ...]:
    """Name a theme: its strongest words, at least three where it has them, none that hardly belongs."""
    strongest = _strongest(topic, WORDS)
    kept = [i for rank, i in enumerate(strongest) if rank < 3 or topic[i] >= topic[strongest[0]] / 4]
    return tuple(spelling[vocabulary[i]] for i in kept)


def _sorted(named: list[tuple[str, ...]], theme: NDArray[np.int64], stability: float) -> Themes:
    """Put themes in order of their leads, and leave those of too few to the rest."""
    leads = np.bincount(theme[theme >= 0], minlength=len(named))
    least = max(LEAST_LEADS, LEAST_SHARE * (theme >= 0).sum())
    order = [int(i) for i in np.argsort(-leads, kind="stable") if leads[i] >= least and named[i]]
    place = np.full(len(named) + 1, -1)
    place[order] = np.arange(len(order))
    return Themes(tuple(named[i] for i in order), place[theme].astype(np.int64), stability)
