"""A second implementation, in plain SQL, agrees on the real log."""

from __future__ import annotations

from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd
import pytest
from canonical import bpic2012

from features.compute import frame
from features.past import Past
from features.settings import FeatureSettings
from features.tables import Tables
from features.vocabulary import Vocabulary, learn

# Straight from the definitions: one row a snapshot and kind (and '' for all kinds), distinct counts by
# COUNT(DISTINCT), nothing shared with the product.
SQL = """
WITH known AS (
  SELECT s.snapshot, a.kind, a.actor, a.asset, a.channel, a.value, a.occurred_at AS moment, s.as_of,
         epoch_us(s.as_of) - epoch_us(a.occurred_at) AS us
  FROM snapshots s JOIN activities a ON a.lead_id = s.lead_id AND a.known_at < s.as_of
), ordered AS (
  SELECT *, moment - lag(moment) OVER sequence AS pause FROM known
  WINDOW sequence AS (PARTITION BY snapshot ORDER BY moment, kind, actor, asset NULLS FIRST, channel)
), sessioned AS (
  SELECT *, sum(CASE WHEN pause IS NULL OR pause > INTERVAL 30 MINUTE THEN 1 ELSE 0 END) OVER so_far
    AS session
  FROM ordered
  WINDOW so_far AS (PARTITION BY snapshot ORDER BY moment, kind, actor, asset NULLS FIRST, channel
                    ROWS UNBOUNDED PRECEDING)
), pooled AS (
  SELECT * REPLACE (CASE WHEN kind IN (SELECT unnest($kinds)) THEN kind ELSE 'other' END AS kind)
  FROM sessioned
), both_scopes AS (
  SELECT * FROM pooled UNION ALL SELECT * REPLACE ('' AS kind) FROM pooled
), gaps AS (
  SELECT *, epoch_us(moment) - epoch_us(lag(moment) OVER (PARTITION BY snapshot, kind ORDER BY moment)) AS gap
  FROM both_scopes
)
SELECT snapshot, kind, count(*) AS "count",
  count(*) FILTER (us <= 86400e6) AS count_1d, count(*) FILTER (us <= 7 * 86400e6) AS count_7d,
  min(us) / 86400e6 AS last_days, max(us) / 86400e6 AS first_days,
  count(DISTINCT moment::DATE) AS active_days, count(DISTINCT session) AS sessions,
  count(DISTINCT asset) AS assets, count(DISTINCT channel) AS channels,
  sum(power(0.5, us / (7 * 86400e6))) AS decayed_7d,
  count(*) FILTER (us <= 7 * 86400e6) - count(*) FILTER (us > 7 * 86400e6 AND us <= 14 * 86400e6) AS trend,
  max(gap) / 86400e6 AS longest_gap_days, avg(gap) / 86400e6 AS mean_gap_days, sum(value) AS "value",
  count(DISTINCT actor) AS actors,
  count(*) FILTER (actor = 'lead') AS inbound, count(*) FILTER (actor = 'marketing') AS outbound,
  avg(CASE WHEN isodow(moment) >= 6 THEN 1 ELSE 0 END) AS weekend_share,
  avg(CASE WHEN isodow(moment) <= 5 AND hour(moment) >= 9 AND hour(moment) < 18 THEN 1 ELSE 0 END)
    AS working_hours_share,
  arg_max(hour(moment), moment) AS last_hour
FROM gaps GROUP BY snapshot, kind
"""
ABSENT_IS_ZERO = {
    "count", "count_1d", "count_7d", "active_days", "sessions", "assets", "channels", "decayed_7d", "trend",
    "value", "inbound", "outbound",
}  # fmt: skip
OVERALL_ONLY = {"inbound", "outbound", "weekend_share", "working_hours_share", "last_hour"}


@pytest.fixture(scope="module")
def sample(real_data: Path) -> tuple[Tables, ibis.Table, Vocabulary, pd.DataFrame]:
    tables, seen = bpic2012(real_data, ages_days=(1, 7, 30), most=2000)
    past = Past(tables, seen)
    vocabulary = learn(past, FeatureSettings())
    return tables, seen, vocabulary, frame(past, vocabulary)


def in_sql(tables: Tables, seen: ibis.Table, kinds: tuple[str, ...]) -> pd.DataFrame:
    con = duckdb.connect()
    con.register("activities", tables.activities.to_pyarrow())
    con.register("snapshots", seen.to_pyarrow())
    return con.execute(SQL, {"kinds": list(kinds)}).df().set_index("snapshot")


@pytest.mark.real_data
def test_plain_sql_agrees(sample: tuple[Tables, ibis.Table, Vocabulary, pd.DataFrame]) -> None:
    tables, seen, vocabulary, ours = sample
    theirs = in_sql(tables, seen, vocabulary.kept_kinds)
    assert vocabulary.pooled
    compared = 0
    for kind in (*(kind.name for kind in vocabulary.kinds), ""):
        rows = theirs[theirs["kind"] == kind].reindex(ours.index)
        prefix = f"activity.{kind}" if kind else "overall"
        for suffix in theirs.columns.drop(["kind", "actors"]):
            name = f"{prefix}.{suffix}"
            if name not in ours:
                assert suffix in OVERALL_ONLY | {"assets", "channels"}, name
                continue
            expected = rows[suffix].astype("float64")
            expected = expected.fillna(0.0) if suffix in ABSENT_IS_ZERO else expected
            np.testing.assert_allclose(ours[name], expected, rtol=1e-9, atol=1e-8, err_msg=name)
            compared += 1
    assert compared > 250


@pytest.mark.real_data
def test_bit_for_bit_whatever_the_threads_and_the_order_of_rows(real_data: Path) -> None:
    tables, seen = bpic2012(real_data, ages_days=(7,), most=1500)
    past = Past(tables, seen)
    vocabulary = learn(past, FeatureSettings())
    one = frame(past, vocabulary)
    shuffled = tables.activities.order_by(ibis.desc("value"), "kind", ibis.desc("occurred_at")).to_pyarrow()
    backend = tables.activities.get_backend()
    backend.raw_sql("SET threads = 1")
    again = Tables(tables.leads, ibis.memtable(shuffled), (), tables.attributes)
    pd.testing.assert_frame_equal(one, frame(Past(again, seen), vocabulary), check_exact=True)
