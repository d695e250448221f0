"""An interval for the probability itself: how well a lead's propensity is known.

On the margin scale the distance between the calibrated margin and the truth has a variance of four
parts. Two are learned from the calibration window, the weight of the others was chosen on
simulated leads, whose truth is known (``benchmarks/interval_truth.py`` on the whole simulated CRM,
``benchmarks/interval_coverage.py`` on plainer leads):

* the calibrator's own uncertainty: the sampling variance of a logistic fit of the outcome on the
  margin, by leads (White 1980, Liang and Zeger 1986);
* how far the members disagree about *this* lead: it says who is known better than others, but a
  variance over eight members is itself uncertain, so it gets a part of the weight;
* how far they disagree on average, which is known well: it carries most of the weight;
* what no bootstrap shows, because all members share it: what the features do not say, and how far
  the trees stop short of the truth. It falls as wins grow (the calibration window's stand for those
  of the training window: both are fixed shares of the same leads). And as the variance of log-odds
  is 1 / (n p (1 - p)), it grows where a lead's likes win rarely: among them hardly anything tells
  the hopeless from the merely poor, and both are given the same small propensity.

The propensity is the *mean* of what the truth may be, not its median: of leads with a propensity of
2 % most are worse, and few much better. So the middle of the interval is the log-odds around which
a normal with the last three variances has that mean. The calibrator's own error, which is as likely
up as down, only widens it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize.elementwise import find_root
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from features.errors import BundleError, DataError
from models.columns import group_index
from models.labels import Floats, both_classes

OWN_SPREAD = 0.3  # weight of the variance between members for this lead
COMMON_SPREAD = 1.2  # weight of its mean over the calibration window
SHARED_ERROR = 0.08  # variance, in squared log-odds, that no bootstrap shows
FEW_WINS_ERROR = 10.0  # the same times the leads of the rarer outcome in the calibration window
LEAST_KNOWN = 6.0  # how many times these two may grow for leads that win more rarely than usual
NEVER_SURE = 1e-4  # a calibrator's 0 or 1 is taken as this far from it
WIDEST = 25.0  # variance; beyond, the middle of the interval moves no further

# Points and weights that average over a standard normal (Gauss and Hermite).
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()

Calibrator = Callable[[Floats], Floats]


class PropensityInterval:
    """Interval for the true probability of a lead, given what is known of it.

    Parameters
    ----------
    level
        Share of leads whose true probability the interval should hold, on average over leads.
    own_spread, common_spread, shared_error, few_wins_error
        Weights of the parts described at the top of the module; the defaults are from simulation.
    """

    def __init__(
        self,
        level: float = 0.90,
        *,
        own_spread: float = OWN_SPREAD,
        common_spread: float = COMMON_SPREAD,
        shared_error: float = SHARED_ERROR,
        few_wins_error: float = FEW_WINS_ERROR,
    ) -> None:
        self.level = level
        self.own_spread = own_spread
        self.common_spread = common_spread
        self.shared_error = shared_error
        self.few_wins_error = few_wins_error

    def fit(
        self,
        member_margins: Floats,
        y: Sequence[int] | NDArray[Any],
        groups: Sequence[Any] | NDArray[Any] | None,
        calibrator: Calibrator,
    ) -> PropensityInterval:
        """Learn the scale of margins and the calibrator's uncertainty from the calibration window.

        Parameters
        ----------
        member_margins
            (n, members) margins of the calibration snapshots, which trained no member.
        y
            (n,) labels 0 and 1.
        groups
            (n,) lead of each row, or None when each row is its own.
        calibrator
            From (n,) margins to (n,) propensities; the interval is drawn around its answer.

        Raises
        ------
        UnsupportedData
            When `y` has one class.
        DataError
            When the lengths differ or a margin is not finite.
        """
        margins = _checked(member_margins)
        known = both_classes(y)
        lead = group_index(groups, len(known))
        if not len(margins) == len(known) == len(lead):
            raise DataError("Margins, labels and groups have different lengths.")
        mean = margins.mean(axis=1)
        self.calibrator_ = calibrator
        propensity = np.asarray(calibrator(mean), dtype=np.float64)
        self.information_ = float(_information(propensity).mean())
        self.centre_ = float(mean.mean())
        design = np.column_stack([np.ones(len(mean)), mean - self.centre_])
        fit = LogisticRegression(C=1e4, max_iter=500).fit(design[:, 1:], known)
        # A model that ranks the wrong way has no scale to speak of; its spread then counts as it is.
        slope = float(fit.coef_[0, 0])
        self.slope_ = slope if slope > 0 else 1.0
        self.covariance_ = _covariance_by_lead(design, known, fit.predict_proba(design[:, 1:])[:, 1], lead)
        self.mean_spread_ = float(_variance(margins).mean())
        won = np.bincount(lead, weights=known) > 0
        self.wins_ = max(1, int(min(won.sum(), len(won) - won.sum())))
        return self

    def predict(self, member_margins: Floats) -> tuple[Floats, Floats]:
        """Return the lower and the upper end, (n,) each, as probabilities.

        ``0 <= low <= calibrator(mean margin) <= high <= 1`` always holds. Raises `BundleError`
        before `fit`, `DataError` when a margin is not finite.
        """
        if not hasattr(self, "covariance_"):
            raise BundleError("The interval has not been fitted.", todo="Call fit or from_dict first.")
        margins = _checked(member_margins)
        mean = margins.mean(axis=1)
        propensity = np.asarray(self.calibrator_(mean), dtype=np.float64)
        error = self._error(margins, propensity)
        # Where the classes are perfectly apart next to nothing is known, and rounding may go below 0.
        spread = np.maximum(error + self._calibration(mean), 0.0)
        half = norm.ppf(0.5 + self.level / 2) * np.sqrt(spread)
        middle = _middle(propensity, error)
        # Rounding, and a propensity beyond NEVER_SURE, must not put it outside its own interval.
        return np.minimum(expit(middle - half), propensity), np.maximum(expit(middle + half), propensity)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the calibrator, ready for JSON."""
        return {
            "level": self.level,
            "own_spread": self.own_spread,
            "common_spread": self.common_spread,
            "shared_error": self.shared_error,
            "few_wins_error": self.few_wins_error,
            "centre": self.centre_,
            "slope": self.slope_,
            "covariance": self.covariance_.tolist(),
            "mean_spread": self.mean_spread_,
            "wins": self.wins_,
            "information": self.information_,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], calibrator: Calibrator) -> PropensityInterval:
        """Return what `to_dict` wrote, around `calibrator`; raises `BundleError` when a part is missing."""
        try:
            weights = ("own_spread", "common_spread", "shared_error", "few_wins_error")
            interval = cls(stored["level"], **{name: stored[name] for name in weights})
            interval.centre_ = stored["centre"]
            interval.slope_ = stored["slope"]
            interval.covariance_ = np.array(stored["covariance"], dtype=np.float64)
            interval.mean_spread_ = stored["mean_spread"]
            interval.wins_ = stored["wins"]
            interval.information_ = stored["information"]
        except KeyError as error:
            raise BundleError(f"The stored interval lacks {error}.", todo="Train again.") from error
        interval.calibrator_ = calibrator
        return interval

    def _calibration(self, mean: Floats) -> Floats:
        """Return (n,) variances of the calibrated margin, in squared log-odds."""
        design = np.column_stack([np.ones(len(mean)), mean - self.centre_])
        return np.asarray(np.einsum("ij,jk,ik->i", design, self.covariance_, design))

    def _error(self, margins: Floats, propensity: Floats) -> Floats:
        """Return (n,) variances of the truth around a margin that is calibrated without error."""
        spread = self.own_spread * _variance(margins) + self.common_spread * self.mean_spread_
        rarer = np.minimum(self.information_ / _information(propensity), LEAST_KNOWN)
        shared = self.shared_error + self.few_wins_error / self.wins_
        return self.slope_**2 * spread + shared * rarer


def _checked(member_margins: Floats) -> Floats:
    margins = np.asarray(member_margins, dtype=np.float64)
    if margins.ndim != 2 or not np.isfinite(margins).all():
        raise DataError("Member margins cannot be used.", allowed="finite numbers, one column a member")
    return margins


def _variance(margins: Floats) -> Floats:
    """Return (n,) variances between members; a single member cannot disagree with itself."""
    return margins.var(axis=1, ddof=1) if margins.shape[1] > 1 else np.zeros(len(margins))


def _information(propensity: Floats) -> Floats:
    """Return (n,) p (1 - p): what one lead tells about its log-odds."""
    sure = np.clip(propensity, NEVER_SURE, 1 - NEVER_SURE)
    return np.asarray(sure * (1 - sure))


def _middle(propensity: Floats, variance: Floats) -> Floats:
    """Return the (n,) log-odds m for which expit(m + normal of this variance) has mean `propensity`."""
    variance = np.clip(variance, 1e-9, WIDEST)
    rarer = np.clip(np.minimum(propensity, 1 - propensity), NEVER_SURE, 0.5)
    # By symmetry it is found for the rarer answer. There the mean lies above expit(m), as expit is
    # convex, and below exp(m + variance / 2), as expit is below exp.
    bounds = np.log(rarer) - variance / 2 - 1e-6, logit(rarer) + 1e-6
    found = find_root(_excess, bounds, args=(np.sqrt(variance), rarer), tolerances={"xatol": 1e-6})
    return np.where(propensity > 0.5, -found.x, found.x)


def _excess(middle: Floats, deviation: Floats, mean: Floats) -> Floats:
    return np.asarray(expit(middle[..., None] + deviation[..., None] * _POINTS) @ _WEIGHTS - mean)


def _covariance_by_lead(design: Floats, y: Floats, won: Floats, lead: NDArray[np.int64]) -> Floats:
    """Return the (2, 2) sandwich covariance of a logistic fit whose rows are alike within a lead."""
    bread = np.linalg.pinv(design.T @ (design * (won * (1 - won))[:, None]))
    score = design * (y - won)[:, None]
    by_lead = np.column_stack([np.bincount(lead, weights=column) for column in score.T])
    return np.asarray(bread @ (by_lead.T @ by_lead) @ bread, dtype=np.float64)
