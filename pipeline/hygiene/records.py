"""The canonical tables of one project while they are cleaned."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir


@dataclass(frozen=True)
class Records:
    """The canonical tables (see `features.tables`), None where there is no such table.

    `outcomes` is None for a flat table, `labels` for data with times; both are None for leads of a
    flat table that are given to be scored.
    """

    leads: ir.Table
    activities: ir.Table
    versions: tuple[ir.Table, ...] = ()
    outcomes: ir.Table | None = None
    stages: ir.Table | None = None
    labels: ir.Table | None = None
