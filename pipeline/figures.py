"""The figures of a training, for MLflow and the output folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

# Colours that a colour-blind reader can tell apart (Okabe and Ito, 2008), with a marker each.
STYLES = {
    "propense": ("#0072B2", "o", "propense"),
    "logistic": ("#E69F00", "s", "logistic regression"),
    "rules": ("#009E73", "^", "your points"),
}
BINS = 10
BEESWARM_ROWS = 2000


SPLITS = {
    "time": "test window, in time order",
    "group": "test leads drawn at random, not a later time",
    "row": "last rows of the table, no times known",
    "random": "test rows drawn at random, not a later time",
    "shipped": "decision window: no test window is left",
}


def draw_all(
    test: pd.DataFrame, contributions: pd.DataFrame, features: pd.DataFrame, split: str, folder: Path
) -> None:
    """Write ``reliability.png``, ``lift.png`` and ``beeswarm.png`` into a folder.

    Parameters
    ----------
    test
        Predictions of the test window: label, propensity, logistic, rules.
    contributions, features
        (n, p) of the test window, on the margin scale and as given to the model.
    split
        How the windows were made, or "shipped"; every figure says it.
    """
    said = SPLITS[split]
    _save(reliability, folder / "reliability.png", test, said)
    _save(lift, folder / "lift.png", test, said)
    beeswarm(contributions, features, said, folder / "beeswarm.png")


def _save(draw: Callable[[Axes, pd.DataFrame, str], None], path: Path, test: pd.DataFrame, said: str) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    draw(axes, test, said)
    figure.savefig(path, dpi=144)
    plt.close(figure)


def _models(test: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    columns = {"propense": "propensity", "logistic": "logistic", "rules": "rules"}
    return [(name, test[column]) for name, column in columns.items() if test[column].notna().all()]


def reliability(axes: Axes, test: pd.DataFrame, said: str) -> None:
    """Draw what was promised against what came, in tenths of equal size."""
    top = 0.0
    for name, predicted in _models(test):
        colour, marker, label = STYLES[name]
        tenth = predicted.rank(method="first", pct=True).mul(BINS).apply(np.ceil)
        means = pd.DataFrame({"predicted": predicted, "label": test["label"]}).groupby(tenth).mean()
        axes.plot(means["predicted"], means["label"], marker=marker, color=colour, label=label, lw=1.2)
        top = max(top, means.to_numpy().max())
    axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", label="exactly as promised")
    axes.set(
        xlim=(0, top * 1.08), ylim=(0, top * 1.08),
        xlabel="predicted propensity (mean of each tenth of the leads)",
        ylabel="share that converted within the horizon",
        title=f"Does the propensity hold?\n({said})",
    )  # fmt: skip
    axes.legend(frameon=False)


def lift(axes: Axes, test: pd.DataFrame, said: str) -> None:
    """Draw the share of conversions caught when the best leads are contacted first."""
    total = max(int(test["label"].sum()), 1)
    contacted = np.arange(len(test) + 1) / len(test)
    for name, predicted in _models(test):
        colour, _, label = STYLES[name]
        order = np.argsort(-predicted.to_numpy(), kind="stable")
        caught = np.r_[0, np.cumsum(test["label"].to_numpy()[order])] / total
        axes.plot(contacted, caught, color=colour, label=label, lw=1.6)
    axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", label="in any order")
    axes.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="share of the open leads contacted, best first",
        ylabel="share of conversions caught", title=f"What a contact list is worth\n({said})",
    )  # fmt: skip
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(frameon=False, loc="lower right")


def beeswarm(contributions: pd.DataFrame, features: pd.DataFrame, said: str, path: Path) -> None:
    """Draw the contributions of the strongest features, a dot a lead (SHAP beeswarm)."""
    rows = contributions.index[:: max(1, len(contributions) // BEESWARM_ROWS)]
    shown = features.loc[rows]
    codes = shown.apply(lambda c: c.cat.codes.astype(float) if c.dtype == "category" else c)
    with warnings.catch_warnings():  # shap still uses names that its own dependencies are retiring
        warnings.simplefilter("ignore")
        import shap  # slow to import, and only drawn from here

        explanation = shap.Explanation(
            values=contributions.loc[rows].to_numpy(),
            data=codes.to_numpy(dtype=float),
            feature_names=list(contributions.columns),
        )
        axes = shap.plots.beeswarm(explanation, max_display=15, show=False)
        axes.set_xlabel(f"moves the margin (log-odds of conversion; {said})")
        axes.figure.savefig(path, dpi=120, bbox_inches="tight")
        plt.close(axes.figure)
