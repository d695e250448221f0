"""Does the 90 % interval of expected revenue hold what comes in? Measured on simulated CRMs.

    python benchmarks/revenue.py                        # six companies, about ten minutes
    python benchmarks/revenue.py --leads 3000 --seeds 100 101

Each row is one origin of one company: the model trained on what had matured by then scores the leads open
that night, amounts are learned from the deals won before, and how far model and truth may be apart from the
model's decision window and the origins before it whose horizon had passed. Beside the interval stands what
came in within the horizon. `plain` is what propensities times the mean amount would have announced. What is
promised: nine of ten intervals hold what came in.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from models.forecast import Forecast, Outlook, forecast
from models.learning import learn
from pipeline import featuring
from pipeline.backtest.folds import plan
from pipeline.backtest.money import realised_deals
from pipeline.configuring import read_config
from pipeline.deals import amounts_before, segments_of, won_deals
from pipeline.guarding import guarded
from pipeline.learning_inputs import choices, examples_of
from pipeline.preparation import prepare
from pipeline.simulation import simulate
from pipeline.source.dataset import Dataset, load
from pipeline.template import write_simulated

HORIZON = pd.Timedelta(days=90)
# Scoring dates from one origin to the next, which are a week apart.
EVERY = 7


@dataclass(frozen=True)
class Row:
    """One origin: what was announced of its open leads, and what came."""

    name: str
    leads: int
    found: Forecast
    plain: float
    customers: int
    revenue: float
    spread: float

    @property
    def holds_revenue(self) -> bool:
        """Whether the revenue lies in its interval."""
        interval = self.found.revenue
        return interval is not None and interval.low <= self.revenue <= interval.high

    @property
    def holds_customers(self) -> bool:
        """Whether the number of customers lies in its interval."""
        return self.found.customers.low <= self.customers <= self.found.customers.high


def company(leads: int, seed: int, folds: int, members: int, folder: Path) -> list[Row]:
    """Simulate a company, roll through its history, and return its origins."""
    summary = simulate(leads, seed, folder)
    write_simulated(folder)
    config = read_config(folder / "propense.toml").model_copy(update={"root": folder})
    rolled = config.backtest.model_copy(update={"folds": folds, "every": EVERY})
    config = config.model_copy(update={"backtest": rolled})
    dataset = load(config, summary.ended.replace(tzinfo=None))
    dataset, _, _ = guarded(dataset, prepare(dataset))  # without what only the won have
    planned = plan(dataset)
    vocabulary = featuring.learn_vocabulary(dataset, planned.folds[0].prepared, featuring.settings(config))
    snapshots = featuring.select(dataset, planned.snapshots, planned.used)
    features = featuring.features_of(dataset, snapshots, vocabulary)
    light = replace(choices(config), members=members, threads=1)
    found, past = [], pd.DataFrame()
    for fold in planned.folds:
        of_fold = features.loc[fold.prepared.keys.index]
        examples = examples_of(fold.prepared, of_fold, None, config)
        seen = learn(examples, vocabulary, featuring.about(config), light).predictions
        seen = seen.assign(fold=fold.name, age=(seen["as_of"] - seen["opened_at"]) / HORIZON)
        origin = fold.nights[0]
        test = seen[seen["part"] == "test"]
        known = pd.concat([past, seen[seen["part"] == "decision"]])
        known = known[known["as_of"] + HORIZON <= origin]
        found.append(at_origin(dataset, f"{seed} {fold.name}", test[test["as_of"] == origin], known))
        past = pd.concat([past, test])
    return found


def at_origin(dataset: Dataset, name: str, now: pd.DataFrame, known: pd.DataFrame) -> Row:
    """Return the forecast of the leads open `now` beside what came, by what was `known` of the past."""
    origin, won = now["as_of"].min(), won_deals(dataset)
    amounts = amounts_before(dataset, origin)
    assert won is not None, "the simulated CRM has amounts"
    assert amounts is not None, "it has them from its first months on"
    outlook = Outlook.learned(known, by="fold")
    leads = now.assign(propensity=outlook.ageing.applied(now["propensity"], now["age"]))
    whole = forecast(
        leads, {"open": np.ones(len(now))}, outlook.spread, fate=outlook.fate, amounts=amounts,
        segments=segments_of(dataset, now[["lead_id", "as_of"]]),
    )["open"]  # fmt: skip
    came = realised_deals(won, now, origin)["amount"].sum()
    return Row(
        name, len(now), whole, float(now["propensity"].sum() * amounts.mean), int(now["label"].sum()),
        float(came), outlook.spread.typical,
    )  # fmt: skip


def line(row: Row) -> str:
    """Return one line of the table."""
    money, people = row.found.revenue, row.found.customers
    assert money is not None, "amounts are known"
    return (
        f"{row.name:>16} {row.leads:5,} {people.value:6.0f} {people.low:5.0f}–{people.high:<5.0f} "
        f"{row.customers:5} {'yes' if row.holds_customers else 'NO':>4} {money.value:10,.0f} "
        f"{money.low:10,.0f}–{money.high:<10,.0f} {row.revenue:10,.0f} "
        f"{'yes' if row.holds_revenue else 'NO':>4} {row.plain:10,.0f} {row.spread:5.2f}"
    )


def summary_lines(rows: list[Row]) -> str:
    """Return what all rows say together."""
    came = np.array([row.revenue for row in rows])
    value, plain = (
        np.array([row.found.revenue.value for row in rows if row.found.revenue]),
        np.array([row.plain for row in rows]),
    )

    def error(said: np.ndarray) -> str:
        apart = np.log(said / came)
        return f"{np.sqrt((apart**2).mean()):.2f} (on average {apart.mean():+.2f})"

    covered = sum(row.holds_revenue for row in rows)
    people = sum(row.holds_customers for row in rows)
    return (
        f"Revenue held by its interval: {covered} of {len(rows)} ({covered / len(rows):.0%}); customers: "
        f"{people} of {len(rows)} ({people / len(rows):.0%}).\nRoot mean square log ratio of "
        f"expected to realised revenue: {error(value)} with segments, {error(plain)} with the mean alone."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leads", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103, 104, 105])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--members", type=int, default=2)
    given = parser.parse_args()
    print(
        f"{'company origin':>16} {'leads':>5} {'custom':>6} {'interval':>11} {'came':>5} {'in':>4} "
        f"{'revenue':>10} {'interval':>21} {'came':>10} {'in':>4} {'plain':>10} spread"
    )
    rows: list[Row] = []
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            found = company(given.leads, seed, given.folds, given.members, Path(folder))
        rows += found
        print("\n".join(map(line, found)), flush=True)
    print(summary_lines(rows))


if __name__ == "__main__":
    main()
