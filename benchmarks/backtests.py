"""Roll the origin through a simulated CRM and the public sets, and print what was promised and what came.

    PROPENSE_DATA=<folder with bpic2012/, ...> python benchmarks/backtests.py [--output DIR] [NAME ...]

Prints Markdown: fold by fold the promise, the realised share with its exact 90 % interval and whether it
held; then what each policy found with the same number of calls each night.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import PropenseError
from pipeline.backtest.run import backtest
from pipeline.backtest.words import NAMES as POLICIES
from pipeline.config import Backtest, Config
from pipeline.configuring import read_config
from pipeline.simulation import simulate
from pipeline.template import write_simulated

ROOT = Path(__file__).resolve().parents[1]
SIMULATED = "simulated"
NAMES = (SIMULATED, "bpic2012", "olist", "bank")
# The short histories take an origin at every scoring date; the others spread what there is.
EVERY = {"bpic2012": 1}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--output", type=Path, help="keep the results here, and the finished folds")
    parser.add_argument("--leads", type=int, default=20_000, help="of the simulated CRM")
    parser.add_argument("--jobs", type=int, default=2, help="folds at a time")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.now(UTC).replace(tzinfo=None)
    print(f"Measured on {now:%Y-%m-%d} at commit {commit or 'unknown'} with `make backtests`.\n")
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.names:
            folder = (arguments.output or Path(scratch)) / name
            start = time.perf_counter()
            config = configuration(name, folder, arguments.leads)
            account = backtest(config, now, folder, tell, arguments.jobs)
            print(report(name, account, time.perf_counter() - start))


def tell(message: str) -> None:
    print(f"… {message}", file=sys.stderr)


def configuration(name: str, folder: Path, leads: int) -> Config:
    """Return a data set's configuration, with as many origins as its history bears."""
    if name == SIMULATED:
        crm = folder / "crm"
        if not crm.exists():
            crm.mkdir(parents=True)
            simulate(leads, 0, crm)
            write_simulated(crm)
        return read_config(crm / "propense.toml").model_copy(update={"root": crm.resolve()})
    config = read_config(ROOT / "data" / "examples" / f"{name}.toml")
    if name not in EVERY:
        return config
    return config.model_copy(update={"backtest": Backtest(folds=config.backtest.folds, every=EVERY[name])})


def report(name: str, account: dict[str, Any], seconds: float) -> str:
    """Return one data set's backtest as Markdown."""
    return "\n\n".join(
        [
            f"**{name}** ({len(account['folds'])} folds, {seconds:.0f} s)",
            folds_table(account),
            policies_table(account),
            account["sentence"],
            *account["words"],
            "",
        ]
    )


def folds_table(account: dict[str, Any]) -> str:
    lines = [
        "| origin | wins trained on | AUC | promised | MQLs | converted | realised (exact 90 %) | held "
        "| MQLs a week: estimated | realised |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for fold in account["folds"]:
        promised, realised = fold["promised"], fold["realised"]
        volume = fold["volume"] or {"estimated": None, "realised": None}
        cells = [
            fold["origin"],
            f"{fold['windows']['train']['won']:,}",
            share(fold["ranking"]["auc"]["propense"]["value"], "{:.3f}"),
            "none" if promised is None else f"{share(promised['promised'])} {promised['what']}",
            f"{realised['mqls']:,}",
            f"{realised['conversions']:,}",
            f"{share(realised['value'])} ({share(realised['low'])} to {share(realised['high'])})",
            fold["held"] or "—",
            share(volume["estimated"], "{:.1f}"),
            share(volume["realised"], "{:.1f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def policies_table(account: dict[str, Any]) -> str:
    lines = ["| with the same number of calls each night | calls | customers | share |", "|---|---|---|---|"]
    for name, found in account["comparison"].items():
        calls, customers = found["contacts"], found["customers"]
        reached = share(customers / calls if calls else None)
        lines.append(f"| {POLICIES[name]} | {calls:,} | {customers:,} | {reached} |")
    return "\n".join(lines)


def share(value: float | None, form: str = "{:.1%}") -> str:
    return "—" if value is None else form.format(value)


if __name__ == "__main__":
    try:
        main()
    except PropenseError as error:
        sys.exit(error.message)
