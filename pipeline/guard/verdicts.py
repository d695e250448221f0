"""What the guard says: evidence in words with its numbers, verdicts, and what is done about them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Number = float | int | str | None
Subject = Literal["attribute", "kind", "table"]
Word = Literal["excluded", "suspect", "clear"]

# Evidence of where values come from, or a separation that no honest column reaches: it excludes.
PROOFS = frozenset({
    "after_the_outcome", "only_won", "vanishes", "follows_the_future", "grows_with_time",
    "separates_perfectly", "in_excluded_table",
})  # fmt: skip
# Strength: an honest column may be as strong, so it is shown and kept.
DOUBTS = frozenset(
    {"separates", "missingness_separates", "pure_values", "adds", "partly_after_the_outcome", "sorted_rows"}
)
_ORDER = {"excluded": 0, "suspect": 1, "clear": 2}
_SUBJECTS = {"table": 0, "attribute": 1, "kind": 2}


@dataclass(frozen=True)
class Evidence:
    """One thing found: the test's name, one sentence for people, and the numbers in it.

    ``words`` starts with a verb or an adjective: the name of what is judged goes before it.
    """

    test: str
    words: str
    numbers: Mapping[str, Number]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        numbers = {k: None if isinstance(v, float) and not math.isfinite(v) else v
                   for k, v in self.numbers.items()}  # fmt: skip
        return {"test": self.test, "words": self.words, "numbers": numbers}


@dataclass(frozen=True)
class Verdict:
    """What the guard thinks of an attribute, a kind or a table, and why.

    ``overruled`` is the user's reason, where [guard] overrule changed what is done.
    """

    subject: Subject
    name: str
    verdict: Word
    evidence: tuple[Evidence, ...]
    overruled: str | None = None

    @classmethod
    def of(cls, subject: Subject, name: str, evidence: list[Evidence]) -> Verdict:
        """Return the verdict that the evidence asks for, its strongest part first."""
        tests = {e.test for e in evidence}
        word: Word = "excluded" if tests & PROOFS else "suspect" if tests & DOUBTS else "clear"
        ranked = sorted(evidence, key=lambda e: (e.test not in PROOFS, e.test not in DOUBTS))
        return cls(subject, name, word, tuple(ranked))

    @property
    def kept(self) -> bool:
        """Whether the features see it, after overruling."""
        return (self.verdict != "excluded") != (self.overruled is not None)

    def overrule(self, keep: bool, reason: str) -> Verdict:
        """Return the verdict with what the user wants done; without effect if it is done anyway."""
        plain = replace(self, overruled=None)
        return plain if plain.kept == keep else replace(self, overruled=reason)

    @property
    def words(self) -> str:
        """Everything that was found, in one text."""
        return "; ".join(e.words for e in self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "subject": self.subject,
            "name": self.name,
            "verdict": self.verdict,
            "kept": self.kept,
            "overruled": self.overruled,
            "evidence": [e.to_dict() for e in self.evidence],
        }


@dataclass(frozen=True)
class Judgement:
    """Everything judged, worst first; empty where the guard is off."""

    verdicts: tuple[Verdict, ...] = ()
    on: bool = True

    @classmethod
    def of(cls, verdicts: list[Verdict]) -> Judgement:
        """Return the judgement with the worst verdicts first, tables before what is in them."""
        order = sorted(verdicts, key=lambda v: (_ORDER[v.verdict], _SUBJECTS[v.subject], v.name))
        return cls(tuple(order))

    @property
    def excluded(self) -> tuple[Verdict, ...]:
        """The verdicts that exclude, whether or not the user overruled them."""
        return tuple(v for v in self.verdicts if v.verdict == "excluded")

    @property
    def suspects(self) -> tuple[Verdict, ...]:
        """What is strong enough to doubt, and kept."""
        return tuple(v for v in self.verdicts if v.verdict == "suspect")

    def attributes_left_out(self) -> frozenset[str]:
        """Return the names of the attributes that the features must not see."""
        return self._left_out("attribute")

    def kinds_left_out(self) -> frozenset[str]:
        """Return the kinds of activity that the features must not see."""
        return self._left_out("kind")

    def _left_out(self, subject: str) -> frozenset[str]:
        return frozenset(v.name for v in self.verdicts if v.subject == subject and not v.kept)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "on": self.on,
            "judged": len(self.verdicts),
            "excluded": len(self.excluded),
            "suspect": len(self.suspects),
            "verdicts": [v.to_dict() for v in self.verdicts],
        }
