"""The main job's second half: the open leads at a moment, scored and written, none of them lost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from features.errors import BundleError, ConfigurationError, DataError, nearest
from features.tables import Attribute
from features.vocabulary import OTHER
from models.bundle import Bundle
from pipeline import featuring
from pipeline.config import Config
from pipeline.delivery.place import register
from pipeline.files import locked, staging, uninterrupted, write_parquet
from pipeline.guard.judge import dropped
from pipeline.hygiene.account import CUSTOMER, DUPLICATE
from pipeline.levels import Levels
from pipeline.preparation import at_moment
from pipeline.registry import Registered, Registry
from pipeline.results import recover
from pipeline.source.dataset import Dataset, load

_REASON = pa.struct(
    [
        ("concept", pa.string()),
        ("direction", pa.string()),
        ("strength", pa.float64()),
        ("text", pa.string()),
        ("value", pa.string()),
    ]
)
SCORES = pa.schema(
    [
        ("lead_id", pa.string()),
        ("target", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("propensity", pa.float64()),
        ("propensity_low", pa.float64()),
        ("propensity_high", pa.float64()),
        ("score", pa.int64()),
        ("band", pa.string()),
        ("grade", pa.string()),
        ("sales_ready", pa.bool_()),
        ("fit", pa.float64()),
        ("engagement", pa.float64()),
        ("reasons", pa.list_(_REASON)),
        ("model_version", pa.string()),
        ("run_id", pa.string()),
    ]
)
EXCLUDED = pa.schema([("lead_id", pa.string()), ("reason", pa.string()), ("survivor_id", pa.string())])
# Why an open lead is not scored; the words are those of ``excluded.parquet``.
HANDED_OVER = "handed_over"
# The reasons of hygiene ("duplicate", "test", ...) are in `pipeline.hygiene.account`.
# Only for leads given with --leads: closed, a customer, silent for too long, or created later.
NOT_OPEN = "not_open"
# So many leads with a value make it no accident that training saw none of these values.
LEAST_TO_JUDGE = 20


@dataclass(frozen=True)
class Scored:
    """Scores of all open leads at a moment, and the open leads that were left out.

    ``scores`` has the columns of `SCORES` and the margin, times as naive UTC; ``excluded`` those of
    `EXCLUDED`. ``survivor_of`` gives, for records that a person is scored under because its first one
    was closed, the lead under which its data is kept; ``asked`` are the leads that asked for sales;
    ``features`` are what the model saw, row by row of ``scores``.
    """

    scores: pd.DataFrame
    excluded: pd.DataFrame
    bundle: Bundle
    dataset: Dataset
    run_id: str
    survivor_of: dict[str, str] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    features: pd.DataFrame = field(default_factory=pd.DataFrame)


def score(
    config: Config,
    as_of: datetime,
    now: datetime,
    folder: Path,
    *,
    leads_file: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Scored:
    """Score every lead open at `as_of` with the champion, and write both files.

    ``scores.parquet`` and ``excluded.parquet`` together are all open leads. Each is replaced
    only when it is complete.

    Parameters
    ----------
    as_of, now
        Naive UTC. Only what was known strictly before `as_of` is used; data later than `now` is a
        mistake.
    leads_file
        Score the leads of this file instead of the configured table.

    Raises
    ------
    PropenseError
        No model, or data that does not fit it.
    """
    tell = tell or (lambda message: None)
    tell("loading the champion")
    champion = champion_of(folder, config)
    run_id = uuid.uuid4().hex
    _check_moment(as_of, now)
    # Before any data is read: a run that began later knows more, however long each took.
    register(config, folder, run_id, as_of, champion.version, tell)
    scored = score_with(champion, config, as_of, now, leads_file=leads_file, tell=tell, run_id=run_id)
    run = {"run_id": run_id}  # the same in both, so that they can be told to belong together
    about = {**run, **_about(scored, as_of, champion.version, leads_file)}
    with staging(folder, "scoring") as staged:
        write_parquet(staged / "excluded.parquet", scored.excluded, EXCLUDED.with_metadata(run))
        write_parquet(staged / "scores.parquet", scored.scores, SCORES.with_metadata(about))
        with uninterrupted(), locked(folder):
            for name in ("excluded.parquet", "scores.parquet"):
                (staged / name).replace(folder / name)
    return scored


def _about(scored: Scored, as_of: datetime, model_version: str, leads_file: Path | None) -> dict[str, str]:
    """Return what travels with the scores: all that is needed to write them back, even if there are none."""
    about = {
        "levels": Levels.of(scored.bundle.bands).write(),
        "asked": json.dumps(sorted(scored.asked)),
        "as_of": as_of.isoformat(),
        "model_version": model_version,
        # A file of leads need not hold all open leads: who is not in it is not closed.
        "complete": json.dumps(leads_file is None),
    }
    return about if leads_file is None else {**about, "leads_file": str(leads_file.resolve())}


def champion_of(folder: Path, config: Config) -> Registered:
    """Load the champion, after finishing what a killed training left undone.

    Raises
    ------
    BundleError
        None is registered, or its files were altered.
    """
    registry = Registry(folder, config.project.name)
    recover(folder, registry)
    return registry.champion()


def score_with(
    champion: Registered,
    config: Config,
    as_of: datetime,
    now: datetime,
    *,
    leads_file: Path | None = None,
    tell: Callable[[str], None] | None = None,
    even_nobody: bool = False,
    run_id: str | None = None,
) -> Scored:
    """Score every lead open at `as_of` with a given model, in memory.

    A flat table that does not say which leads are open is refused, or with `even_nobody` has none.
    `run_id` is a new one if not given.
    """
    tell = tell or (lambda message: None)
    bundle = champion.bundle
    _check_moment(as_of, now)
    _check_fits(config, bundle)
    if not even_nobody:
        _check_open(config, leads_file)
    tell("reading the tables")
    dataset = load(config, now, leads_file=leads_file, known=known_attributes(bundle))
    dataset.findings.raise_errors()
    dataset = dropped(dataset, frozenset(), frozenset(bundle.about["left_out"]["kinds"]))
    snapshots, keys = at_moment(dataset, as_of)
    wanted = keys.index[~keys["handed_over"]]
    tell(f"scoring {len(wanted):,} open leads")
    chosen = featuring.select(dataset, snapshots, wanted.to_list())
    features = featuring.features_of(dataset, chosen, bundle.vocabulary)
    asked = featuring.asked_for_sales(dataset, chosen, config.decision.sales_ready_kinds)
    _check_values(features, dataset)
    wanting = None if asked is None else asked.loc[features.index]
    scores = bundle.score(features, wanting, config.project.language)
    run_id = run_id or uuid.uuid4().hex
    records = dataset.hygiene.records_at(as_of)
    keys = keys.assign(lead_id=keys["lead_id"].replace(records))
    excluded = _excluded(dataset, keys, as_of, given=leads_file is not None)
    found = _with_keys(scores, keys, champion, run_id)
    seen = features.loc[found.index].reset_index(drop=True)
    wants = frozenset() if asked is None else frozenset(keys.loc[asked.index[asked], "lead_id"])
    survivor_of = {record: one for one, record in records.items()}
    found = found.reset_index(drop=True)
    return Scored(found, excluded, bundle, dataset, run_id, survivor_of, wants, seen)


def known_attributes(bundle: Bundle) -> tuple[Attribute, ...]:
    """Return the attributes that the model was trained on."""
    return tuple(known.declared for known in bundle.vocabulary.attributes)


def _check_moment(as_of: datetime, now: datetime) -> None:
    if as_of > now:
        raise ConfigurationError(
            f"The moment to score at, {as_of:%Y-%m-%d %H:%M} UTC, is in the future.",
            allowed=f"up to now, {now:%Y-%m-%d %H:%M} UTC",
            todo="correct --as-of; without an offset it is read as UTC",
        )


def _check_fits(config: Config, bundle: Bundle) -> None:
    then, now = bundle.about, featuring.about(config)
    changed = [name for name, value in now.items() if then.get(name) != value]
    if changed:
        raise ConfigurationError(
            "The model was trained with other settings than the configuration has now.",
            where="; ".join(f"{name}: was {then.get(name)!r}, is {now[name]!r}" for name in changed),
            todo="train again, or set them back",
        )


def _check_open(config: Config, leads_file: Path | None) -> None:
    if config.flat and leads_file is None and config.leads.open_when is None:
        raise ConfigurationError(
            "A flat table does not say which leads are open.",
            allowed="[leads.open_when] in the configuration, or --leads FILE with the leads to score",
        )


def _with_keys(scores: pd.DataFrame, keys: pd.DataFrame, champion: Registered, run_id: str) -> pd.DataFrame:
    found = scores.join(keys[["lead_id", "as_of"]])
    return found.assign(
        target=champion.bundle.about["target"],
        model_version=champion.version,
        run_id=run_id,
    ).sort_values("lead_id")


def _excluded(dataset: Dataset, keys: pd.DataFrame, as_of: datetime, *, given: bool) -> pd.DataFrame:
    """Return the open leads that are not scored; of `given` leads, all that are not scored."""
    handed = keys.loc[keys["handed_over"], ["lead_id"]].assign(reason=HANDED_OVER, survivor_id=None)
    cleaned = dataset.hygiene
    removed = cleaned.removed[list(EXCLUDED.names)] if given else cleaned.left_out_at(as_of)
    # A record under which its person is scored or handed over is there already.
    removed = removed[~removed["lead_id"].isin(keys["lead_id"])]
    parts = [handed, removed, *([_not_open(dataset, keys)] if given else [])]
    return pd.concat([p.astype("object") for p in parts], ignore_index=True)


def _not_open(dataset: Dataset, keys: pd.DataFrame) -> pd.DataFrame:
    """Return the leads of a given file that were not open, so that none is lost without a word."""
    given = dataset.tables.leads.select("lead_id").to_pandas()["lead_id"]
    out = given[~given.isin(keys["lead_id"])].sort_values(ignore_index=True)
    return pd.DataFrame({"lead_id": out, "reason": NOT_OPEN, "survivor_id": None})


def _check_values(features: pd.DataFrame, dataset: Dataset) -> None:
    """Refuse a category of which not one value was seen in training: it is something else now."""
    for attribute in dataset.tables.attributes:
        name = f"attribute.{attribute.name}"
        if attribute.type != "category" or name not in features:
            continue
        known = features[name].dropna()
        if len(known) >= LEAST_TO_JUDGE and (known == OTHER).all():
            raise BundleError(
                f"Not one of {len(known):,} values of '{attribute.name}' was seen in training.",
                todo="check that the column still holds what it held then, or train again",
            )


def one_lead(scored: Scored, lead_id: str) -> dict[str, Any]:
    """Return one lead's scores as a dictionary.

    Raises
    ------
    DataError
        The lead is not open, or there is none of that id.
    """
    found = scored.scores[scored.scores["lead_id"] == lead_id]
    if len(found):
        return dict(found.iloc[0])
    _raise_if_removed(scored.dataset, lead_id)
    handed = scored.excluded[scored.excluded["reason"] == HANDED_OVER]
    if (handed["lead_id"] == lead_id).any():
        raise DataError(
            f"Lead '{lead_id}' is open, but sales has taken it over: its decision is made.",
            todo="ask for an earlier moment with --as-of",
        )
    if ((scored.excluded["lead_id"] == lead_id) & (scored.excluded["reason"] == CUSTOMER)).any():
        raise DataError(
            f"Lead '{lead_id}' is the same person as a lead that was won: a customer, not a lead.",
            todo="ask for an earlier moment with --as-of, or close the lead",
        )
    ids = scored.dataset.tables.leads.lead_id.execute().tolist()
    if lead_id in ids:
        raise DataError(
            f"Lead '{lead_id}' was not open at that moment.", todo="ask for another moment with --as-of"
        )
    raise DataError(f"There is no lead '{lead_id}'.", todo=nearest(lead_id, ids))


def _raise_if_removed(dataset: Dataset, lead_id: str) -> None:
    """Say what hygiene did to a lead that is no longer among the leads."""
    removed = dataset.hygiene.removed
    found = removed[removed["lead_id"] == lead_id]
    if found.empty:
        return
    reason, survivor = found.iloc[0]["reason"], found.iloc[0]["survivor_id"]
    if reason == DUPLICATE:
        raise DataError(
            f"Lead '{lead_id}' is the same person as lead '{survivor}' and was merged into it.",
            todo=f"ask for lead '{survivor}', or set duplicates = false under [hygiene]",
        )
    raise DataError(
        f"Lead '{lead_id}' is left out: {reason.replace('_', ' ')}.",
        todo="if it is a real lead, see [hygiene] in the configuration: each measure is a line",
    )
