"""How strong a column is on the training part: alone, by its gaps, by pure values, beside the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.past import attribute_column
from models.separation import (
    MISSING,
    PURELY_WON,
    Codes,
    Pure,
    auc_alone,
    lower_bound,
    pure_values,
    what_each_adds,
)
from pipeline.guard.material import Material, Training
from pipeline.guard.verdicts import Evidence, Number

# Behaviour and firmography of real leads rarely reach this alone; a leak, and a very good column, do.
STRONG = 0.80
# No honest column separates so well; with fewer wins luck may.
PERFECT = 0.99
PERFECT_WINS = 30
# Whether something is filled in should hardly know the outcome.
STRONG_GAPS = 0.65
# Pure values are worth a word when they hold so much of all wins, or of all others.
PURE_WINS = 0.10
PURE_OTHERS = 0.30
# What one column more may add to all others before it is worth a word.
ADDS = 0.05
CANDIDATES = 5
WORTH_TRYING = 0.70
MOST_FOR_ADDING = 6_000
# Filled for the won only: so many leads, and so sure that at least nine in ten of any more would be won.
ONLY_WON = 0.98
ONLY_WON_LEADS = 20
ONLY_WON_SURELY = 0.90
# Where most leads win anyway, a column of won leads only is nothing special.
MOST_BASE_RATE = 0.5


@dataclass(frozen=True)
class Column:
    """One column at the training snapshots (n,), as codes."""

    name: str
    codes: Codes
    code: NDArray[np.int64]
    auc: float
    auc_gaps: float


def columns_of(material: Material) -> tuple[list[Column], list[Column]]:
    """Return the attributes, and the kinds, as columns of the training part with what each separates."""
    training = material.training
    attributes = [
        _column(a.name, training.attributes[attribute_column(a.name)], training) for a in material.attributes
    ]
    kinds = [_column(str(kind), training.kinds[kind], training) for kind in training.kinds.columns]
    return attributes, kinds


def _column(name: str, values: pd.Series, training: Training) -> Column:
    codes = Codes.fit(values)
    code = codes.of(values)
    there = (code != MISSING).astype(np.int64)
    gaps = (
        0.5
        if there.min(initial=1) == there.max(initial=0)
        else auc_alone(there, training.won, training.fold, 2)
    )
    return Column(name, codes, code, auc_alone(code, training.won, training.fold, codes.size), gaps)


def strength(column: Column, training: Training, *, dated: bool) -> list[Evidence]:
    """Return the evidence of one column's strength; with none, its plain numbers.

    Strength of a `dated` column, whose values were known before the snapshots, is never perfect.
    """
    found = []
    wins = int(training.keys.loc[training.won == 1, "lead_id"].nunique())
    said = f"tells won from others with an AUC of {column.auc:.3f} alone ({wins:,} wins in the training part)"
    numbers: dict[str, Number] = {"auc": column.auc, "auc_of_missing": column.auc_gaps, "wins": wins}
    if column.auc >= PERFECT and wins >= PERFECT_WINS and not dated:
        found.append(Evidence("separates_perfectly", f"{said}: no honest column is so good", numbers))
    elif column.auc >= STRONG:
        found.append(Evidence("separates", said, numbers))
    if column.auc_gaps >= STRONG_GAPS:
        words = f"tells won from others by being filled in or not (AUC {column.auc_gaps:.3f})"
        found.append(Evidence("missingness_separates", words, numbers))
    found += _purity(column, training)
    return found or [Evidence("numbers", said, numbers)]


def _purity(column: Column, training: Training) -> list[Evidence]:
    once, won = training.once, training.won
    code, label = column.code[once], won[once]
    pure = pure_values(code, label, column.codes.size)
    lead_wins, others = max(int(label.sum()), 1), max(int((label == 0).sum()), 1)
    of_won = [p for p in pure if p.won >= PURELY_WON * p.rows]
    of_others = [p for p in pure if p.won < PURELY_WON * p.rows]
    covered = sum(p.won for p in of_won) / lead_wins
    covered_others = sum(p.rows - p.won for p in of_others) / others
    # That a value is always lost is worth a word only where it is not most of the table.
    if covered >= PURE_WINS:
        return [_pure_evidence(column, of_won[0], covered, "wins")]
    if covered_others >= PURE_OTHERS and column.auc >= WORTH_TRYING:
        return [_pure_evidence(column, of_others[0], covered_others, "leads that were not won")]
    return []


def _pure_evidence(column: Column, pure: Pure, covered: float, of: str) -> Evidence:
    words = (
        f"has values that are nearly pure: with {column.codes.name(pure.code)}, {pure.won:,} of "
        f"{pure.rows:,} leads were won; such values hold {covered:.0%} of the {of}"
    )
    numbers = {"rows": pure.rows, "won": pure.won, "covered": covered, "chance": pure.chance}
    return Evidence("pure_values", words, numbers)


def only_won(material: Material, column: str) -> Evidence | None:
    """Return the evidence that an attribute without history is filled for leads that were won alone.

    Asked only where nobody is undecided now, so that nobody can show its filling to be honest.
    """
    filled = material.leads[column].notna()
    return only_won_leads(material, filled.to_numpy(bool), "is filled")


def only_won_leads(material: Material, there: NDArray[np.bool_], verb: str) -> Evidence | None:
    """Return the evidence that the leads marked `there`, of the training part, were won alone."""
    of_training = material.leads["training"].to_numpy(bool)
    won = material.leads["won"].to_numpy(bool)[of_training]
    marked = there[of_training]
    rows, wins = int(marked.sum()), int((marked & won).sum())
    base = float(won.mean()) if len(won) else 1.0
    enough = rows >= ONLY_WON_LEADS and lower_bound(wins, rows) >= ONLY_WON_SURELY
    if not enough or wins < ONLY_WON * rows or base > MOST_BASE_RATE:
        return None
    words = (
        f"{verb} for {rows:,} leads of the training part, of which {wins:,} were won, where {base:.0%} "
        "of all are"
    )
    return Evidence("only_won", words, {"rows": rows, "won": wins, "base_rate": base})


def additions(columns: list[Column], training: Training, excluded: frozenset[str]) -> dict[str, Evidence]:
    """Return the evidence on the strongest columns that add much to all the others together.

    Excluded columns are no part of the others: beside one leak another adds nothing.
    """
    kept = [c for c in columns if c.name not in excluded and np.isfinite(c.auc)]
    strongest = sorted(kept, key=lambda c: -c.auc)[:CANDIDATES]
    candidates = [kept.index(c) for c in strongest if c.auc >= WORTH_TRYING]
    if not candidates or len(kept) < 2:
        return {}
    every = max(1, -(-len(training.keys) // MOST_FOR_ADDING))
    rows = training.fold * 0 + np.arange(len(training.keys)) % every == 0
    matrix = np.column_stack([c.code[rows].astype(float) for c in kept])
    categories = [place for place, c in enumerate(kept) if c.codes.levels is not None]
    added = what_each_adds(matrix, training.won[rows], training.fold[rows] % 3, categories, candidates)
    found = {}
    for place, (whole, without) in added.items():
        if whole - without > ADDS:
            words = (
                f"adds {whole - without:.3f} to the AUC of all other columns ({without:.3f} to {whole:.3f})"
            )
            numbers = {"with": whole, "without": without}
            found[kept[place].name] = Evidence("adds", words, numbers)
    return found
