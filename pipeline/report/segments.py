"""Leads in segments that people know: by the values of an attribute, or bands of them."""

from __future__ import annotations

import pandas as pd

from features.bands import SENIORITY_LEVELS, size_band
from features.language import LANGUAGES, Said, Speaker, Text, in_every_language
from features.vocabulary import OTHER, KnownAttribute
from features.wording import NO, YES
from models.agreement import POOL
from pipeline.report.words_lines import ADDRESSES

UNKNOWN = "(unknown)"
NAMES = {
    UNKNOWN: Text("not known", "inconnu"),
    POOL: Text("all others together", "tous les autres réunis"),
    OTHER: Text("rarer values", "valeurs plus rares"),
}
QUARTERS = 4


def by_address(values: pd.Series) -> tuple[pd.Series, dict[str, Said]]:
    """Return the segment (n,) of each class of e-mail address, and what each is called."""
    named = {name: text.to_dict() for name, text in ADDRESSES.items()}
    return _coded(values.astype(object)), _with_common(named)


def by_attribute(known: KnownAttribute, values: pd.Series) -> tuple[pd.Series, dict[str, Said]]:
    """Return the segment (n,) of each lead by an attribute, as the model saw it, and what each is called."""
    kind = known.declared.type
    if kind == "category":
        plain = _coded(values.astype(object))
        return plain, _with_common({name: _same(name) for name in plain.unique()})
    if kind == "size":
        bands = values.map(lambda size: size_band(size).en, na_action="ignore")
        named = values.dropna().map(size_band)
        return _coded(bands), _with_common({band.en: band.to_dict() for band in named})
    if kind == "seniority":
        ranks = {str(place): text.to_dict() for place, text in enumerate(SENIORITY_LEVELS, 1)}
        return _coded(values.round().map("{:.0f}".format, na_action="ignore")), _with_common(ranks)
    if kind == "flag":
        flags = {"0": NO.to_dict(), "1": YES.to_dict()}
        return _coded(values.map("{:.0f}".format, na_action="ignore")), _with_common(flags)
    return _quarters(values.astype(float))


def _quarters(values: pd.Series) -> tuple[pd.Series, dict[str, Said]]:
    cut = pd.qcut(values, QUARTERS, duplicates="drop")
    ends = values.groupby(cut, observed=True).agg(["min", "max"])
    place = {interval: str(number) for number, interval in enumerate(ends.index)}
    spans = zip(ends.index, ends.to_numpy(), strict=True)
    names = {place[interval]: _span(low, high) for interval, (low, high) in spans}
    return _coded(cut.astype(object).map(place, na_action="ignore")), _with_common(names)


def _span(low: float, high: float) -> Said:
    def tell(speaker: Speaker) -> str:
        first, last = speaker.plain(float(low)), speaker.plain(float(high))
        return first if first == last else speaker.between(first, last)

    return in_every_language(tell)


def _coded(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), UNKNOWN).astype(str)


def _same(name: str) -> Said:
    return dict.fromkeys(LANGUAGES, name.replace("_", " "))


def _with_common(names: dict[str, Said]) -> dict[str, Said]:
    return names | {name: text.to_dict() for name, text in NAMES.items()}
