"""How often does the 90 % interval of `PropensityInterval` hold the true probability?

    PYTHONPATH=. python benchmarks/interval_coverage.py [--leads 2000 5000 20000] [--seeds 3]

Leads are drawn from a known truth: additive log-odds of counts, recency, categories and a number
that is often missing, with one interaction, beside features that mean nothing. "hidden" is the
standard deviation, in log-odds, of a part that no feature tells: what the features only
approximate. Printed: coverage over all test leads, and its lowest and highest tenth by propensity,
mean over seeds. Good is 85 to 95 % in the mean and in each tenth.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from models.baselines import PointsBaseline
from models.estimator import LeadClassifier
from models.interval import PropensityInterval


def simulated(n: int, seed: int, rate: float, hidden: float) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Features, labels and true probabilities of `n` leads of which a share `rate` wins."""
    rng = np.random.default_rng(seed)
    keen = rng.gamma(1.0, 1.0, n)
    counts = rng.poisson(keen[:, None] * rng.uniform(0.2, 2.0, 10), (n, 10)).astype(float)
    frame = pd.DataFrame(counts, columns=[f"count {i}" for i in range(10)])
    frame["recency"] = rng.exponential(20, n)
    frame["age"] = rng.uniform(0, 90, n)
    odds = np.log1p(counts[:, :6]) @ rng.normal(0, 0.5, 6)
    odds += 0.8 * np.exp(-frame["recency"].to_numpy() / 14) - 0.006 * frame["age"].to_numpy()
    odds += 0.7 * ((counts[:, 0] > 1) & (frame["recency"].to_numpy() < 10))
    for levels in (3, 8, 15):
        level = rng.choice(levels, n, p=rng.dirichlet(np.full(levels, 2.0)))
        frame[f"category {levels}"] = pd.Categorical(level.astype(str))
        odds += rng.normal(0, 0.5, levels)[level]
    size = np.where(rng.random(n) < 0.15, np.nan, rng.normal(size=n))
    frame["size"] = size
    odds += 0.4 * np.nan_to_num(np.sin(1.5 * size)) + hidden * rng.normal(size=n)
    noise = pd.DataFrame(rng.normal(size=(n, 8))).add_prefix("noise ")
    base = brentq(lambda b: float(expit(odds + b).mean() - rate), -20, 20)
    truth = expit(odds + base)
    return pd.concat([frame, noise], axis=1), (rng.random(n) < truth).astype(int), truth


def coverage(n: int, seed: int, rate: float, hidden: float) -> np.ndarray:
    """Coverage over all test leads, then by tenth of propensity, then the mean width."""
    X, y, truth = simulated(n, seed, rate, hidden)
    train, stop, calibration, test = np.split(np.arange(n), (np.array([0.45, 0.55, 0.75]) * n).astype(int))
    model = LeadClassifier(seed=seed).fit(X.iloc[train], y[train], stopping=(X.iloc[stop], y[stop]))
    margins = model.member_margins(X.iloc[calibration])
    platt = PointsBaseline().fit(margins.mean(axis=1), y[calibration])
    interval = PropensityInterval().fit(
        margins, y[calibration], None, lambda margin: expit(platt.margin(margin))
    )
    members = model.member_margins(X.iloc[test])
    low, high = interval.predict(members)
    held = (low <= truth[test]) & (truth[test] <= high)
    tenths = np.array_split(np.argsort(members.mean(axis=1)), 10)
    return np.array([held.mean(), *(held[tenth].mean() for tenth in tenths), (high - low).mean()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--leads", type=int, nargs="+", default=[2000, 5000, 20000])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.06, 0.20])
    parser.add_argument("--hidden", type=float, nargs="+", default=[0.0, 0.2, 0.4])
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    print(" leads  rate  hidden  coverage  lowest tenth  highest tenth  mean width")
    everything = []
    for n in chosen.leads:
        for rate in chosen.rates:
            for hidden in chosen.hidden:
                cells = [coverage(n, seed, rate, hidden) for seed in range(chosen.seeds)]
                everything.append(mean := np.mean(cells, axis=0))
                print(
                    f"{n:>6}{rate:>6.2f}{hidden:>8.1f}{mean[0]:>10.3f}"
                    f"{mean[1:11].min():>14.3f}{mean[1:11].max():>15.3f}{mean[11]:>12.3f}",
                    flush=True,
                )
    overall = np.mean(everything, axis=0)
    print("mean over all:", f"{overall[0]:.3f}", "by tenth:", " ".join(f"{v:.2f}" for v in overall[1:11]))


if __name__ == "__main__":
    main()
