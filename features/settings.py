"""What a user may choose about the features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from features.errors import ConfigurationError
from features.language import Text


@dataclass(frozen=True)
class FeatureSettings:
    """Choices that shape the catalogue.

    Attributes
    ----------
    windows_days
        Windows, in days before `as_of`, in which activities are counted.
    half_lives_days
        After so many days an activity weighs half as much in a decayed sum.
    session_gap_minutes
        A pause longer than this starts a new session.
    max_kinds, min_kind_leads
        At most so many kinds have features of their own, each with activities of at least so many
        training leads; the others are pooled as ``other``.
    max_categories, min_category_leads
        The same for the values of a category and for channels.
    directions
        Concept to +1 or -1: more of it may only raise (lower) the propensity.
    labels
        Kind to what people read; a kind without a label is read by its own name, in every language.
    """

    windows_days: tuple[int, ...] = (1, 7, 30, 90)
    half_lives_days: tuple[float, ...] = (7.0, 30.0)
    session_gap_minutes: float = 30
    max_kinds: int = 40
    min_kind_leads: int = 20
    min_category_leads: int = 20
    max_categories: int = 30
    directions: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Text] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("windows_days", "half_lives_days"):
            values = tuple(sorted(getattr(self, name)))
            if any(value <= 0 for value in values) or len(set(values)) < len(values):
                raise ConfigurationError(
                    f"{name} = {list(values)}", allowed="different numbers of days, each above 0"
                )
            object.__setattr__(self, name, values)
        wrong = {concept: way for concept, way in self.directions.items() if way not in (-1, 1)}
        if wrong:
            raise ConfigurationError(
                f"directions {wrong}", allowed="1 (may only raise) or -1 (may only lower)"
            )
        if self.session_gap_minutes <= 0:
            raise ConfigurationError(f"session_gap_minutes = {self.session_gap_minutes}", allowed="above 0")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        plain = asdict(self)
        for name in ("windows_days", "half_lives_days"):
            plain[name] = list(plain[name])
        plain["directions"] = dict(self.directions)
        plain["labels"] = {kind: label.to_dict() for kind, label in self.labels.items()}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> FeatureSettings:
        """Return the settings that `to_dict` wrote."""
        tuples = {name: tuple(plain[name]) for name in ("windows_days", "half_lives_days")}
        labels = {kind: Text.of(label) for kind, label in plain["labels"].items()}
        return cls(**{**plain, **tuples, "labels": labels})
