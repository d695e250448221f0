"""The certificate of a precision beside MAPIE's, on the same data.

    python benchmarks/promise_mapie.py

MAPIE's `BinaryClassificationController` knows one row a unit. A lead that is scored every night becomes an
MQL at its first crossing, so which of its rows counts depends on the threshold, and several leads may share
an account: that cannot be said to it. So the two are compared where each lead has one row, its
probability known: calibrated propensities, labels drawn from them, thresholds from a calibration sample.

`false`: draws in which the threshold chosen has a true precision below the one asked for, which may be 10 %.
`MQLs`: the share of all leads that the chosen threshold passes, on average over all draws (none: 0).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from mapie.risk_control import BinaryClassificationController
from scipy.special import expit

from models.certificates import Candidate, candidates
from models.crossings import Crossings
from models.cutoffs import precision
from models.decision_window import DecisionWindow
from models.replay import Replay

Floats = np.ndarray
CONFIDENCE = 0.9


def margins(rng: np.random.Generator, leads: int) -> Floats:
    """Return log-odds of conversion: a mean rate of about 12 %, and an AUC of about 0.75."""
    return np.asarray(-2.5 + 1.1 * rng.standard_normal(leads))


def ours(p: Floats, label: Floats, among: tuple[Candidate, ...], at_least: float) -> float | None:
    """Return the level that propense certifies."""
    rows = {"lead_id": np.arange(len(p)), "margin": np.log(p / (1 - p)), "propensity": p, "label": label}
    table = pd.DataFrame(rows)
    window = DecisionWindow(Crossings.of(table), Replay.of(table), among, expit)
    return precision(window, at_least=at_least, confidence=CONFIDENCE).level


def mapie(grid: Callable[[Floats, tuple[Candidate, ...]], Floats], method: str) -> Any:
    """Return a function that chooses MAPIE's threshold on a grid, by a way to control all tests."""

    def threshold(p: Floats, label: Floats, among: tuple[Candidate, ...], at_least: float) -> float | None:
        controller = BinaryClassificationController(
            lambda X: np.column_stack([1 - X[:, 0], X[:, 0]]),
            "precision",
            at_least,
            CONFIDENCE,
            list_predict_params=grid(p, among),
            fwer_method=method,
        )
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # it warns of each threshold that nobody passes
            controller.calibrate(p[:, None], label.astype(int))
        if controller.best_predict_param is None:
            return None
        # The loosest threshold that it calls valid; its own choice is the one with the best recall.
        return float(np.min(controller.valid_predict_params))

    return threshold


def percents(p: Floats, among: tuple[Candidate, ...]) -> Floats:
    """MAPIE's own grid: every percent from 0 to 99."""
    return np.linspace(0, 0.99, 100)


def trimmed(p: Floats, among: tuple[Candidate, ...]) -> Floats:
    """The same without the thresholds that fewer than ten leads pass."""
    grid = np.linspace(0, 0.99, 100)
    return grid[(p[:, None] >= grid).sum(axis=0) >= 10]


def same(p: Floats, among: tuple[Candidate, ...]) -> Floats:
    """The candidates of propense, strict to loose, from where ten leads pass."""
    grid = np.array([candidate.level for candidate in among])
    return grid[(p[:, None] >= grid).sum(axis=0) >= 10]


CHOICES: dict[str, Any] = {
    "propense": ours,
    "MAPIE, as it comes": mapie(percents, "bonferroni_holm"),
    "MAPIE, grid trimmed": mapie(trimmed, "bonferroni_holm"),
    "MAPIE, our candidates, Holm": mapie(same, "bonferroni_holm"),
    "MAPIE, our candidates, fixed sequence": mapie(same, "fixed_sequence"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 1000, 5000])
    parser.add_argument("--at-least", type=float, nargs="+", default=[0.2, 0.3])
    given = parser.parse_args()
    world = np.sort(expit(margins(np.random.default_rng(1), 1_000_000)))[::-1]
    true = np.cumsum(world) / np.arange(1, len(world) + 1)
    print("| leads | asked | by | a level | false | MQLs | ms |\n|---|---|---|---|---|---|---|")
    for size in given.sizes:
        for at_least in given.at_least:
            for name, choose in CHOICES.items():
                print(_row(name, choose, size, at_least, given.draws, world, true), flush=True)


def _row(name: str, choose: Any, size: int, at_least: float, draws: int, world: Floats, true: Floats) -> str:
    rng = np.random.default_rng(0)  # the same draws for each
    levels, spent = [], 0.0
    for _ in range(draws):
        among = candidates(margins(rng, 2000), expit)
        p = expit(margins(rng, size))
        label = (rng.random(size) < p).astype(float)
        began = time.perf_counter()
        levels.append(choose(p, label, among, at_least))
        spent += time.perf_counter() - began
    found = [level for level in levels if level is not None]
    passing = np.array([np.searchsorted(-world, -level, side="right") for level in found], dtype=int)
    false = sum(bool(n and true[n - 1] < at_least) for n in passing)
    return (
        f"| {size:,} | {at_least:.0%} | {name} | {len(found) / draws:.0%} | {false / draws:.1%} "
        f"| {passing.sum() / len(world) / draws:.1%} | {1000 * spent / draws:.0f} |"
    )


if __name__ == "__main__":
    main()
