"""How a feature is declared: what it is called, what it means, what it needs.

A declaration names the aggregates that it needs and a formula over them; `features.compute` collects the
needs of all features and answers them in one pass over the activities. So a declaration cannot
run a query of its own, and a feature without label, description or sentence in every language cannot be
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import ibis.expr.types as ir

from features.language import Text

if TYPE_CHECKING:
    from features.vocabulary import Vocabulary

FeatureType = Literal["number", "flag", "category"]
FeatureFamily = Literal["fit", "engagement"]
Told = Literal["always", "narrowest", "never"]


@dataclass(frozen=True)
class Aggregate:
    """Something over the activities that merges: over kinds it is the same as over their rows.

    Sum, min and max merge; a mean or a count of distinct values does not, which is why the rows
    carry first-of flags to be summed. Two aggregates of one name are the same one, so needed by
    ten features it is computed once.
    """

    name: str
    how: Literal["sum", "min", "max"]
    of: Callable[[ir.Table], ir.NumericValue] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Feature:
    """One column of the feature table.

    `concept` groups the features that people would name as one thing; `direction` is +1 or -1
    where more of the feature may only raise or lower the propensity, else 0; `sentence` is a
    template with ``{label}`` (of the concept) and ``{value}`` (written by its unit, and with its `window`
    if it is about what happened in one). It is `told` in a
    reason always, never, or as the narrowest: only the first such feature of its concept that is
    not zero, so that of four windows one is told. A category's `levels` are the texts of its codes
    0, 1, ...; where they are words of ours, `level_words` are what people read for them.

    An engagement feature has `needs`, over the activities of `kind` (a position in the vocabulary, or
    None for all kinds), and its `formula` gets them in that order. Any other feature has none, and its
    formula gets the table of read attributes.
    """

    name: str
    family: FeatureFamily
    concept: str
    label: Text
    description: Text
    type: FeatureType
    unit: str
    sentence: Text
    formula: Callable[..., ir.Value] = field(compare=False, repr=False)
    needs: tuple[Aggregate, ...] = ()
    kind: int | None = None
    levels: tuple[str, ...] = ()
    level_words: tuple[Text, ...] = ()
    direction: int = 0
    told: Told = "always"
    window: Text | None = None


class Family(Protocol):
    """A declaration: it says which features it becomes, given what was learnt in training."""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield its features in a fixed order."""
        ...


@dataclass(frozen=True)
class Scope:
    """Which activities a need is about: those of one kind or all, and of how many days."""

    of_kind: bool
    days: float = 0.0

    def column(self, name: str) -> str:
        """Return the column that says `name` within the kind, or over all kinds."""
        return f"kind_{name}" if self.of_kind else name


def total(column: str) -> Aggregate:
    """Sum of an integer column or flag."""
    return Aggregate(f"total of {column}", "sum", lambda rows: rows[column])


def least(column: str) -> Aggregate:
    """Smallest value of a column."""
    return Aggregate(f"least {column}", "min", lambda rows: rows[column])


def greatest(column: str) -> Aggregate:
    """Largest value of a column."""
    return Aggregate(f"greatest {column}", "max", lambda rows: rows[column])


def number(days: float) -> str:
    """Write 7.0 as ``7`` and 0.5 as ``0.5``, for names."""
    return f"{days:g}"
