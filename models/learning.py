"""From features in windows to a bundle: what each window is used for, in one place.

``train`` and ``stopping`` fit the model, ``calibration`` the calibrator, the interval and the
scales, ``decision`` the cutoffs. The test windows are only ever predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from models.certificates import candidates
from models.concepts import together
from models.crossings import BEFORE_DECISION, Crossings
from models.cutoffs import Cutoff, choose_cutoff
from models.decision import Bands, comings_and_goings, default_nurture_level
from models.decision_window import DecisionWindow
from models.drift import Drift, find_drift
from models.estimator import LeadClassifier
from models.grades import Grades, ScoreScale
from models.interval import PropensityInterval
from models.labels import Floats
from models.reasons import shares
from models.replay import Replay

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
    wins
        lead_id, group_id and won_at of all wins of the decision window's leads within it, also of those
        never scored before; None: the wins that labels know.
    hysteresis
        How many log-odds below the level of its band a lead may fall before it loses the band.
    """

    features: pd.DataFrame
    keys: pd.DataFrame
    points: pd.Series | None
    decision_share: float = 1.0
    decision_window: tuple[pd.Timestamp, pd.Timestamp] | None = None
    wins: pd.DataFrame | None = None
    hysteresis: float = 0.0

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
    propensity_low, propensity_high. ``drift``: whether the base rate moved while it was built.
    ``window``: what the cutoffs were chosen from.
    """

    bundle: Bundle
    calibration: Chosen
    predictions: pd.DataFrame
    drift: Drift
    window: DecisionWindow


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
    features, label, groups, calibration = examples.within("calibration")
    base_rate = float(label.mean())
    drift = find_drift(examples.keys, propensity, ordered=about["split"] != "group")
    window = _decision_window(examples, margin, chosen, about["horizon"])
    cutoffs = [_withdrawn(cutoff, drift) for cutoff in _cutoffs(window, base_rate, choices)]
    nurture = default_nurture_level(base_rate) if choices.nurture is None else choices.nurture
    bands = Bands(cutoffs[0], nurture, choices.sales_ready, examples.hysteresis)
    cutoffs[0] = _with_hysteresis(bands, examples, margin, chosen)
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
        bands=replace(bands, mql=cutoffs[0]),
        cutoffs=tuple(cutoffs),
        told_as=together(examples.within("train", "stopping")[0], vocabulary),
    )
    predictions = _predictions(examples, margin, propensity, base_rate)
    low, high = interval.predict(margins.loc[predictions.index].to_numpy())
    predictions = predictions.assign(propensity_low=low, propensity_high=high)
    return Learned(bundle, chosen, predictions, drift, window)


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


def _cutoffs(window: DecisionWindow, base_rate: float, choices: Choices) -> list[Cutoff]:
    """Choose the cutoffs that were asked for, or else the default."""
    if choices.cutoffs:
        return [choose_cutoff(policy, window, **parameters) for policy, parameters in choices.cutoffs]
    # From the calibration window's rate, so that no label of the decision window sets what is tested there.
    at_least = min(0.9, DEFAULT_LIFT * base_rate)
    return [choose_cutoff("precision", window, at_least=at_least, fall_back=True)]


def _decision_window(
    examples: Examples, margin: pd.Series, chosen: Chosen, horizon: str | None
) -> DecisionWindow:
    """Return what the cutoffs are chosen from."""
    start, end = examples.decision_window or (None, None)
    table = _scored(examples, "decision", margin, chosen)
    earlier = _scored(examples, BEFORE_DECISION, margin, chosen)
    calibration = margin.loc[examples.within("calibration")[-1]]
    return DecisionWindow(
        crossings=Crossings.of(
            table, start=start, end=end, share=examples.decision_share, earlier=earlier if start else None
        ),
        replay=Replay.of(table, earlier=earlier, wins=examples.wins),
        candidates=candidates(calibration, chosen.calibrator.predict),
        predict=chosen.calibrator.predict,
        horizon=horizon,
    )


def _scored(examples: Examples, window: str, margin: pd.Series, chosen: Chosen) -> pd.DataFrame:
    """Return a window's snapshots with what the model says of them."""
    _, label, groups, index = examples.within(window)
    keys = examples.keys.loc[index]
    table = pd.DataFrame(
        {
            "lead_id": keys["lead_id"],
            "group_id": groups,
            "margin": margin.loc[index],
            "propensity": chosen.calibrator.predict(margin.loc[index]),
            "label": label.astype(int),
        }
    )
    return table.assign(as_of=keys["as_of"], created_at=keys["opened_at"]) if examples.timed else table


def _withdrawn(cutoff: Cutoff, drift: Drift) -> Cutoff:
    """Return the cutoff without a promise where the base rate moved, and say what was withdrawn."""
    if not drift.moved or not (cutoff.promise or cutoff.evidence.get("best_promise")):
        return cutoff
    withdrawn = {"words": drift.words, "promise": cutoff.promise or cutoff.evidence["best_promise"]}
    evidence = cutoff.evidence | {"withdrawn": withdrawn}
    if "best_promise" in evidence:
        evidence["best_promise"] = None
    return replace(cutoff, promise=None, evidence=evidence)


def _with_hysteresis(bands: Bands, examples: Examples, margin: pd.Series, chosen: Chosen) -> Cutoff:
    """Return the cutoff in force with what the hysteresis does in the decision window, if it has times."""
    cutoff = bands.mql
    if cutoff.level is None or not examples.timed:
        return cutoff
    parts = [_scored(examples, window, margin, chosen) for window in (BEFORE_DECISION, "decision")]
    spared = comings_and_goings(pd.concat(parts), bands)
    return replace(cutoff, evidence=cutoff.evidence | {"hysteresis": spared})


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
