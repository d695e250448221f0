"""From features in windows to a bundle: what each window is used for, in one place.

``train`` and ``stopping`` fit the model, ``calibration`` the calibrator, the interval and the
scales, ``decision`` the cutoffs. The test windows are only ever predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from features.catalogue import catalogue
from features.vocabulary import Vocabulary
from models.baselines import LogisticBaseline, PointsBaseline
from models.bundle import Bundle
from models.calibration import Chosen, choose
from models.calibrators import NoCalibration
from models.crossings import BEFORE_DECISION, Crossings
from models.cutoffs import Cutoff, choose_cutoff
from models.decision import Bands, default_nurture_level
from models.estimator import LeadClassifier
from models.grades import Grades, ScoreScale
from models.interval import PropensityInterval
from models.labels import Floats
from models.reasons import shares

# Without a cutoff in the configuration: MQLs convert at least half as often again as the average lead.
DEFAULT_LIFT = 1.5
# The windows that are only predicted.
TESTED = ("test", "test_by_age")


@dataclass(frozen=True)
class Choices:
    """What the user decided about the model, apart from the data.

    `cutoffs` are pairs of a policy and its parameters, as `models.cutoffs.choose_cutoff` takes them;
    the first is in force. `nurture` and `sales_ready` are levels of propensity or None.
    """

    seed: int = 0
    members: int = 8
    threads: int = 2
    cutoffs: Sequence[tuple[str, Mapping[str, Any]]] = ()
    nurture: float | None = None
    sales_ready: float | None = None


@dataclass(frozen=True)
class Examples:
    """Features and labels of the snapshots in their windows, row by row.

    Attributes
    ----------
    features
        (n, p), index snapshot.
    keys
        (n,) rows with the same index: lead_id, group_id, as_of (NaT without times), opened_at,
        label, window.
    points
        (n,) the user's own points, or None.
    decision_share
        The share of all leads of the decision window's time that its snapshots stand for.
    decision_window
        Start and end of the decision window, or None without times.
    """

    features: pd.DataFrame
    keys: pd.DataFrame
    points: pd.Series | None
    decision_share: float = 1.0
    decision_window: tuple[pd.Timestamp, pd.Timestamp] | None = None

    @property
    def timed(self) -> bool:
        """Whether snapshots have times."""
        return bool(self.keys["as_of"].notna().all())

    def within(self, *windows: str) -> tuple[pd.DataFrame, Floats, pd.Series, pd.Index]:
        """Return features, labels, groups and index of some windows."""
        index = self.keys.index[self.keys["window"].isin(windows)]
        keys = self.keys.loc[index]
        return self.features.loc[index], keys["label"].to_numpy(float), keys["group_id"], index


@dataclass(frozen=True)
class Learned:
    """A bundle, why it was calibrated as it was, and its predictions beside the baselines'.

    ``predictions`` has, for every snapshot outside of training: lead_id, as_of, part (its window),
    label, margin, propensity, logistic, base_rate, rules (NaN without points), group_id, age,
    opened_at, points, new_lead (whether no lead of its group was in a window before the test),
    propensity_low, propensity_high.
    """

    bundle: Bundle
    calibration: Chosen
    predictions: pd.DataFrame


@threadpool_limits.wrap(limits=1, user_api="blas")
def learn(examples: Examples, vocabulary: Vocabulary, about: dict[str, Any], choices: Choices) -> Learned:
    """Train, calibrate and decide.

    Raises
    ------
    UnsupportedData
        A window has one class only.
    ConfigurationError
        A cutoff policy cannot be used on this data.
    """
    classifier = _classifier(examples, vocabulary, choices)
    margins = pd.DataFrame(classifier.member_margins(examples.features), index=examples.features.index)
    margin = margins.mean(axis=1)
    chosen = _calibrate(examples, margin)
    propensity = pd.Series(chosen.calibrator.predict(margin), index=margin.index)
    cutoffs = _cutoffs(examples, margin, propensity, choices)
    features, label, groups, calibration = examples.within("calibration")
    base_rate = float(label.mean())
    nurture = default_nurture_level(base_rate) if choices.nurture is None else choices.nurture
    family_of = {feature.name: feature.family for feature in catalogue(vocabulary)}
    families = shares(classifier.contributions(features), family_of)
    interval = PropensityInterval().fit(
        margins.loc[calibration].to_numpy(), label, groups.to_numpy(), chosen.calibrator.predict
    )
    bundle = Bundle(
        about=about,
        vocabulary=vocabulary,
        classifier=classifier,
        calibrator=chosen.calibrator,
        interval=interval,
        scale=ScoreScale.fit(margin.loc[calibration]),
        grades=Grades.fit(families["fit"], families["engagement"]),
        bands=Bands(cutoffs[0], nurture, choices.sales_ready),
        cutoffs=tuple(cutoffs),
    )
    predictions = _predictions(examples, margin, propensity, base_rate)
    low, high = interval.predict(margins.loc[predictions.index].to_numpy())
    return Learned(bundle, chosen, predictions.assign(propensity_low=low, propensity_high=high))


def _classifier(examples: Examples, vocabulary: Vocabulary, choices: Choices) -> LeadClassifier:
    X, y, groups, _ = examples.within("train")
    later, later_y, later_groups, _ = examples.within("stopping")
    directions = {f.name: f.direction for f in catalogue(vocabulary) if f.direction and f.type != "category"}
    model = LeadClassifier(
        members=choices.members, directions=directions, seed=choices.seed, threads=choices.threads
    )
    if len(np.unique(later_y)) < 2:  # a slice without wins cannot say when to stop
        X, y, groups, _ = examples.within("train", "stopping")
        return model.fit(X, y, groups=groups.to_numpy())
    stopping = (later, later_y)
    return model.fit(
        X, y, groups=groups.to_numpy(), stopping=stopping, stopping_groups=later_groups.to_numpy()
    )


def _calibrate(examples: Examples, margin: pd.Series) -> Chosen:
    _, label, groups, index = examples.within("calibration")
    as_of = examples.keys.loc[index, "as_of"] if examples.timed else None
    return choose(margin.loc[index], label, groups, as_of)


def _cutoffs(examples: Examples, margin: pd.Series, propensity: pd.Series, choices: Choices) -> list[Cutoff]:
    _, label, _, index = examples.within("decision")
    keys = examples.keys.loc[index]
    table = pd.DataFrame(
        {
            "lead_id": keys["lead_id"],
            "margin": margin.loc[index],
            "propensity": propensity.loc[index],
            "label": label.astype(int),
        }
    )
    if examples.timed:
        table = table.assign(as_of=keys["as_of"], created_at=keys["opened_at"])
    start, end = examples.decision_window or (None, None)
    before = examples.keys.index[examples.keys["window"] == BEFORE_DECISION]
    earlier = pd.DataFrame(
        {"lead_id": examples.keys.loc[before, "lead_id"], "propensity": propensity.loc[before]}
    )
    crossings = Crossings.of(
        table, start=start, end=end, share=examples.decision_share, earlier=earlier if start else None
    )
    policies = list(choices.cutoffs)
    if not policies:
        policies = [("precision", {"at_least": min(0.9, DEFAULT_LIFT * float(label.mean()))})]
    return [choose_cutoff(policy, crossings, **parameters) for policy, parameters in policies]


def _predictions(
    examples: Examples, margin: pd.Series, propensity: pd.Series, base_rate: float
) -> pd.DataFrame:
    index = examples.keys.index[~examples.keys["window"].isin(["train", "stopping", BEFORE_DECISION])]
    keys = examples.keys.loc[index]
    built_from = examples.keys.loc[~examples.keys["window"].isin(TESTED), "group_id"]
    missing = pd.Series(np.nan, index=index)
    return pd.DataFrame(
        {
            "lead_id": keys["lead_id"],
            "as_of": keys["as_of"],
            "part": keys["window"],
            "label": keys["label"].astype("int8"),
            "margin": margin.loc[index],
            "propensity": propensity.loc[index],
            "logistic": _logistic(examples).loc[index],
            "base_rate": base_rate,
            "rules": missing if examples.points is None else _rules(examples).loc[index],
            "group_id": keys["group_id"],
            "age": keys["age"],
            "opened_at": keys["opened_at"],
            "points": missing if examples.points is None else examples.points.loc[index],
            "new_lead": ~keys["group_id"].isin(built_from),
        },
        index=index,
    )


def _logistic(examples: Examples) -> pd.Series:
    """Return the propensities of a logistic regression, trained and calibrated on the same rows."""
    X, y, groups, _ = examples.within("train")
    later, later_y, _, _ = examples.within("stopping")
    stopping = (later, later_y) if len(np.unique(later_y)) > 1 else None
    if stopping is None:
        X, y, groups, _ = examples.within("train", "stopping")
    model = LogisticBaseline().fit(X, y, groups=groups.to_numpy(), stopping=stopping)
    margin = pd.Series(model.margin(examples.features), index=examples.features.index)
    return pd.Series(_calibrate(examples, margin).calibrator.predict(margin), index=margin.index)


def _rules(examples: Examples) -> pd.Series:
    """Return the propensities of the user's own points, calibrated on the same rows."""
    assert examples.points is not None
    _, label, _, index = examples.within("calibration")
    model = PointsBaseline().fit(examples.points.loc[index].to_numpy(float), label)
    margin = model.margin(examples.points.to_numpy(float))
    return pd.Series(NoCalibration().predict(margin), index=examples.points.index)
