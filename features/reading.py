"""What a lead's attributes say, read by type: texts cleaned, sizes and job titles as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.bands import headcount, seniority
from features.domains import domain_class
from features.past import Past, attribute_column
from features.tables import Attribute

EMAIL_CLASS = "email_class"


def read_attributes(past: Past, attributes: Iterable[Attribute], *, email: bool = True) -> ir.Table:
    """Return one row a snapshot: snapshot, lead_age, the attributes by type, and `email_class`.

    Numbers and flags are floats, a size is a head count, a seniority an ordinal from 1 to 7, a
    category trimmed text; what cannot be read, empty text and not-a-number are missing. Text is
    read once for each distinct value, for which the engine is asked here.
    """
    table = past.attributes
    kept = ["snapshot", "lead_age"]
    for attribute in attributes:
        column = attribute_column(attribute.name)
        kept.append(column)
        table = _read(table, column, attribute)
    if email:
        table = _looked_up(table, "email_domain", EMAIL_CLASS, domain_class, pa.string())
        kept.append(EMAIL_CLASS)
    return table.select(*kept)


def _read(table: ir.Table, column: str, attribute: Attribute) -> ir.Table:
    if attribute.type in ("number", "flag"):
        value = table[column].cast("float64")
        return table.mutate(**{column: ibis.ifelse(value.isnan(), ibis.null("float64"), value)})
    if attribute.type == "category":
        return table.mutate(**{column: _text(table[column])})
    function = headcount if attribute.type == "size" else seniority
    return _looked_up(table, column, column, function, pa.float64())


def _looked_up(
    table: ir.Table, column: str, into: str, function: Callable[[str], object], type_: pa.DataType
) -> ir.Table:
    """Set `into` to `function` of the text in `column`, called once for each distinct text."""
    table = table.mutate(lookup_text=_text(table[column]))
    distinct = table.select("lookup_text").filter(table.lookup_text.notnull()).distinct()
    texts = sorted(distinct.to_pyarrow()["lookup_text"].to_pylist())
    answers = pa.table(
        {
            "lookup_key": pa.array(texts, pa.string()),
            "lookup_answer": pa.array([function(text) for text in texts], type_),
        }
    )
    answers = ibis.memtable(answers)
    joined = table.left_join(answers, table.lookup_text == answers.lookup_key)
    return joined.mutate(**{into: joined.lookup_answer}).drop("lookup_text", "lookup_key", "lookup_answer")


def _text(value: ir.Value) -> ir.StringValue:
    return value.cast("string").strip().nullif("")
