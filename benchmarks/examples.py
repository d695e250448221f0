"""Train the public examples and print what they reach on the untouched test window.

    PROPENSE_DATA=<folder with bpic2012/, olist/, ...> python benchmarks/examples.py [--output DIR] [NAME ...]

Prints a Markdown table: each metric with its 90 % bootstrap interval by lead, for propense, a
logistic regression on the same features and rows, and the base rate; and the paired difference.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import PropenseError
from pipeline.configuring import read_config
from pipeline.train import train

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("bpic2012", "olist", "xeducation", "bank", "shoppers")
METRICS = {"auc": "AUC", "average_precision": "average precision", "log_loss": "log loss",
           "calibration_error": "calibration error", "lift_at_10": "lift in the top tenth"}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help="bpic2012, olist, ...")
    parser.add_argument("--output", type=Path, help="keep the results here")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.now(UTC).replace(tzinfo=None)
    print(f"Measured on {now:%Y-%m-%d} at commit {commit or 'unknown'} with `make examples`.\n")
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.names:
            folder = (arguments.output or Path(scratch)) / name
            config = read_config(ROOT / "data" / "examples" / f"{name}.toml")
            account = train(
                config, now, folder, lambda message: print(f"… {message}", file=sys.stderr)
            ).account
            print(table(name, account))


def table(name: str, account: dict[str, Any]) -> str:
    """Return one data set's results as Markdown."""
    test, window = account["test"], account["windows"]["test"]
    lines = [
        f"**{name}** (split: {account['split']}; test window: {window['leads']:,} leads, "
        f"{window['snapshots']:,} snapshots, {window['won']:,} leads won; "
        f"trained on {account['windows']['train']['won']:,} wins; calibration: "
        f"{account['calibration']['method']})\n",
        "| | propense | logistic regression | base rate | propense − logistic |",
        "|---|---|---|---|---|",
    ]
    for metric, label in METRICS.items():
        cells = [interval(test[metric][model]) for model in ("propense", "logistic", "base_rate")]
        lines.append(f"| {label} | {' | '.join(cells)} | {interval(account['difference'][metric], '+')} |")
    return "\n".join(lines) + "\n"


def interval(found: dict[str, float | None], sign: str = "") -> str:
    """Return ``0.772 (0.755 to 0.791)``."""
    if found["value"] is None:
        return "—"
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


if __name__ == "__main__":
    try:
        main()
    except PropenseError as error:
        sys.exit(error.message)
