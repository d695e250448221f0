"""What of a run is to be sent: only what changed since it was last written.

A band, whether a lead is ready for sales, a grade, a score beyond the tolerance, or the concepts of the
reasons make a change. The model's version, the run and its time travel along, but a retrained model that
decides the same rewrites nothing, and fires nobody's workflow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.errors import DeliveryError
from pipeline.delivery.payload import Scores, cleared, rendered
from pipeline.destinations.base import Settings

# What the ledger keeps of what was written, to compare with; all of it is in the scores.
DECISION = ["band", "sales_ready", "grade", "score", "propensity", "concepts"]
_BEFORE = ["band_before", "grade_before", "score_before"]
# The columns of `Book.plan`.
PLANNED = ["lead_id", "key", "sequence", "digest", "payload", *DECISION, "mapping", "cleared"]
_NUMBERS = {"score", "propensity", "propensity_low", "propensity_high", "fit", "engagement"}
# A failure of these kinds is not tried again until the lead's decision changes, or a person says so. The
# others may be over with the next run, or with what becomes of another lead.
LASTING = {"refused", "gone"}
# So many leads may lose their scores at once without a question, whatever their share.
FEW = 50
# Of so few leads all may.
HANDFUL = 5
# Settings that say how and as whom, not where: with another one of these nothing has to be written again.
NO_PLACE = (
    "fields", "record", "closed", "tolerance", "patience", "timeout", "per_10_seconds", "bulk_from",
    "bulk_wait", "version", "permission_set", "user", "password", "token", "client_id", "client_secret",
    "refresh_token",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is to be sent, and what is not.

    ``rows`` has the columns of `PLANNED`, and ``why`` (what changed, in words) with the decision before in
    ``band_before``, ``grade_before`` and ``score_before``. ``unchanged`` are leads for which there is nothing
    to write, ``held`` those that failed earlier and did not change since, ``stuck`` those of them whose score
    was to be cleared and is still there. ``skipped`` is by lead: the kind of failure, and the reason.
    """

    rows: pd.DataFrame
    unchanged: frozenset[str]
    held: frozenset[str]
    stuck: frozenset[str]
    skipped: Mapping[str, tuple[str, str]]

    @property
    def clears(self) -> int:
        """How many leads lose their score."""
        return int(self.rows["cleared"].sum())


def make_plan(
    scores: Scores,
    keys: Mapping[str, str],
    sequence: int,
    settings: Settings,
    written: pd.DataFrame,
    failed: pd.DataFrame,
    *,
    everything: bool = False,
    allow_clearing: bool = False,
) -> Plan:
    """Compare a run with what was last written.

    Parameters
    ----------
    keys
        By lead: what finds its record in the destination.
    written, failed
        As `Book.written` and `Book.failed` return them.
    everything
        Send every lead, changed or not.
    allow_clearing
        Clear scores even of most leads at once.

    Raises
    ------
    DeliveryError
        Most of the leads written before are no longer open: rather an accident than the truth.
    """
    written = written.assign(superseded=_superseded(written))
    current, skipped = _with_keys(scores, keys)
    current = _settled(current, scores, written)
    closed = _closed(scores, current, settings, written, again=everything)
    both = pd.concat([current.assign(cleared=False), closed], ignore_index=True) if len(closed) else current
    place = settings.model_dump(mode="json", exclude=set(NO_PLACE))
    mapping = _digest(json.dumps([settings.fields, place], sort_keys=True))
    both = both.assign(sequence=sequence, mapping=mapping, cleared=np.arange(len(both)) >= len(current))
    both = _compared(both, settings, written)
    wanted = (both["why"] != "").to_numpy() | everything
    held = wanted & _failed_before(both, failed, settings) & (not everything)
    rows = both[wanted & ~held]
    rows = rows.assign(digest=_digests(rows, settings))
    clears = int(rows["cleared"].sum())
    losing = int((rows["cleared"] & (rows["why"] != "")).sum())
    _check_clearing(losing, written, scores, allow_clearing)
    # Rendered last, and only what is sent: on most days that is little.
    sent = current[(wanted & ~held)[: len(current)]]
    payload = rendered(sent, settings.fields, sequence)
    payload += [cleared(scores, settings.fields, sequence)] * clears
    return Plan(
        rows=rows.assign(payload=payload)[[*PLANNED, "why", *_BEFORE]].reset_index(drop=True),
        unchanged=frozenset(both.loc[~wanted, "lead_id"]),
        held=frozenset(both.loc[held, "lead_id"]),
        stuck=frozenset(both.loc[held & both["cleared"].to_numpy(bool), "lead_id"]),
        skipped=skipped,
    )


def _superseded(written: pd.DataFrame) -> pd.Series:
    """Return for each lead whether another one was later written to the same record."""
    return written.sort_values("sequence").duplicated("key", keep="last").reindex(written.index)


def _with_keys(scores: Scores, keys: Mapping[str, str]) -> tuple[pd.DataFrame, dict[str, tuple[str, str]]]:
    """Return the leads that have a record of their own, and why the others are skipped."""
    frame = scores.frame.assign(key=scores.frame["lead_id"].map(dict(keys)))
    nowhere = frame.loc[frame["key"].isna(), "lead_id"]
    skipped = dict.fromkeys(nowhere, ("unknown", "no record there is named for this lead"))
    frame = frame[frame["key"].notna()]
    several = frame[frame.duplicated("key", keep=False)]
    several = several.sort_values(["propensity", "lead_id"], ascending=[False, True])
    first = several.drop_duplicates("key").set_index("key")["lead_id"]
    others = several[several.duplicated("key")]
    for lead, key in zip(others["lead_id"], others["key"], strict=True):
        skipped[lead] = ("shared", f"lead '{first[key]}' is written to the same record")
    return frame.drop(index=others.index).reset_index(drop=True), skipped


def _settled(current: pd.DataFrame, scores: Scores, written: pd.DataFrame) -> pd.DataFrame:
    """Give each lead the band that follows from its last one, as far as the hysteresis goes."""
    if scores.levels is None:
        return current
    last = written.loc[~written["cleared"].astype(bool) & written["band"].notna(), ["lead_id", "band"]]
    return scores.levels.settled(current, dict(zip(last["lead_id"], last["band"], strict=True)))


def _closed(
    scores: Scores, current: pd.DataFrame, settings: Settings, written: pd.DataFrame, *, again: bool
) -> pd.DataFrame:
    """Return the leads written before that are open no longer, if their scores are to be cleared.

    Leads that sales has taken over keep the score by which they were handed over until they close. A
    record that another lead is or was written to since is this lead's no more. `again`: also those that
    were cleared before, for a CRM that was restored from a backup.
    """
    names = ["lead_id", "key", *DECISION]
    if not scores.complete or settings.closed == "freeze":
        return pd.DataFrame(columns=names)
    here = set(scores.frame["lead_id"]) | scores.working
    there = (~written["cleared"].astype(bool) | again) & ~written["superseded"]
    gone = written[there & ~written["lead_id"].isin(here) & ~written["key"].isin(current["key"])]
    return gone[["lead_id", "key"]].assign(**dict.fromkeys(DECISION))[names]


def _failed_before(rows: pd.DataFrame, failed: pd.DataFrame, settings: Settings) -> np.ndarray:
    """Return for each row whether it failed, is the same since, and nobody has said to try again."""
    lasting = failed[failed["kind"].isin(LASTING) & ~failed["retry"].eq(True)]
    some = rows[rows["lead_id"].isin(lasting["lead_id"])]
    then = some["lead_id"].map(lasting.set_index("lead_id")["digest"])
    same = some.index[then == _digests(some, settings)]
    return rows.index.isin(same)


def _check_clearing(clears: int, written: pd.DataFrame, scores: Scores, allowed: bool) -> None:
    there = int((~written["cleared"].astype(bool) & ~written["superseded"]).sum())
    every = clears == there > HANDFUL
    if allowed or (clears <= FEW and not every) or clears * 2 <= there:
        return
    moment, scored = scores.as_of, len(scores.frame)
    raise DeliveryError(
        f"{clears:,} of the {there:,} leads that were written before are not among the leads open at "
        f"{moment:%Y-%m-%d %H:%M} UTC, and would lose their scores. Nothing was written.",
        where=f"scores.parquet, which has {scored:,} leads",
        allowed=f"up to {FEW} but not all, or up to half of them, without a question",
        todo="check that the leads' table is complete, and that no moment of the past was scored "
        "(`propense score` without --as-of); if all is right, run again with --allow-clearing, or set "
        'closed = "freeze"',
    )


def _watched(settings: Settings) -> list[str]:
    """Return the parts of a decision, but numbers, that the mapped fields can show."""
    shows = {"band": "band", "sales_ready": "sales_ready", "grade": "grade", "concepts": "reasons"}
    return [part for part, column in shows.items() if column in settings.fields]


def _digests(rows: pd.DataFrame, settings: Settings) -> list[str]:
    """Return a digest of what makes a change of each row; its score is no part of it, since it may drift."""
    columns = ["key", "mapping", "cleared", *_watched(settings)]
    parts = zip(*(_text(rows[column]).tolist() for column in columns), strict=True)
    return [_digest("\x1f".join(part)) for part in parts]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _compared(rows: pd.DataFrame, settings: Settings, written: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with ``why`` they are to be sent, empty if nothing changed, and the decision before."""
    columns = ["lead_id", "key", *DECISION, "mapping", "cleared", "superseded"]
    had = rows[["lead_id"]].merge(
        written[columns].assign(there=True), on="lead_id", how="left", validate="1:1"
    )
    there = had["there"].eq(True).to_numpy()
    was_cleared = had["cleared"].eq(True).to_numpy()
    now_cleared = rows["cleared"].to_numpy(bool)
    changes = {
        "new": ~there,
        "closed": now_cleared & ~was_cleared,
        "open again": there & ~now_cleared & was_cleared,
        "other record": there & ((rows["key"] != had["key"]) | had["superseded"].eq(True)).to_numpy(),
        "other fields": there & (rows["mapping"] != had["mapping"]).to_numpy(),
    }
    open_before = there & ~was_cleared & ~now_cleared
    names = {"sales_ready": "ready for sales", "concepts": "reasons"}
    for part in _watched(settings):
        differs = _text(rows[part]) != _text(had[part])
        changes[names.get(part, part)] = open_before & differs
    if _NUMBERS & set(settings.fields):
        now, before = (pd.to_numeric(frame["score"]).to_numpy(float) for frame in (rows, had))
        changes["score"] = open_before & ~(np.abs(now - before) <= settings.tolerance)
    why = np.full(len(rows), "", dtype=object)
    for word, those in changes.items():
        why[those] = [f"{text}, {word}" if text else word for text in why[those]]
    return rows.assign(why=why, **{name: had[name.removesuffix("_before")].to_numpy() for name in _BEFORE})


def _text(column: pd.Series) -> np.ndarray:
    """Return values as text, the same whatever types a database gave them; empty where there is none."""
    if column.name in {"sales_ready", "cleared"}:
        truth = column.astype("boolean")
        return np.select([truth.isna(), truth.fillna(False).to_numpy(bool)], ["", "yes"], "no").astype(object)
    return column.astype("str").fillna("").to_numpy(object)
