"""Judge the leak guard: planted traps, planted honest columns, and the known leaks of public data sets.

    PROPENSE_DATA=<folder with bpic2012/, olist/, ...> python benchmarks/guard.py --leads 4000 --seeds 0 1 2

Prints Markdown: for each world what was caught, suspected and missed, and what was falsely accused;
each plant by world; then each known leak with its verdict. What is planted is in `planting`.
A world's plants are dealt into batches, so that they do not all hide each other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from guard_worlds import World, auc, read_world, with_open_rows
from planting import PLANTS, Plant, plant

from pipeline.config import Config, Entities, Hygiene
from pipeline.configuring import read_config
from pipeline.guard.judge import judge
from pipeline.preparation import Prepared, prepare
from pipeline.simulation import simulate
from pipeline.source.dataset import Dataset, load
from pipeline.template import write_simulated

ROOT = Path(__file__).resolve().parents[1]
SETS = ("bpic2012", "olist", "xeducation", "bank", "shoppers")
ORDER = ("clear", "suspect", "excluded")
CAUGHT = {"excluded": "caught", "suspect": "suspected", "clear": "missed"}
# What the data's own description says of these sets. The guard is not told.
KNOWN = {
    "xeducation": (
        "Tags", "Lead Quality", "Lead Profile", "Last Notable Activity", "Last Activity",
        "Asymmetrique Activity Index", "Asymmetrique Profile Index",
        "Asymmetrique Activity Score", "Asymmetrique Profile Score",
    ),
    "bank": ("duration",),
    "shoppers": ("PageValues",),
    "bpic2012": (
        "A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED",
        "O_ACCEPTED", "O_DECLINED", "O_CANCELLED",
    ),
    "olist": ("table olist/olist_closed_deals_dataset.csv", *(
        f"olist_closed_deals_dataset·{column}" for column in (
            "seller_id", "sdr_id", "sr_id", "business_segment", "lead_type", "lead_behaviour_profile",
            "has_company", "has_gtin", "average_stock", "business_type",
            "declared_product_catalog_size", "declared_monthly_revenue",
        )
    )),
}  # fmt: skip
LEAK_OF_THE_SIMULATED = "contract_type"  # filled in after winning, by the simulation itself


@dataclass(frozen=True)
class Judged:
    """One subject's verdict. `role` is "trap", "honest", "bystander" (was there already) or "leak"."""

    world: str
    role: str
    what: str
    verdict: str
    auc: float | None
    evidence: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--leads", type=int, default=4000, help="of each simulated CRM")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of the simulated CRMs")
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS, help="public sets to plant in")
    parser.add_argument("--batches", type=int, default=3, help="of plants in each world")
    parser.add_argument("--evidence", type=Path, help="write every verdict with its evidence to this CSV")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.now(UTC).replace(tzinfo=None)
    judged: list[Judged] = []
    with tempfile.TemporaryDirectory() as scratch:
        for world in worlds(arguments, Path(scratch), now):
            judged += judge_world(world, arguments.batches, Path(scratch), now)
    for name in arguments.sets:
        judged += judge_known(name, now)
    if arguments.evidence:
        pd.DataFrame(judged).to_csv(arguments.evidence, index=False)
    seeds = " ".join(map(str, arguments.seeds))
    print(f"Measured on {now:%Y-%m-%d} at commit {commit or 'unknown'} with "
          f"`python benchmarks/guard.py --leads {arguments.leads} --seeds {seeds}`.\n")  # fmt: skip
    print(by_world(judged), by_plant(judged, "trap"), by_plant(judged, "honest"), known(judged), sep="\n")


def worlds(arguments: argparse.Namespace, scratch: Path, now: datetime) -> Iterator[World]:
    """Yield the worlds to plant in, one at a time."""
    for seed in arguments.seeds:
        folder = scratch / f"simulated {seed}"
        simulate(arguments.leads, seed, folder)
        write_simulated(folder)
        config = read_config(folder / "propense.toml").model_copy(update={"root": folder})
        yield read_world(f"simulated, seed {seed}", without_hygiene(config), now, seed)
    for name in arguments.sets:
        world = read_world(name, example(name), now)
        yield world
        if name == "xeducation":
            yield with_open_rows(world)


def example(name: str) -> Config:
    return without_hygiene(read_config(ROOT / "data" / "examples" / f"{name}.toml"))


def without_hygiene(config: Config) -> Config:
    """Leave every row where it is: hygiene is measured elsewhere, and the guard must do without it."""
    off = Hygiene(duplicates=False, tests=False, bots=False, impossible=False)
    return config.model_copy(update={"hygiene": off})


def verdicts_of(config: Config, now: datetime) -> tuple[dict[str, tuple[str, str]], Prepared, Dataset]:
    """Return each subject's verdict and evidence by its name, for one project."""
    dataset = load(config, now)
    dataset.findings.raise_errors()
    prepared = prepare(dataset)
    found: dict[str, tuple[str, str]] = {}
    for verdict in judge(dataset, prepared).verdicts:
        name = verdict.name if verdict.subject != "table" else f"table {verdict.name}"
        found[name] = (verdict.verdict, verdict.words)
    return found, prepared, dataset


def judge_world(world: World, batches: int, scratch: Path, now: datetime) -> list[Judged]:
    """Judge a world as it is, then with its plants, batch by batch."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        found, _, _ = verdicts_of(plant(world, [], Path(folder), 0).config, now)
    leaks = {LEAK_OF_THE_SIMULATED} if world.name.startswith("simulated") else set()
    roles = {name: "leak" if name in leaks else "bystander" for name in found}
    judged = [Judged(world.name, role, name, *given(found, name)) for name, role in roles.items()]
    fitting = [p for p in PLANTS if p.fits(world)]
    for number in range(batches):
        batch = [p for honest in (False, True) for p in fitting if p.honest == honest][number::batches]
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            planted = plant(world, batch, Path(folder), seed=number)
            found, prepared, _ = verdicts_of(planted.config, now)
        for one in batch:
            name = planted.names[one.what]
            separates = _auc(planted.columns[name], prepared) if one.subject == "attribute" else None
            verdict, evidence = worst(found, name, one)
            judged.append(
                Judged(world.name, "honest" if one.honest else "trap", one.what, verdict, separates, evidence)
            )
    print(f"… {world.name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return judged


def given(found: dict[str, tuple[str, str]], name: str) -> tuple[str, float | None, str]:
    verdict, evidence = found[name]
    return verdict, None, evidence


def worst(found: dict[str, tuple[str, str]], name: str, one: Plant) -> tuple[str, str]:
    """Return the verdict on a plant, which may consist of a table and its columns or kinds.

    A trap of several parts is caught if its table is excluded, or each of its columns and kinds; an
    honest one is accused if any part of it is.
    """
    parts = {n: v for n, v in found.items() if name in n}
    tables = {n: v for n, v in parts.items() if n.startswith("table ")}
    if not parts:
        return "clear", "not judged"
    ranked = sorted(parts.values(), key=lambda v: ORDER.index(v[0]))
    if one.honest or len(parts) == 1:
        return ranked[-1]
    inner = [v for n, v in parts.items() if n not in tables]
    together = [min(inner, key=lambda v: ORDER.index(v[0]))] if inner else []
    return max([*tables.values(), *together], key=lambda v: ORDER.index(v[0]))


def _auc(column: pd.Series, prepared: Prepared) -> float:
    """Return how well a column alone separates the training snapshots."""
    rows = prepared.rows("train", "stopping")
    return auc(column.loc[rows["lead_id"]].reset_index(drop=True), rows["label"].reset_index(drop=True))


def judge_known(name: str, now: datetime) -> list[Judged]:
    """Judge a public set with its known leaks left in."""
    found, prepared, dataset = verdicts_of(revealed(name), now)
    judged, attributes = [], {a.name for a in dataset.tables.attributes}
    for leak in KNOWN[name]:
        verdict, evidence = found.get(leak, ("not read", "left out when the table is read"))
        separates = _attribute_auc(dataset, prepared, leak) if leak in attributes else None
        judged.append(Judged(name, "leak", leak, verdict, separates, evidence))
    others = [n for n in found if n not in KNOWN[name]]
    return judged + [Judged(name, "beside leaks", n, *given(found, n)) for n in others]


def _attribute_auc(dataset: Dataset, prepared: Prepared, name: str) -> float:
    table = dataset.tables.leads.select("lead_id", name).to_pandas()
    return _auc(table.set_index("lead_id")[name], prepared)


def revealed(name: str) -> Config:
    """Return an example's configuration with the leaks left in that its author had taken out."""
    config = example(name)
    changed: dict[str, object] = {"leads": config.leads.model_copy(update={"ignore": []})}
    if name == "bpic2012":
        assert config.outcomes is not None
        changed["outcomes"] = config.outcomes.model_copy(update={"activity_kinds": []})
    if name == "olist":
        deals = Entities(table="olist/olist_closed_deals_dataset.csv", key="mql_id", lead_key="mql_id")
        changed["entities"] = [deals]
    return config.model_copy(update=changed)


# --- tables ------------------------------------------------------------------------------------


def by_world(judged: list[Judged]) -> str:
    """Return how many of each role got which verdict, in each world."""
    lines = [
        "| world | traps | caught | suspected | missed "
        "| honest | clear | suspected | excluded | already there | clear | suspected | excluded |",
        "|---|" + "---:|" * 12,
    ]
    names = [n for n in dict.fromkeys(j.world for j in judged) if _of(judged, n, "bystander")]
    totals: Counter[tuple[str, str]] = Counter()
    for name in names:
        counts = Counter((j.role, j.verdict) for j in judged if j.world == name)
        totals += counts
        lines.append(_row(name, counts))
    return "\n".join([*lines, _row("**all**", totals)]) + "\n"


def _row(name: str, counts: Counter[tuple[str, str]]) -> str:
    cells = [name]
    for role in ("trap", "honest", "bystander"):
        numbers = [counts[role, verdict] for verdict in (ORDER[::-1] if role == "trap" else ORDER)]
        cells += [str(n) for n in (sum(numbers), *numbers)]
    return f"| {' | '.join(cells)} |"


def _of(judged: list[Judged], world: str, role: str) -> list[Judged]:
    return [j for j in judged if j.world == world and j.role == role]


def by_plant(judged: list[Judged], role: str) -> str:
    """Return each plant's verdict in each world; its AUC alone on the training snapshots beside it."""
    rows = [j for j in judged if j.role == role]
    names = list(dict.fromkeys(j.world for j in rows))
    lines = [f"| {role} | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    cells = {(j.what, j.world): j for j in rows}
    for one in PLANTS:
        if one.honest != (role == "honest"):
            continue
        texts = [_cell(cells.get((one.what, name))) for name in names]
        lines.append(f"| {one.what} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _cell(one: Judged | None) -> str:
    if one is None:
        return ""
    word = CAUGHT.get(one.verdict, one.verdict) if one.role in ("trap", "leak") else one.verdict
    bad = (one.role == "honest" and word == "excluded") or word == "missed"
    text = f"**{word}**" if bad else word
    return text if one.auc is None else f"{text} ({one.auc:.2f})"


def known(judged: list[Judged]) -> str:
    """Return the verdict on each known leak, and what was accused beside them."""
    lines = ["| set | known leak | verdict (its AUC alone) | evidence |", "|---|---|---|---|"]
    for j in judged:
        if j.role == "leak":
            lines.append(f"| {j.world} | {j.what.split('·')[-1]} | {_cell(j)} | {_short(j.evidence)} |")
    lines += ["", "| set | beside the leaks | clear | suspected | excluded |", "|---|---:|---:|---|---|"]
    for name in dict.fromkeys(j.world for j in judged if j.role == "beside leaks"):
        others = _of(judged, name, "beside leaks")
        accused = {v: ", ".join(j.what for j in others if j.verdict == v) or "none" for v in ORDER[1:]}
        clear = sum(j.verdict == "clear" for j in others)
        lines.append(f"| {name} | {len(others)} | {clear} | {accused['suspect']} | {accused['excluded']} |")
    return "\n".join(lines) + "\n"


def _short(text: str, most: int = 160) -> str:
    plain = text.replace("|", "/").replace("\n", " ")
    return plain if len(plain) <= most else plain[:most].rsplit(" ", 1)[0] + " …"


if __name__ == "__main__":
    main()
