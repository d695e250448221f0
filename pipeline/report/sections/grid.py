"""Fit and engagement: the grid of both, what to do in each cell, its edges, and the declared ideal.

What `found` returns (a `Said` is ``{"en": ..., "fr": ...}``)::

    cells        the 16, A1 to D4: grade; open, mqls (leads now); propensity (mean of the open leads, of the
                 past's where none is open; NaN where there are neither) and of_past (whether it is theirs);
                 leads, won, share, low, high, few (the past, see `models.cells.conversion`); apart
                 (whether what is expected of the open leads lies outside low to high); action, stage (see
                 `models.cells.advice`)
    rule         cutoff (None: none is in force), nurture: the levels that the advice goes by
    few          fewer leads than this in a cell say little
    past         windows (names), from, to (ISO or None), leads
    content      stage -> the user's own kinds (Said), possibly none
    edges        fit, engagement: what sets A apart from D, and 1 from 4 (`pipeline.report.edges`)
    persona      `pipeline.report.ideal.ideal`, or None
    definitions  `pipeline.report.definitions.definitions`
"""

from __future__ import annotations

from typing import Any, get_args

import pandas as pd

from features.errors import ConfigurationError, listed, nearest
from features.language import Said
from models.cells import CELLS, FEW, Stage, advice, conversion, first_in_cell
from pipeline.report.definitions import definitions
from pipeline.report.edges import edges
from pipeline.report.ideal import ideal
from pipeline.report.kinds import all_kinds, label_of
from pipeline.report.material import Material, Seen

JUDGED = ("decision", "test")


def found(material: Material) -> dict[str, Any]:
    """Return the section's content.

    Raises
    ------
    ConfigurationError
        ``[persona]`` or ``[content]`` names what the data does not have.
    """
    past = material.window(*JUDGED)
    counted = _only(past, first_in_cell(past.rows))
    fit, engagement = (counted.rows["grade"].str[place] for place in (0, 1))
    of_fit = edges(material, counted, fit == "A", fit == "D", "fit")
    return {
        "cells": _cells(material, past.rows),
        "rule": {"cutoff": material.bundle.bands.mql.level, "nurture": material.bundle.bands.nurture},
        "past": _period(past.rows),
        "few": FEW,
        "content": _content(material),
        "edges": {
            "fit": of_fit,
            "engagement": edges(material, counted, engagement == "1", engagement == "4", "engagement"),
        },
        "persona": ideal(material, _first_of_each(past), of_fit),
        "definitions": definitions(material),
    }


def _cells(material: Material, past: pd.DataFrame) -> list[dict[str, Any]]:
    bands = material.bundle.bands
    now = material.open.rows.assign(mql=material.open.rows["band"] == "mql").groupby("grade")
    before = first_in_cell(past).groupby("grade")["propensity"].mean().reindex(CELLS)
    table = conversion(past).assign(
        open=now.size().reindex(CELLS, fill_value=0),
        mqls=now["mql"].sum().reindex(CELLS, fill_value=0),
        propensity=now["propensity"].mean().reindex(CELLS).fillna(before),
    )
    cells = []
    for cell, row in zip(CELLS, table.to_dict("records"), strict=True):
        action, stage = advice(cell, row["propensity"], cutoff=bands.mql.level, nurture=bands.nurture)
        found = {str(name): value for name, value in row.items()}
        inside = row["low"] <= row["propensity"] <= row["high"]
        also = {"of_past": not row["open"], "apart": bool(row["open"] and row["leads"] and not inside)}
        cells.append({"grade": cell, **found, **also, "action": action, "stage": stage})
    return cells


def _period(rows: pd.DataFrame) -> dict[str, Any]:
    ends = None if rows["as_of"].isna().all() else (rows["as_of"].min(), rows["as_of"].max())
    first, last = (None, None) if ends is None else (f"{end.isoformat()}Z" for end in ends)
    windows = [part for part in JUDGED if (rows["part"] == part).any()]
    return {"windows": windows, "from": first, "to": last, "leads": int(rows["lead_id"].nunique())}


def _content(material: Material) -> dict[str, list[Said]]:
    """Return the user's own kinds of each stage; a kind that no activity has is a mistake."""
    given = material.config.content
    by_stage: dict[str, list[str]] = {stage: getattr(given, stage) for stage in get_args(Stage)}
    named = [kind for kinds in by_stage.values() for kind in kinds]
    known = all_kinds(material) if named else []
    for kind in named:
        if kind not in known:
            raise ConfigurationError(
                f"[content] names the kind '{kind}', which no activity has.",
                allowed=listed(known, 40) or "nothing: the data has no activities",
                todo=nearest(kind, known),
            )
    return {stage: [label_of(material, kind) for kind in kinds] for stage, kinds in by_stage.items()}


def _first_of_each(past: Seen) -> Seen:
    """Return one row a lead: the first at which it was seen."""
    in_order = past.rows.sort_values(["as_of", "lead_id"], kind="stable")
    return _only(past, in_order.drop_duplicates("lead_id"))


def _only(past: Seen, rows: pd.DataFrame) -> Seen:
    return past.of(past.rows.index.to_series().isin(rows.index))
