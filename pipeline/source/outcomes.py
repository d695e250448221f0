"""Outcomes and stages: how episodes ended, and where leads stood in the funnel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from features.errors import ConfigurationError, DataError, listed
from pipeline.config import Outcomes, Table
from pipeline.source.columns import Time, check_times, number, some_values, text, time, utc
from pipeline.source.engine import Raw
from pipeline.source.leads import Reading, lead_ids

OUTCOMES = ("won", "lost", "disqualified", "open")
STAGES = ("lead", "mql", "sql", "opportunity", "customer")


def read_outcomes(reading: Reading, raw_leads: Raw, leads: ir.Table, activities: ir.Table) -> ir.Table:
    """Return each episode's end: ``lead_id, outcome, closed_at, closed_from, amount, reason, comment``.

    ``closed_from`` is before ``closed_at`` where an outcome has a date but no time. ``comment`` is what
    somebody wrote in their own words, as it is: it may be personal, and is shown to nobody.
    """
    config = reading.config.outcomes
    if config is None:
        raise ConfigurationError("The section [outcomes] is missing.")
    if config.from_activities:
        outcomes = _from_activities(config, activities)
    else:
        outcomes = _from_table(reading, config, raw_leads)
    read = reading.engine.keep("read", outcomes)
    outcomes = reading.engine.keep("outcomes", reading.place_leads(read, leads, "outcomes"))
    _check(reading, outcomes, leads)
    times = leads.select("lead_id", "created_at", "not_before")
    plausible = outcomes.inner_join(times, "lead_id").filter(_.closed_at >= _.not_before)
    closed = plausible.mutate(
        closed_at=ibis.greatest(_.closed_at, _.created_at),
        closed_from=ibis.greatest(_.closed_from, _.created_at),
    )
    return reading.engine.keep("outcomes", closed.drop("created_at", "not_before"))


def _from_activities(config: Outcomes, activities: ir.Table) -> ir.Table:
    outcome_of = {kind: outcome for outcome, kinds in config.from_activities.items() for kind in kinds}
    outcome = ibis.cases(*((_.kind == k, o) for k, o in outcome_of.items()), else_=ibis.null("string"))
    return activities.select(
        "lead_id",
        outcome=outcome,
        closed_at=_.known_at,
        closed_from=_.known_at,
        amount=_.value,
        reason=_.asset,
        comment=ibis.null("string"),
    ).filter(_.outcome.notnull())


def _from_table(reading: Reading, config: Outcomes, raw_leads: Raw) -> ir.Table:
    if config.closed_at is None or (config.outcome is None) == (config.outcome_is is None):
        raise ConfigurationError(
            "[outcomes] needs closed_at, and either outcome (a column) or outcome_is (the same for all),"
            " or from_activities."
        )
    table = Table(
        table=config.table or reading.config.leads.table,
        separator=config.separator,
        time_format=config.time_format,
        missing=config.missing,
        decimal=config.decimal,
    )
    raw = reading.open("outcomes", table) if config.table else raw_leads
    lead_id = config.lead_id or reading.config.leads.id
    raw.need({
        "lead_id": lead_id, "outcome": config.outcome, "closed_at": config.closed_at,
        "amount": config.amount, "reason": config.reason, "comment": config.comment,
    })  # fmt: skip
    closed = time(raw, config.closed_at, table, reading.config.project.timezone)
    outcome = _outcome(raw, config, table, closed)
    closed = _of_decided(closed, outcome)
    check_times(raw, [closed], reading.now, reading.findings, set())
    _check_complete(reading, raw, config, outcome, closed)
    amount = number(raw, config.amount, table, reading.findings) if config.amount else ibis.null("float64")
    rows = raw.table.select(
        lead_id=lead_ids(reading, raw, lead_id),
        outcome=outcome,
        closed_at=closed.value,
        closed_from=closed.earliest,
        amount=amount,
        reason=text(raw, config.reason, table) if config.reason else ibis.null("string"),
        comment=text(raw, config.comment, table) if config.comment else ibis.null("string"),
    )
    return rows.filter(_.outcome.notnull() & (_.outcome != "open") & _.closed_at.notnull())


def _of_decided(closed: Time, outcome: ir.StringValue) -> Time:
    """Return closing times of decided rows alone: a CRM gives open ones an expected date, in the future."""
    decided = outcome.notnull() & (outcome != "open")
    return replace(
        closed,
        value=ibis.cases((decided, closed.value)),
        earliest=ibis.cases((decided, closed.earliest)),
        given=ibis.cases((decided, closed.given)),
    )


def _check_complete(
    reading: Reading, raw: Raw, config: Outcomes, outcome: ir.StringValue, closed: Time
) -> None:
    """Record outcomes that cannot be placed: without a time, or of no lead."""
    decided = outcome.notnull() & (outcome != "open")
    lead_id = lead_ids(reading, raw, config.lead_id or reading.config.leads.id)
    untimed = decided & closed.given.isnull()
    measured = raw.table.aggregate(
        rows=_.count(),
        untimed=untimed.sum().fill_null(0),
        example=lead_id.min(where=untimed),
        nobody=(decided & lead_id.isnull()).sum().fill_null(0),
    )
    row = measured.to_pyarrow().to_pylist()[0]
    reading.findings.bad_rows(
        raw.place, "outcomes without a closing time", column=str(config.closed_at), rows=int(row["untimed"]),
        of=row["rows"], example=f"lead {row['example']!r}",
    )  # fmt: skip
    reading.findings.bad_rows(
        raw.place, "outcomes without a lead", column=config.lead_id or "", rows=int(row["nobody"]),
        of=row["rows"],
    )  # fmt: skip


def _outcome(raw: Raw, config: Outcomes, table: Table, closed: Time) -> ir.StringValue:
    """Map the user's own words to won, lost and disqualified; a word without a meaning is an error."""
    if config.outcome is None and config.table is not None:
        return ibis.literal(str(config.outcome_is))
    if config.outcome is None:
        return ibis.cases(
            (closed.given.notnull(), ibis.literal(config.outcome_is)), else_=ibis.null("string")
        )
    given = text(raw, config.outcome, table)
    words = {o: o for o in OUTCOMES} | {w.lower(): o for o, ws in config.values.items() for w in ws}
    mapped = ibis.cases(*((given.lower() == w, o) for w, o in words.items()), else_=ibis.null("string"))
    values = some_values(raw, given, given.notnull() & mapped.isnull())
    if values:
        raise DataError(
            f"Outcomes {listed(map(repr, values))} have no meaning yet.",
            where=f"{raw.name}: {raw.path}, column '{config.outcome}'",
            allowed="won, lost, disqualified, open, or words mapped to them",
            todo='map them, for example: values = { won = ["Closed Won"], lost = ["Closed Lost"] }',
        )
    return mapped


def _check(reading: Reading, outcomes: ir.Table, leads: ir.Table) -> None:
    findings = reading.findings
    joined = outcomes.left_join(leads.select("lead_id", "not_before"), "lead_id", rname="{name} of lead")
    early = _.closed_at < _.not_before
    found = joined.aggregate(
        rows=_.count(), early=early.sum().fill_null(0), early_example=_.lead_id.min(where=early)
    )
    row = found.to_pyarrow().to_pylist()[0]
    findings.bad_rows(
        "outcomes", "the outcome is earlier than the lead's creation", column="closed_at",
        rows=int(row["early"]), of=row["rows"], example=f"lead {row['early_example']!r}",
    )  # fmt: skip


def read_label(reading: Reading, raw: Raw) -> ir.Table:
    """Return ``lead_id, label (1, 0 or null where open), open, position`` of a flat table."""
    config = reading.config.leads
    won = [w.lower() for w in config.label_won]
    given = text(raw, str(config.label), config)
    is_open = ibis.literal(False)
    if config.open_when:
        cell = text(raw, config.open_when.column, config)
        is_open = cell.fill_null("").isin(config.open_when.values)
    label = ibis.cases(
        (is_open | given.isnull(), ibis.null("int8")), else_=given.lower().isin(won).cast("int8")
    )
    rows = raw.table.select(
        lead_id=lead_ids(reading, raw),
        label=label,
        open=is_open,
        position=_position(reading, raw).cast("float64"),
    )
    _check_words(reading, raw, given, is_open, won)
    unlabelled = int((given.isnull() & ~is_open).sum().execute())
    if unlabelled:
        reading.findings.left_out(
            raw.place, "neither labelled nor open", column=str(config.label), rows=unlabelled
        )
    return reading.engine.keep("labels", rows)


def _check_words(
    reading: Reading, raw: Raw, given: ir.StringValue, is_open: ir.BooleanValue, won: list[str]
) -> None:
    """Record labels of more than one kind beside those that mean won: which of them is not won?"""
    others = given.notnull() & ~is_open & given.lower().notin(won)
    words = some_values(raw, given.lower(), others)
    if len(words) > 1:
        reading.findings.error(
            raw.place,
            f"labels {listed(map(repr, words))} are all taken as not won; name those that mean won in "
            "`label_won`, and what means no value in `missing`",
            column=str(reading.config.leads.label),
        )


def _position(reading: Reading, raw: Raw) -> ir.Value:
    """Return what orders the rows of a flat table: their place, or a column of numbers or of times."""
    config = reading.config.leads
    if config.order_by in (None, "row"):
        return raw.table.rowid()
    given = text(raw, str(config.order_by), config)
    value = given.try_cast("float64")
    if not value.notnull().any().execute():
        moment = time(raw, str(config.order_by), config, reading.config.project.timezone).value
        value = moment.epoch_seconds().cast("float64")
    absent = raw.table.aggregate(
        rows=_.count(), n=value.isnull().sum().fill_null(0), example=given.max(where=value.isnull())
    )
    row = absent.to_pyarrow().to_pylist()[0]
    if row["n"]:
        reading.findings.error(
            raw.place, "order_by needs a number or a time in every row", column=str(config.order_by),
            rows=int(row["n"]), example=repr(row["example"]),
        )  # fmt: skip
    return value


def read_stages(reading: Reading, leads: ir.Table) -> ir.Table | None:
    """Return ``lead_id, stage, at, by, reason``, validated, or None if there is no such table."""
    config = reading.config.stages
    if config is None:
        return None
    raw = reading.open("stages", config)
    raw.need({r: getattr(config, r) for r in ("lead_id", "stage", "at", "by", "reason")})
    at = time(raw, config.at, config, reading.config.project.timezone)
    check_times(raw, [at], reading.now, reading.findings, {config.at})
    given = text(raw, config.stage, config)
    words = {s: s for s in STAGES} | {w.lower(): s for s, ws in config.values.items() for w in ws}
    stage = ibis.cases(*((given.lower() == w, s) for w, s in words.items()), else_=ibis.null("string"))
    strange = raw.table.filter(stage.isnull()).aggregate(n=_.count(), example=given.min())
    count, example = strange.to_pyarrow().to_pylist()[0].values()
    reading.findings.bad_rows(
        raw.place, f"stages other than {', '.join(STAGES)}; map them with `values`", column=config.stage,
        rows=int(count), of=reading.counts["stages"]["rows"], example=repr(example),
    )  # fmt: skip
    rows = raw.table.select(
        lead_id=lead_ids(reading, raw, config.lead_id),
        stage=stage,
        at=at.value,
        by=text(raw, config.by, config) if config.by else ibis.null("string"),
        reason=text(raw, config.reason, config) if config.reason else ibis.null("string"),
    )
    read = reading.engine.keep("read", rows)
    return reading.engine.keep("stages", reading.place_leads(read, leads, raw.place))


@dataclass(frozen=True)
class Observed:
    """The time to which outcomes are complete, and whether it was given or derived."""

    until: datetime
    given: bool


def observed_until(reading: Reading, *tables: tuple[ir.Table, str]) -> Observed:
    """Return the latest time in the data, at most now, unless the configuration gives it."""
    config = reading.config.outcomes
    if config is not None and config.observed_until is not None:
        until = utc(config.observed_until, reading.config.project.timezone)
        if until > reading.now:
            raise ConfigurationError(
                f"[outcomes] observed_until = {config.observed_until} lies in the future.",
                allowed="the time to which outcomes are known; without it, the latest time in the data",
            )
        return Observed(until, given=True)
    latest: list[Any] = [t[column].max().execute() for t, column in tables]
    known = [value.to_pydatetime() for value in latest if value is not None and value == value]
    if not known:
        reading.findings.raise_errors()  # which say why
        raise DataError("No table has a time, so nothing can be said of when outcomes are complete.")
    return Observed(min(max(known), reading.now), given=False)
