"""Is a promise true as often as it says? Measured where the truth is known: on the simulated CRM.

    python benchmarks/promise_truth.py                          # about five minutes
    python benchmarks/promise_truth.py --companies 1 --draws 100 --sizes 300

One model is trained and calibrated on a simulated company. The leads of others, simulated alike, that
are alive in the same decision window and replayed on the scoring calendar are the population. Each draw
takes a decision window of so many accounts from it, and the product's own code chooses each cutoff and
makes its promise. Snapshots of a lead, and leads of an account, depend on each other as in the CRM.

`false` counts the draws in which a promise was made that is not true: the share in the population is
smaller. By the definition of the confidence these may be 10 % of all draws, give or take chance.
`false by truth` compares with the mean of the known true probabilities instead of the population's outcomes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.bundle import Bundle
from models.certificates import Candidate, candidates, lower_bound, upper_bound
from models.crossings import BEFORE_DECISION, Crossings
from models.cutoffs import Cutoff, choose_cutoff
from models.decision_window import DecisionWindow
from models.learning import Choices, Examples, learn
from models.replay import Replay
from pipeline import featuring
from pipeline.configuring import read_config
from pipeline.preparation import Prepared, Timeline, bounds_of, timeline
from pipeline.simulation import simulate
from pipeline.simulation.truth import win_probability
from pipeline.source.dataset import Dataset, load
from pipeline.template import write_simulated
from pipeline.windows import Bounds

HORIZON = timedelta(days=90)
POLICIES: list[tuple[str, str, dict[str, Any]]] = [
    ("precision 10 %", "precision", {"at_least": 0.10}),
    ("precision 15 %", "precision", {"at_least": 0.15}),
    ("precision 20 %", "precision", {"at_least": 0.20}),
    ("precision 30 %", "precision", {"at_least": 0.30}),
    ("recall 40 %", "recall", {"at_least": 0.40}),
    ("recall 60 %", "recall", {"at_least": 0.60}),
    ("capacity", "capacity", {"per_week": 20.0}),
    ("capacity and 15 %", "capacity", {"per_week": 40.0, "at_least": 0.15}),
    ("value", "value", {"cost": 300.0, "value": 2400.0}),
    ("manual at 0.2", "manual", {"propensity": 0.2}),
]


@dataclass(frozen=True)
class World:
    """The population with its truth, and what was fixed before any draw."""

    snapshots: pd.DataFrame
    wins: pd.DataFrame
    bounds: Bounds
    candidates: tuple[Candidate, ...]
    predict: Any

    def realised(self) -> Replay:
        """Return the population as it was replayed."""
        now, before = self._parts()
        return Replay.of(now, earlier=before, wins=self.wins)

    def true(self) -> Replay:
        """Return the population with true probabilities in the place of labels."""
        now, before = self._parts()
        return Replay.of(now.assign(label=now["truth"]), earlier=before, wins=self.wins)

    def _parts(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        inside = self.snapshots["inside"]
        return self.snapshots[inside], self.snapshots[~inside]


@dataclass(frozen=True)
class Company:
    """A simulated CRM that was read, with all its matured snapshots."""

    folder: Path
    dataset: Dataset
    line: Timeline

    @classmethod
    def simulated(cls, leads: int, seed: int, folder: Path) -> Company:
        """Simulate it and read it."""
        summary = simulate(leads, seed, folder)
        write_simulated(folder)
        file = folder / "propense.toml"
        # Filled in after winning: the leak guard would leave it out, which is not what is measured here.
        file.write_text(file.read_text().replace(', "contract_type"', ""))
        config = read_config(file).model_copy(update={"root": folder})
        dataset = load(config, summary.ended.replace(tzinfo=None))
        return cls(folder, dataset, timeline(dataset))

    def prepared(self, windows: np.ndarray, bounds: Bounds) -> Prepared:
        """Return the snapshots that have a window."""
        keys = self.line.keys.assign(window=windows)
        keys = keys[keys["window"] != ""]
        chosen = featuring.select(self.dataset, self.line.snapshots, keys.index.to_list())
        return Prepared(chosen, keys, bounds, "time")


def build(leads: int, companies: int, seed: int, folder: Path) -> World:
    """Train on one simulated company, and score the leads of others that are simulated alike."""
    home = Company.simulated(leads, seed, folder / "home")
    keys = home.line.keys
    bounds = bounds_of(home.dataset, keys.loc[keys["age"] != "calendar", "as_of"])
    own, calendar = bounds.of(keys["as_of"]), (keys["age"] == "calendar").to_numpy()
    # The cutoff that this training chooses on its own decision window is of no interest.
    prepared = home.prepared(np.where(calendar == (own == "decision"), own, ""), bounds)
    config = home.dataset.config
    vocabulary = featuring.learn_vocabulary(home.dataset, prepared, featuring.settings(config))
    features = featuring.features_of(home.dataset, prepared.snapshots, vocabulary)
    examples = Examples(features, prepared.keys, None, 1.0, (bounds.decision, bounds.build_until))
    choices = Choices(members=2, cutoffs=[("manual", {"propensity": 0.2})])
    bundle = learn(examples, vocabulary, featuring.about(config), choices).bundle
    calibration = bundle.classifier.margin(features.loc[prepared.rows("calibration").index])
    fixed = candidates(calibration, bundle.calibrator.predict)
    parts = []
    for number in range(1, companies + 1):
        other = Company.simulated(leads, seed + number, folder / f"{number}")
        parts.append(population(other, bundle, bounds, f"{number} "))
        print(f"company {number} of {companies}", flush=True)
    snapshots, wins = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    return World(snapshots, wins, bounds, fixed, bundle.calibrator.predict)


def population(
    company: Company, bundle: Bundle, bounds: Bounds, prefix: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scored snapshots with their truth, and the wins, of all accounts alive in the window."""
    keys, wins = company.line.keys, company.line.wins
    inside = (bounds.of(keys["as_of"]) == "decision") & (keys["age"] == "calendar").to_numpy()
    before = (keys["as_of"] < bounds.decision).to_numpy() & (keys["age"] == "calendar").to_numpy()
    wins = wins[wins["won_at"].between(bounds.decision, bounds.build_until)]
    alive = {*keys.loc[inside, "group_id"], *wins["group_id"]}
    windows = np.select([inside, before & keys["group_id"].isin(alive)], ["decision", BEFORE_DECISION], "")
    prepared = company.prepared(windows, bounds)
    features = featuring.features_of(company.dataset, prepared.snapshots, bundle.vocabulary)
    margin = bundle.classifier.margin(features)
    table = prepared.keys.assign(margin=margin, propensity=bundle.calibrator.predict(margin))
    truth = win_probability(company.folder, table[["lead_id", "as_of"]], HORIZON)
    table = table.assign(truth=truth, inside=table["window"] == "decision")
    return (
        table.assign(group_id=prefix + table["group_id"], lead_id=prefix + table["lead_id"]),
        wins.assign(group_id=prefix + wins["group_id"], lead_id=prefix + wins["lead_id"]),
    )


class Draws:
    """Decision windows drawn from the population, accounts with replacement."""

    def __init__(self, world: World) -> None:
        self.world = world
        names = [*world.snapshots["group_id"], *world.wins["group_id"]]
        codes, groups = pd.factorize(np.array(names, dtype=object))
        self.groups = len(groups)
        of_rows, of_wins = codes[: len(world.snapshots)], codes[len(world.snapshots) :]
        self.rows, self.wins = _by_group(of_rows, self.groups), _by_group(of_wins, self.groups)
        # A lead drawn twice is two leads: numbers are faster to tell apart than names.
        leads = pd.factorize(np.array([*world.snapshots["lead_id"], *world.wins["lead_id"]], dtype=object))[0]
        columns = ["as_of", "opened_at", "margin", "propensity", "label", "inside"]
        self.table = world.snapshots[columns].assign(lead_id=leads[: len(of_rows)])
        self.won = pd.DataFrame({"lead_id": leads[len(of_rows) :], "won_at": world.wins["won_at"].to_numpy()})
        self.leads = int(leads.max()) + 1

    def window(self, size: int, rng: np.random.Generator) -> DecisionWindow:
        """Return a decision window of so many accounts."""
        chosen = rng.integers(self.groups, size=size)
        table, won = self._of(self.table, self.rows, chosen), self._of(self.won, self.wins, chosen)
        inside = table.pop("inside")
        now, before = table[inside].rename(columns={"opened_at": "created_at"}), table[~inside]
        bounds = self.world.bounds
        return DecisionWindow(
            crossings=Crossings.of(
                now, start=bounds.decision, end=bounds.build_until, share=size / self.groups, earlier=before
            ),
            replay=Replay.of(now, earlier=before, wins=won),
            candidates=self.world.candidates,
            predict=self.world.predict,
            horizon="90d",
        )

    def _of(self, table: pd.DataFrame, places: list[np.ndarray], chosen: np.ndarray) -> pd.DataFrame:
        parts = [places[group] for group in chosen]
        drawn = table.iloc[np.concatenate(parts)]
        turn = np.repeat(np.arange(len(chosen)), [len(part) for part in parts])
        return drawn.assign(group_id=turn, lead_id=drawn["lead_id"].to_numpy() + turn * self.leads)


def _by_group(codes: np.ndarray, groups: int) -> list[np.ndarray]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.searchsorted(codes[order], np.arange(1, groups)))


def outcomes(world: World, size: int, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield for each draw and policy what was promised and what is true."""
    rng = np.random.default_rng(seed)
    drawing, realised, true = Draws(world), world.realised(), world.true()
    for _ in range(draws):
        window = drawing.window(size, rng)
        for name, policy, parameters in POLICIES:
            cutoff = choose_cutoff(policy, window, **parameters)
            yield {"policy": name, "met": cutoff.level is not None, **_checked(cutoff, realised, true)}


def _checked(cutoff: Cutoff, realised: Replay, true: Replay) -> dict[str, Any]:
    promised = cutoff.promise or cutoff.evidence.get("best_promise")
    if promised is None:
        return {"promise": None, "false": False, "false_by_truth": False}
    margin, least = promised["margin"], promised["at_least"]
    if promised["what"] == "recall":
        units, caught = realised.caught(margin)
        share = by_truth = caught / units
    else:
        units, converted = realised.converted(margin)
        share, by_truth = converted / units, float(true.label[true.first(margin)].mean())
    return {"promise": least, "false": share < least, "false_by_truth": by_truth < least, "share": share}


def table(found: pd.DataFrame, size: int) -> str:
    """Return the lines of one size's table."""
    lines = []
    for name, rows in found.groupby("policy", sort=False):
        draws, false = len(rows), int(rows["false"].sum())
        made = rows.dropna(subset="promise")
        low, high = lower_bound(draws, false, 0.95), upper_bound(draws, false, 0.95)
        promised = f"{made['promise'].mean():.1%} | {made['share'].mean():.1%}" if len(made) else "- | -"
        lines.append(
            f"| {size:,} | {name} | {rows['met'].mean():.0%} | {rows['promise'].notna().mean():.0%} "
            f"| {promised} | {false / draws:.1%} ({low:.1%} to {high:.1%}) "
            f"| {rows['false_by_truth'].mean():.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leads", type=int, default=20000)
    parser.add_argument("--companies", type=int, default=4)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 1500])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = build(given.leads, given.companies, given.seed, Path(folder))
    units, accounts = world.realised().units, world.snapshots["group_id"].nunique()
    print(
        f"{given.companies} companies of {given.leads:,} leads; population {accounts:,} accounts, "
        f"{units:,} of them with a snapshot in the window, {len(world.wins):,} wins; {given.draws} draws.\n"
    )
    print("| accounts | policy | met | promised | mean promise | mean share | false (90 %) | by truth |")
    print("|---|---|---|---|---|---|---|---|")
    for size in given.sizes:
        print(table(pd.DataFrame(outcomes(world, size, given.draws, given.seed)), size), flush=True)


if __name__ == "__main__":
    main()
