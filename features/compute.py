"""From the past of snapshots to their features, in one pass over the activities."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.catalogue import catalogue
from features.declare import Aggregate, Feature
from features.errors import BundleError, listed
from features.past import Past
from features.reading import read_attributes
from features.tables import Attribute
from features.vocabulary import Vocabulary

# An aggregate over the activities of one kind, or of all kinds (None).
Need = tuple[int | None, Aggregate]


def feature_column(position: int) -> str:
    """Return the column of `compute`'s table that holds the feature at a position of the catalogue."""
    return f"f{position}"


def compute(past: Past, vocabulary: Vocabulary) -> ir.Table:
    """Return one row a snapshot: snapshot, and the features of the catalogue as f0, f1, ...

    Columns are numbered, for names hold kinds and attributes as users write them, and engines that
    ignore case would take two of them for one. Numbers and flags are float64; a category is the
    int64 position of its level. Missing is null.

    Raises
    ------
    BundleError
        An attribute that training had is not there now.
    """
    features = catalogue(vocabulary)
    read = read_attributes(past, _present(past, vocabulary), email=vocabulary.email)
    merged, columns = _merged(past, vocabulary, features)
    joined = read.left_join(merged, read.snapshot == merged.merged_snapshot)
    values = {
        feature_column(position): _value(feature, joined, columns)
        for position, feature in enumerate(features)
    }
    return joined.select(snapshot=joined.snapshot, **values)


def frame(past: Past, vocabulary: Vocabulary) -> pd.DataFrame:
    """Return the features of each snapshot.

    Returns
    -------
    DataFrame of shape (snapshots, features)
        Index: snapshot, ascending. Columns: feature names in the order of the catalogue, float64 for
        numbers and flags, categorical with the vocabulary's levels for categories.
    """
    found = compute(past, vocabulary).to_pyarrow().sort_by("snapshot")
    index = pd.Index(found["snapshot"].to_numpy(), dtype="int64", name="snapshot")
    columns = {}
    for position, feature in enumerate(catalogue(vocabulary)):
        values = found[feature_column(position)].cast("float64").to_numpy()
        if feature.type == "category":
            codes = np.where(np.isnan(values), -1, values).astype("int64")
            levels = pd.CategoricalDtype(list(feature.levels))
            columns[feature.name] = pd.Categorical.from_codes(codes, dtype=levels)
        else:
            columns[feature.name] = values
    return pd.DataFrame(columns, index=index)


def _present(past: Past, vocabulary: Vocabulary) -> list[Attribute]:
    there = {attribute.name: attribute for attribute in past.declared}
    missing = [known.name for known in vocabulary.attributes if known.name not in there]
    if missing:
        raise BundleError(
            f"attributes that the model was trained with are missing: {listed(missing)}",
            where="the leads to be scored",
            allowed="every attribute of training; a column may be empty, but has to be there",
            todo="add the columns, or train again without them",
        )
    return [known.declared for known in vocabulary.attributes]


def _merged(
    past: Past, vocabulary: Vocabulary, features: tuple[Feature, ...]
) -> tuple[ir.Table, dict[Need, str]]:
    """Aggregate by (snapshot, kind), then by snapshot; return the table and the column of each need."""
    needs = list(dict.fromkeys((feature.kind, need) for feature in features for need in feature.needs))
    columns = {need: f"n{place}" for place, need in enumerate(needs)}
    aggregates = list(dict.fromkeys(aggregate for _, aggregate in needs))
    partial = {aggregate: f"p{place}" for place, aggregate in enumerate(aggregates)}

    rows = past.pooled(vocabulary.kept_kinds)
    by_kind = rows.group_by("snapshot", "kind").agg(
        **{column: _aggregated(aggregate.of(rows), aggregate.how) for aggregate, column in partial.items()}
    )
    by_snapshot = by_kind.group_by(merged_snapshot="snapshot").agg(
        **{column: _over_kinds(by_kind, partial[need[1]], need) for need, column in columns.items()}
    )
    return by_snapshot, columns


def _over_kinds(by_kind: ir.Table, column: str, need: Need) -> ir.NumericValue:
    kind, aggregate = need
    if kind is None:
        return _aggregated(by_kind[column], aggregate.how)
    # There is one row a snapshot and kind: max only picks it. Many filtered sums are ten times as slow.
    return ibis.ifelse(by_kind.kind == kind, by_kind[column], ibis.null(by_kind[column].type())).max()


def _aggregated(value: ir.NumericValue, how: str) -> ir.NumericValue:
    return getattr(value, how)()


def _value(feature: Feature, joined: ir.Table, columns: dict[Need, str]) -> ir.Value:
    """Return the feature's formula over its needs; sums of nothing are 0, ages of nothing are missing."""
    if feature.needs:
        operands = [_operand(joined[columns[feature.kind, need]], need.how) for need in feature.needs]
        value = feature.formula(*operands)
    else:
        value = feature.formula(joined)
    return value.cast("int64" if feature.type == "category" else "float64")


def _operand(value: ir.NumericValue, how: str) -> ir.NumericValue:
    return value.fill_null(0) if how == "sum" else value
