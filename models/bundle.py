"""The trained model as text files: all that is needed to get from features to a decision.

A bundle knows no folder: it is a mapping of file names to texts, with a manifest that holds the
digest of each. There is no pickle in it, and nothing of it runs when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from features.catalogue import catalogue
from features.declare import Feature
from features.errors import BundleError
from features.language import Language
from features.story import Storyteller
from features.vocabulary import Vocabulary
from models.calibrators import Calibrator, calibrator_from_dict
from models.cutoffs import Cutoff
from models.decision import Bands
from models.estimator import LeadClassifier
from models.grades import Grades, ScoreScale
from models.interval import PropensityInterval
from models.reasons import reasons, shares

FORMAT = 1
MANIFEST = "manifest.json"
PARTS = "decision.json"
VOCABULARY = "vocabulary.json"


@dataclass(frozen=True)
class Bundle:
    """Everything that training decided.

    Attributes
    ----------
    about
        What it was trained for: project, target, horizon, split; plain JSON values.
    vocabulary
        Fitted state of the features.
    classifier, calibrator, interval
        From features to a margin, from there to a propensity and its 90 % interval.
    scale, grades, bands, cutoffs
        From there to score, grade and band; the first cutoff is the one in force.
    told_as
        Concepts that are told as another, because leads have both or none; see `models.concepts`.
    """

    about: dict[str, Any]
    vocabulary: Vocabulary
    classifier: LeadClassifier
    calibrator: Calibrator
    interval: PropensityInterval
    scale: ScoreScale
    grades: Grades
    bands: Bands
    cutoffs: tuple[Cutoff, ...] = field(default=())
    told_as: Mapping[str, str] = field(default_factory=dict)

    @threadpool_limits.wrap(limits=1, user_api="blas")
    def score(
        self, features: pd.DataFrame, asked: pd.Series | None = None, language: Language = "en"
    ) -> pd.DataFrame:
        """Score leads.

        Parameters
        ----------
        features
            (n, p) as `features.compute.frame` gives them for this bundle's vocabulary.
        asked
            (n,) whether the lead asked for sales.
        language
            Of the texts and values of the reasons.

        Returns
        -------
        pandas.DataFrame
            Same index; columns margin, propensity, propensity_low, propensity_high, score, band,
            sales_ready, grade, fit, engagement and reasons (a list of dictionaries concept,
            direction, strength, text, value).

        Raises
        ------
        BundleError
            Features do not fit the model.
        """
        members = self.classifier.member_margins(features)
        margin = members.mean(axis=1)
        contributions = self.classifier.contributions(features)
        families = shares(contributions, self._family_of, total=margin - self.classifier.base_value_)
        propensity = pd.Series(self.calibrator.predict(margin), index=features.index)
        low, high = self.interval.predict(members)
        return pd.DataFrame(
            {
                "margin": margin,
                "propensity": propensity,
                "propensity_low": low,
                "propensity_high": high,
                "score": self.scale.score(margin),
                **self.bands.decide(propensity, asked),
                "grade": self.grades.grade(families["fit"], families["engagement"]),
                "fit": families["fit"],
                "engagement": families["engagement"],
                "reasons": self._told(features, contributions, language),
            },
            index=features.index,
        )

    def _told(
        self, features: pd.DataFrame, contributions: pd.DataFrame, language: Language
    ) -> list[list[dict[str, Any]]]:
        teller = Storyteller(self.vocabulary, language)
        values = features.astype(object).where(features.notna(), None)
        rows = [{str(name): value for name, value in row.items()} for row in values.to_dict("records")]
        found = reasons(contributions, self.concept_of)
        return [
            [
                {
                    "concept": reason.concept,
                    "direction": reason.direction,
                    "strength": reason.strength,
                    "text": teller.sentence(reason.concept, row),
                    "value": teller.value(reason.concept, row),
                }
                for reason in of_row
            ]
            for of_row, row in zip(found, rows, strict=True)
        ]

    @cached_property
    def catalogue(self) -> tuple[Feature, ...]:
        """The features' declarations, in the order of the columns."""
        return catalogue(self.vocabulary)

    @cached_property
    def _family_of(self) -> dict[str, str]:
        return {feature.name: feature.family for feature in self.catalogue}

    @cached_property
    def concept_of(self) -> dict[str, str]:
        """The concept that each feature is told under, by the feature's name."""
        return {f.name: self.told_as.get(f.concept, f.concept) for f in self.catalogue}

    def to_texts(self) -> dict[str, str]:
        """Return the bundle as texts by file name, the manifest with their digests among them."""
        decision = {
            "base_value": self.classifier.base_value_,
            "calibrator": self.calibrator.to_dict(),
            "interval": self.interval.to_dict(),
            "scale": self.scale.to_dict(),
            "grades": self.grades.to_dict(),
            "bands": self.bands.to_dict(),
            "cutoffs": [cutoff.to_dict() for cutoff in self.cutoffs],
            "told_as": dict(self.told_as),
        }
        texts = {
            VOCABULARY: _json(self.vocabulary.to_dict()),
            PARTS: _json(decision),
            **self.classifier.to_texts(),
        }
        files = {name: digest(text) for name, text in sorted(texts.items())}
        return {MANIFEST: _json({"format": FORMAT, "about": self.about, "files": files}), **texts}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Bundle:
        """Rebuild what `to_texts` wrote, after checking every digest.

        Raises
        ------
        BundleError
            A file is missing, was altered, or is of another format.
        """
        manifest = _manifest(texts)
        decision = json.loads(texts[PARTS])
        calibrator = calibrator_from_dict(decision["calibrator"])
        return cls(
            about=manifest["about"],
            vocabulary=Vocabulary.from_dict(json.loads(texts[VOCABULARY])),
            classifier=LeadClassifier.from_texts(texts),
            calibrator=calibrator,
            interval=PropensityInterval.from_dict(decision["interval"], calibrator.predict),
            scale=ScoreScale.from_dict(decision["scale"]),
            grades=Grades.from_dict(decision["grades"]),
            bands=Bands.from_dict(decision["bands"]),
            cutoffs=tuple(Cutoff.from_dict(cutoff) for cutoff in decision["cutoffs"]),
            told_as=decision.get("told_as", {}),
        )


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def bundle_digest(texts: Mapping[str, str]) -> str:
    """Return the digest of a whole bundle: that of its manifest, which holds those of its files."""
    return digest(texts[MANIFEST])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)


def _manifest(texts: Mapping[str, str]) -> dict[str, Any]:
    again = "restore the bundle from where it was registered, or train again"
    try:
        manifest = json.loads(texts[MANIFEST])
        files = dict(manifest["files"])
        known = manifest["format"] == FORMAT
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            "The bundle has no readable manifest.", where=f"{MANIFEST}: {error}", todo=again
        ) from None
    if not known:
        raise BundleError(
            f"The bundle has format {manifest['format']}.", allowed=f"format {FORMAT}", todo="train again"
        )
    missing = sorted(set(files) - set(texts))
    altered = sorted(name for name in files if name in texts and digest(texts[name]) != files[name])
    if missing or altered:
        raise BundleError(
            "The bundle is not what was trained: "
            + "; ".join(
                f"{what}: {', '.join(names)}"
                for what, names in (("missing", missing), ("digest does not match", altered))
                if names
            ),
            todo=again,
        )
    return manifest
