"""How much of what is wrong in a simulated CRM does hygiene find, and how much of what it finds is wrong?

    PYTHONPATH=. python benchmarks/hygiene.py [--leads 8000] [--seeds 0 1 2]

The simulated CRM writes the truth beside its tables; nothing in the product reads it. Duplicates are
counted as pairs (duplicate, the lead it repeats). A person who comes back after the first lead was
closed is recognised, but keeps a lead of their own: the second line counts the merged ones alone. Bots
are leads whose mails a gateway clicks, counted among those that were sent a mail: before its first
mail nothing tells a gateway. Spam is not a measure: the simulated spam differs from honest leads in
nothing that a CRM could see.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pandas as pd

from pipeline.configuring import read_config
from pipeline.simulation import simulate
from pipeline.source.dataset import Dataset, load
from pipeline.template import write_simulated

NOW = datetime(2026, 11, 1)


def measured(leads: int, seed: int) -> tuple[pd.DataFrame, float]:
    """Return found, true and right counts of each measure, and the seconds that loading took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "crm"
        simulate(leads, seed, folder)
        write_simulated(folder)
        truth = pd.read_parquet(folder / "truth" / "hygiene.parquet")
        marketing = pd.read_parquet(folder / "marketing.parquet", columns=["lead_id", "kind"])
        began = time.perf_counter()
        dataset = load(read_config(folder / "propense.toml"), NOW)
        seconds = time.perf_counter() - began
    mailed = set(marketing.loc[marketing["kind"] == "email_sent", "lead_id"])
    return compared(dataset, truth, mailed), seconds


def compared(dataset: Dataset, truth: pd.DataFrame, mailed: set[str]) -> pd.DataFrame:
    """Return found, true and right counts, one row a measure."""
    cleaned = dataset.hygiene
    merged = pairs(cleaned.removed[cleaned.removed["reason"] == "duplicate"])
    came_back = pairs(cleaned.came_back.rename(columns={"earlier_id": "survivor_id"}))
    duplicates = pairs(truth[truth["flaw"] == "duplicate"])

    def of(flaw: str) -> set[str]:
        return set(truth.loc[truth["flaw"] == flaw, "lead_id"])

    found = {
        "duplicates, recognised": (merged | came_back, duplicates),
        "duplicates, merged": (merged, duplicates),
        "tests": (set(cleaned.removed.loc[cleaned.removed["reason"] == "test", "lead_id"]), of("test")),
        "bots": (set(cleaned.bot_leads), of("bot") & mailed),
    }
    return pd.DataFrame(
        {name: (len(got), len(true), len(got & true)) for name, (got, true) in found.items()},
        index=["found", "true", "right"],
    ).T


def pairs(table: pd.DataFrame) -> set[tuple[str, str]]:
    return set(table[["lead_id", "survivor_id"]].itertuples(index=False, name=None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--leads", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    print("| seed | measure | found | true | right | precision | recall |")
    print("|---|---|---:|---:|---:|---:|---:|")
    times = []
    for seed in given.seeds:
        table, seconds = measured(given.leads, seed)
        times.append(seconds)
        for name, row in table.iterrows():
            precision, recall = (
                row["right"] / row[of] if row[of] else float("nan") for of in ("found", "true")
            )
            print(
                f"| {seed} | {name} | {row['found']} | {row['true']} | {row['right']} "
                f"| {precision:.1%} | {recall:.1%} |"
            )
    print(f"\n{given.leads:,} leads; reading and cleaning took {sum(times) / len(times):.1f} s a seed.")


if __name__ == "__main__":
    main()
