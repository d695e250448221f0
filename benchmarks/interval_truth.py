"""Does the 90 % interval hold the true probability? Measured where the truth is known: on the simulated CRM.

    python benchmarks/interval_truth.py                        # some sizes and seeds, about ten minutes
    python benchmarks/interval_truth.py --leads 4000 --seeds 0 1 2

Each row is one simulated CRM, trained the whole way. On the untouched test window it shows the mean
propensity beside the mean truth, and the share of snapshots whose true probability lies between
`propensity_low` and `propensity_high`: of all of them, by tenth of the propensity, and its mean width.
The `together` row of a size is over the snapshots of all its seeds. What is promised: 85 to 95 %.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd

from models.learning import Examples, learn
from pipeline import featuring
from pipeline.configuring import read_config
from pipeline.preparation import prepare
from pipeline.simulation import simulate
from pipeline.simulation.truth import win_probability
from pipeline.source.dataset import load
from pipeline.template import write_simulated
from pipeline.train import choices, decision_share

TENTHS = 10


def measured(leads: int, seed: int, folder: Path) -> pd.DataFrame:
    """Return the test snapshots of one simulated CRM with their truth."""
    summary = simulate(leads, seed, folder)
    write_simulated(folder)
    config = read_config(folder / "propense.toml").model_copy(update={"root": folder})
    dataset = load(config, summary.ended.replace(tzinfo=None))
    prepared = prepare(dataset)
    vocabulary = featuring.learn_vocabulary(dataset, prepared, featuring.settings(config))
    features = featuring.features_of(dataset, prepared.snapshots, vocabulary)
    assert prepared.bounds is not None
    window = (prepared.bounds.decision, prepared.bounds.build_until)
    examples = Examples(features, prepared.keys, None, decision_share(prepared), window)
    found = learn(examples, vocabulary, featuring.about(config), choices(config)).predictions
    test = found[found["part"] == "test"]
    truth = win_probability(folder, test[["lead_id", "as_of"]], timedelta(days=90))
    inside = (test["propensity_low"] <= truth) & (truth <= test["propensity_high"])
    return test.assign(truth=truth, inside=inside, tenth=tenths(test["propensity"]))


def tenths(propensity: pd.Series) -> pd.Series:
    """Return the tenth of each propensity, 1 to 10, of equal size."""
    return pd.qcut(propensity.rank(method="first"), TENTHS, labels=False) + 1


def row(name: str, test: pd.DataFrame) -> str:
    """Return one line of the table."""
    width = (test["propensity_high"] - test["propensity_low"]).mean()
    by_tenth = " ".join(f"{share:4.0%}" for share in test.groupby("tenth")["inside"].mean())
    return (
        f"{name:>18} {len(test):7,} {test['propensity'].mean():6.3f} {test['truth'].mean():6.3f} "
        f"{test['inside'].mean():6.1%} {width:6.3f}   {by_tenth}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leads", type=int, nargs="+", default=[2500, 4000, 8000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    given = parser.parse_args()
    print(f"{'leads/seed':>18} {'rows':>7} {'mean':>6} {'truth':>6} {'inside':>6} {'width':>6}   by tenth")
    for leads in given.leads:
        parts = []
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as folder:
                parts.append(measured(leads, seed, Path(folder) / "crm"))
            print(row(f"{leads:,}/{seed}", parts[-1]), flush=True)
        print(row(f"{leads:,} together", pd.concat(parts)), flush=True)


if __name__ == "__main__":
    main()
