"""The leak guard's judgement of every attribute, kind and table, and a dataset without what it excludes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ConfigurationError, listed, nearest
from features.past import attribute_column
from pipeline.config import Overrule
from pipeline.guard.filled_tables import Filled, filled_tables
from pipeline.guard.material import Material, gather
from pipeline.guard.peers import Peers
from pipeline.guard.strength import Column, additions, columns_of, only_won, only_won_leads, strength
from pipeline.guard.timing import follow_the_future, grow_with_time, judged_kinds, kinds_with_the_outcome
from pipeline.guard.vanishing import Past, vanishes
from pipeline.guard.verdicts import PROOFS, Evidence, Judgement, Subject, Verdict
from pipeline.preparation import Prepared
from pipeline.source.dataset import Dataset

Found = dict[str, list[Evidence]]


def judge(dataset: Dataset, prepared: Prepared) -> Judgement:
    """Judge every attribute, kind and table of a dataset by its training part and by times.

    Parameters
    ----------
    dataset
        As it was read; ``config.guard`` says whether to judge at all, and what the user knows better.
    prepared
        Its labelled snapshots; labels of the training part alone are used.

    Raises
    ------
    ConfigurationError
        ``[guard] overrule`` names something that was not judged.
    """
    if not dataset.config.guard.on:
        return Judgement((), on=False)
    material = gather(dataset, prepared)
    past = _past(material)
    columns, kind_columns = columns_of(material)
    attributes = _attributes(material, columns, past)
    kinds = _kinds(material, kind_columns, past) if material.timed else {}
    tables = filled_tables(material)
    judged_tables = {table.name: _table(material, table, past) for table in tables}
    for table in tables:
        _pass_on(table, judged_tables[table.name], attributes, kinds)
    excluded = frozenset(n for found in (attributes, kinds) for n, es in found.items() if _proven(es))
    for name, evidence in additions(columns + kind_columns, material.training, excluded).items():
        (attributes if name in attributes else kinds)[name].append(evidence)
    by_subject: dict[Subject, Found] = {"attribute": attributes, "kind": kinds, "table": judged_tables}
    verdicts = [
        Verdict.of(s, name, evidence) for s, found in by_subject.items() for name, evidence in found.items()
    ]
    return Judgement.of(_overruled(verdicts, tables, dataset.config.guard.overrule))


def _past(material: Material) -> Past | None:
    """Return the undecided leads of past days and of now, or None where there are too few of them."""
    if material.looks is None:
        return None
    past = Past(material.looks, Peers(*material.born_and_decided, material.looks.lead[material.looks.is_now]))
    return past if past.enough else None


def _proven(evidence: list[Evidence]) -> bool:
    return any(e.test in PROOFS for e in evidence)


def _attributes(material: Material, columns: list[Column], past: Past | None) -> Found:
    found: Found = defaultdict(list)
    later = [follow_the_future(material), grow_with_time(material)]
    for attribute, column in zip(material.attributes, columns, strict=True):
        evidence = found[attribute.name]
        if not attribute.checked:
            evidence += [of[attribute.name] for of in later if attribute.name in of]
            evidence += _provenance(material, attribute_column(attribute.name), past)
        evidence += strength(column, material.training, dated=attribute.checked)
    return found


def _provenance(material: Material, column: str, past: Past | None) -> list[Evidence]:
    of_won = only_won(material, column)
    if past is None:
        return [of_won] if of_won is not None and material.timed else []
    today = material.leads[column]
    values = today.iloc[past.looks.lead].reset_index(drop=True)
    proof = vanishes(past, values, of_leads=today, only_won=of_won is not None)
    return [proof] if proof is not None else []


def _kinds(material: Material, columns: list[Column], past: Past | None) -> Found:
    found: Found = {kind: [] for kind in judged_kinds(material)}
    for kind, evidence in kinds_with_the_outcome(material).items():
        found[kind].append(evidence)
    for kind, counts in material.kind_counts.items():
        if past is None:
            break
        there = np.zeros((len(material.leads), len(material.days)), dtype=bool)
        there[counts.index.to_numpy()] = counts.to_numpy() > 0
        found[kind] += _vanished_rows(there, past) or _of_won_leads(material, there)
    for column in columns:
        found[column.name] += strength(column, material.training, dated=False)
    return found


def _of_won_leads(material: Material, there: NDArray[np.bool_]) -> list[Evidence]:
    """Return the doubt about a kind of won leads alone: dated before their wins, it proves nothing."""
    found = only_won_leads(material, there[:, -1], "occurs")
    return [] if found is None else [replace(found, test="pure_values")]


def _vanished_rows(there: NDArray[np.bool_], past: Past, *, only_won: bool = False) -> list[Evidence]:
    """Return the evidence that rows (leads, days or 1) vanish among the leads undecided now."""
    looks = past.looks
    day = looks.day if there.shape[1] > 1 else np.zeros_like(looks.day)
    values, today = (pd.Series(rows.astype(float)) for rows in (there[looks.lead, day], there[:, -1]))
    proof = vanishes(past, values, of_leads=today, rows=True, only_won=only_won)
    return [proof] if proof is not None else []


def _table(material: Material, table: Filled, past: Past | None) -> list[Evidence]:
    """Return the evidence on a table's rows: of won leads alone, and of none that are undecided."""
    ever = table.there[:, -1]
    of_won = only_won_leads(material, ever, "has rows")
    if of_won is None:
        rows = int(ever.sum())
        return [Evidence("numbers", f"has rows for {rows:,} of {len(ever):,} leads", {"leads": rows})]
    if past is None:
        return [of_won]
    gone = _vanished_rows(table.there, past, only_won=True)
    # Undecided leads that have rows in it show that the table is filled before the outcome.
    return [of_won, *gone] if gone else [replace(of_won, test="pure_values")]


def _pass_on(table: Filled, evidence: list[Evidence], attributes: Found, kinds: Found) -> None:
    """Exclude all that is in an excluded table."""
    if not _proven(evidence):
        return
    reason = Evidence("in_excluded_table", f"is in '{table.name}', which is filled for won leads alone", {})
    for names, found in ((table.attributes, attributes), (table.kinds, kinds)):
        for name in names:
            found[name].append(reason)


def _overruled(verdicts: list[Verdict], tables: list[Filled], rules: list[Overrule]) -> list[Verdict]:
    """Apply what the user knows better; a table's rule holds for its members that have none of their own."""
    known = sorted({v.name for v in verdicts})
    strange = [r.name for r in rules if r.name not in known]
    if strange:
        hints = [h for h in (nearest(name, known) for name in strange) if h]
        raise ConfigurationError(
            f"[guard] overrule names {listed(map(repr, strange))}, which the guard has not judged.",
            allowed=listed(known, 40),
            todo=" ".join(hints) or "`propense check` shows the names of all that is judged",
        )
    own = {r.name: r for r in rules}
    through: dict[tuple[Subject, str], Overrule] = {}
    for table in tables:
        if table.name in own:
            through |= {("attribute", n): own[table.name] for n in table.attributes}
            through |= {("kind", n): own[table.name] for n in table.kinds}
    return [_with_rule(v, own.get(v.name), through.get((v.subject, v.name))) for v in verdicts]


def _with_rule(verdict: Verdict, own: Overrule | None, of_table: Overrule | None) -> Verdict:
    if own is not None:
        return verdict.overrule(own.verdict == "keep", own.reason)
    if of_table is None:
        return verdict
    proofs = {e.test for e in verdict.evidence} & PROOFS
    # To keep a table is not to keep a column in it that is a leak for a reason of its own.
    if of_table.verdict == "keep" and proofs - {"in_excluded_table"}:
        return verdict
    return verdict.overrule(of_table.verdict == "keep", of_table.reason)


def without(dataset: Dataset, judgement: Judgement) -> Dataset:
    """Return the dataset without what the judgement leaves out.

    Its attributes are no longer declared, so no feature asks for them; its kinds are no longer among
    what features see, ``tables.activities``, and stay in ``activities_all``.
    """
    return dropped(dataset, judgement.attributes_left_out(), judgement.kinds_left_out())


def dropped(dataset: Dataset, attributes: frozenset[str], kinds: frozenset[str]) -> Dataset:
    """Return the dataset without these attributes and kinds; see `without`."""
    tables = dataset.tables
    kept = tuple(a for a in tables.attributes if a.name not in attributes)
    seen = tables.activities
    activities = seen.filter(seen.kind.notin(sorted(kinds))) if kinds else seen
    return replace(dataset, tables=replace(tables, attributes=kept, activities=activities))
