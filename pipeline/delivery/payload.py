"""The newest scores as they were written by ``propense score``, and as a destination is given them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import ConfigurationError, DataError, listed, nearest
from pipeline.destinations.base import Kind, Settings, Value
from pipeline.files import locked
from pipeline.levels import Levels
from pipeline.score import EXCLUDED, SCORES

RUN_SEQUENCE = "run_sequence"
# What a field has to hold, for destinations that create their fields.
KINDS: dict[str, Kind] = {
    "lead_id": "text",
    "target": "text",
    "as_of": "time",
    "propensity": "number",
    "propensity_low": "number",
    "propensity_high": "number",
    "score": "integer",
    "band": "choice",
    "grade": "text",
    "sales_ready": "boolean",
    "fit": "number",
    "engagement": "number",
    "reasons": "long_text",
    "model_version": "text",
    "run_id": "text",
    RUN_SEQUENCE: "integer",
}
# They travel along with what changed, and stay when a score is cleared: they say of which run it is.
TRAVELLING = ("target", "as_of", "model_version", "run_id", RUN_SEQUENCE)
# Who is not among the scores may be closed, or taken over by sales: then nobody is cleared.
UNKNOWN_WORKING = (
    "No score is cleared: excluded.parquet, which names the leads that sales has taken over, is missing or "
    "of another run. Run `propense score` again."
)
_DECIMALS = 6
# Between names, which may hold any sign that people write.
_BETWEEN = "\x1f"
_SIGNS = {"up": "+", "down": "−"}


@dataclass(frozen=True)
class Scores:
    """The scores of one run.

    ``frame`` has a row a lead: the columns of `SCORES` but the reasons, which are there as ``told`` (one
    text) and ``concepts`` (each with its direction, in alphabetical order), and ``asked``, whether the
    lead asked for sales. ``working`` are open leads without a score whose decision is made: sales has
    taken them over. `complete` says whether all open leads are there, and not those of a file alone; without
    ``excluded.parquet`` of the same run nobody knows, and a note says so.
    """

    frame: pd.DataFrame
    levels: Levels | None
    working: frozenset[str]
    run_id: str
    as_of: datetime
    model_version: str
    complete: bool
    notes: tuple[str, ...] = ()


def check_fields(name: str, settings: Settings) -> None:
    """Raise `ConfigurationError` if fields are mapped from columns that there are not, or twice to one."""
    fields = settings.fields
    if not fields:
        raise ConfigurationError(
            f"[destinations.{name}] names no fields.",
            allowed="column of scores.parquet, or run_sequence = field of the destination",
        )
    unknown = [column for column in fields if column not in KINDS]
    if unknown:
        raise ConfigurationError(
            f"There are no columns {listed(map(repr, unknown))} to be written.",
            where=f"[destinations.{name}.fields]",
            allowed=listed(KINDS, 20),
            todo=nearest(unknown[0], KINDS) or "name one of these, to the left of the equals sign",
        )
    twice = sorted({field for field in fields.values() if list(fields.values()).count(field) > 1})
    if twice:
        raise ConfigurationError(
            f"Two columns are written to the field {listed(map(repr, twice))}.",
            where=f"[destinations.{name}.fields]",
            todo="give each column a field of its own",
        )


def read_scores(folder: Path) -> Scores:
    """Read the newest scores.

    Raises
    ------
    DataError
        There are none yet, or they are not as ``propense score`` writes them.
    """
    path = folder / "scores.parquet"
    if not path.exists():
        raise DataError("There are no scores yet.", where=str(path), todo="run `propense score` first")
    try:
        with locked(folder):  # both files are replaced under it
            table = pq.read_table(path)
            metadata = table.schema.metadata or {}
            working = _working(folder, metadata.get(b"run_id"))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"The scores cannot be read: {str(error).splitlines()[0]}.",
            where=str(path), todo="run `propense score` again",
        ) from None  # fmt: skip
    absent = [name for name in SCORES.names if name not in table.schema.names]
    if absent:
        raise DataError(
            f"The scores lack the columns {listed(absent)}.",
            where=str(path),
            todo="run `propense score` again",
        )
    _check_leads(table["lead_id"], path)
    asked = set(json.loads(metadata.get(b"asked", b"[]")))
    frame = table.drop_columns(["reasons"]).to_pandas()
    told, concepts = _reasons(table["reasons"])
    complete = metadata.get(b"complete", b"false") == b"true"
    frame = frame.assign(told=told, concepts=concepts, asked=frame["lead_id"].isin(asked))
    return Scores(
        frame=frame,
        levels=Levels.read(metadata),
        working=working or frozenset(),
        run_id=_said(metadata, b"run_id") or _only(frame["run_id"], "unknown"),
        as_of=_moment(frame, _said(metadata, b"as_of")),
        model_version=_said(metadata, b"model_version") or _only(frame["model_version"], ""),
        complete=complete and working is not None,
        notes=(UNKNOWN_WORKING,) if complete and working is None else (),
    )


def _check_leads(leads: pa.ChunkedArray, path: Path) -> None:
    """Refuse leads without an id, or there twice: nobody could say which score is a lead's."""
    given = leads.to_pandas()
    for wrong, why in ((given.isna() | (given == ""), "no lead_id"), (given.duplicated(), "a lead_id twice")):
        if wrong.any():
            raise DataError(
                f"{int(wrong.sum()):,} rows of the scores have {why}.",
                where=str(path), todo="run `propense score` again",
            )  # fmt: skip


def _only(column: pd.Series, otherwise: str) -> str:
    return str(column.iloc[0]) if len(column) else otherwise


def _said(metadata: Mapping[bytes, bytes], name: bytes) -> str:
    return metadata.get(name, b"").decode()


def _moment(frame: pd.DataFrame, said: str) -> datetime:
    """Return the moment the leads were seen at, as naive UTC; `datetime.min` if nothing tells."""
    if said:
        return datetime.fromisoformat(said)
    if frame.empty:
        return datetime.min
    return frame["as_of"].iloc[0].tz_convert("UTC").tz_localize(None).to_pydatetime()


def _working(folder: Path, run_id: bytes | None) -> frozenset[str] | None:
    """Return the leads that sales has taken over, None if the file is not there or of another run."""
    path = folder / "excluded.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path, columns=EXCLUDED.names)
    if (table.schema.metadata or {}).get(b"run_id") != run_id:
        return None
    frame = table.to_pandas()
    return frozenset(frame.loc[frame["reason"] == "handed_over", "lead_id"])


def _reasons(column: pa.ChunkedArray) -> tuple[pd.Series, pd.Series]:
    """Return the reasons of each lead as one text, and their concepts with their directions.

    In columns: half a million lists of dictionaries would take longer than writing them.
    """
    lists = column.combine_chunks()
    reasons = lists.flatten()
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    spans = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    direction = pc.struct_field(reasons, "direction")
    sign = pa.nulls(len(reasons), pa.string()).fill_null("")
    for name, shown in _SIGNS.items():
        sign = pc.if_else(pc.equal(direction, name).fill_null(False), shown, sign)

    def joined(part: str, between: str, among: str) -> pa.Array:
        given = pc.struct_field(reasons, part).fill_null("")
        each = pc.binary_join_element_wise(sign, given, between)
        return pc.binary_join(pa.ListArray.from_arrays(spans, each), among)

    concepts = joined("concept", "", _BETWEEN).dictionary_encode()
    ordered = [",".join(sorted(names.split(_BETWEEN))) for names in concepts.dictionary.to_pylist()]
    told = joined("text", " ", "; ").to_pandas()
    return told, pd.Series(np.array([*ordered, ""], dtype=object)[concepts.indices.to_numpy()], dtype="str")


def rendered(frame: pd.DataFrame, fields: Mapping[str, str], sequence: int) -> list[str]:
    """Return each row's values, by the destination's field, as JSON text.

    Times are ISO 8601 in UTC, reasons one text, propensities have six decimals: what a CRM's columns of
    text and numbers can hold.
    """
    if frame.empty:
        return []
    columns = {field: _values(frame, column, sequence) for column, field in fields.items()}
    lines = pd.DataFrame(columns).to_json(
        orient="records", lines=True, force_ascii=False, double_precision=_DECIMALS
    )
    return lines.removesuffix("\n").split("\n")  # a text may hold other ends of lines, unescaped


def _values(frame: pd.DataFrame, column: str, sequence: int) -> np.ndarray | pd.Series:
    if column == RUN_SEQUENCE:
        return np.full(len(frame), sequence)
    if column == "reasons":
        return frame["told"].reset_index(drop=True)
    values = frame[column].reset_index(drop=True)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        place, moments = pd.factorize(values)
        return np.array([moment.isoformat() for moment in moments], dtype=object)[place]
    return values


def cleared(scores: Scores, fields: Mapping[str, str], sequence: int) -> str:
    """Return the values that clear a lead's score: nothing but of which run that is."""
    run: dict[str, Value] = {
        "target": _only(scores.frame["target"], "") or None,
        "as_of": None if scores.as_of == datetime.min else f"{scores.as_of.isoformat()}+00:00",
        "model_version": scores.model_version,
        "run_id": scores.run_id,
        RUN_SEQUENCE: sequence,
    }
    values = {field: run[column] if column in TRAVELLING else None for column, field in fields.items()}
    return json.dumps(values, ensure_ascii=False)
