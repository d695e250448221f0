"""The list of all features. A new one is a declaration, and a line here."""

from __future__ import annotations

from features.activity import LeadAge
from features.declare import Family, Feature
from features.engagement import BY_KIND
from features.fit import AttributeValue, EmailClass, Filled, FilledCount
from features.overall import ENDS, OVERALL
from features.vocabulary import Vocabulary

FAMILIES: tuple[Family, ...] = (
    AttributeValue(),
    Filled(),
    FilledCount(),
    EmailClass(),
    *BY_KIND,
    *OVERALL,
    *ENDS,
    LeadAge(),
)


def catalogue(vocabulary: Vocabulary) -> tuple[Feature, ...]:
    """Return the features of a vocabulary: same vocabulary, same features in the same order."""
    return tuple(feature for family in FAMILIES for feature in family.features(vocabulary))
