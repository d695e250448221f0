"""Simulating a whole CRM into a folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.errors import ConfigurationError
from pipeline.simulation import export
from pipeline.simulation.activities import NEVER, draw_activities, draw_unsubscribed
from pipeline.simulation.comments import with_comments
from pipeline.simulation.fates import Fates, draw_fates
from pipeline.simulation.files import Tables, mark, replaced, write_crm
from pipeline.simulation.following import mails, old_score, pages, sales
from pipeline.simulation.hazard import win_within
from pipeline.simulation.moments import Events, Ints, codes, first_of, merged
from pipeline.simulation.people import FLAWS, People, draw_people, traits
from pipeline.simulation.rhythm import Rhythms
from pipeline.simulation.situations import situations
from pipeline.simulation.traits import Multipliers
from pipeline.simulation.world import World, write_world

BLOCK = 20_000
MOST_LEADS = 5_000_000
TRUTH_AGES_HOURS = (1, 24, 72, 168, 336, 720)
TRUTH_DAYS_BEFORE_END = (0, 30, 60, 90, 180, 270)
TRUTH_HORIZONS_DAYS = (30, 90)


@dataclass(frozen=True)
class Summary:
    """What was simulated: counts of leads, accounts, activities and outcomes, and the span of the log."""

    directory: Path
    leads: int
    accounts: int
    activities: int
    won: int
    lost: int
    disqualified: int
    open: int
    started: datetime
    ended: datetime


def simulate(
    leads: int, seed: int, directory: Path, progress: Callable[[str], None] | None = None
) -> Summary:
    """Write a believable CRM of `leads` leads, and its truth, into `directory`, all at once or not at all.

    The same leads and seed give the same files. Memory grows by some 200 bytes a lead beyond one block.

    Raises
    ------
    ConfigurationError
        When `leads` or `seed` is out of range, or `directory` holds something else.
    """
    _check(leads, seed)
    world = World()
    with replaced(directory) as folder:
        (folder / "truth").mkdir()
        write_world(world, folder / "truth" / "world.json")
        summary = _Simulation(world, leads, seed, folder, progress or _silent).run(Path(directory))
        mark(folder, {"leads": leads, "seed": seed, "started": world.started, "ended": world.ended})
    return summary


def _silent(_: str) -> None:
    """Report nothing."""


def _check(leads: int, seed: int) -> None:
    if not 1 <= leads <= MOST_LEADS:
        raise ConfigurationError(
            f"{leads} leads cannot be simulated.", allowed=f"1 to {MOST_LEADS:,}", where="leads"
        )
    if seed < 0:
        raise ConfigurationError(f"The seed {seed} is negative.", allowed="0 or more", where="seed")


class _Simulation:
    """One run: people first, then their activities, fates and files block by block."""

    def __init__(
        self, world: World, leads: int, seed: int, folder: Path, progress: Callable[[str], None]
    ) -> None:
        self.world, self.folder, self.progress, self.seed = world, folder, progress, seed
        self.rhythms = Rhythms.of(world)
        self.clock = export.Clock(world)
        self.people: People = draw_people(world, self.rhythms, leads, np.random.default_rng([seed, 0]))
        self.counts = {"activities": 0, "won": 0, "lost": 0, "disqualified": 0}

    def run(self, directory: Path) -> Summary:
        leads = len(self.people)
        accounts = export.accounts_table(self.people)
        with Tables(self.folder) as tables:
            tables.append("accounts.csv", accounts)
            tables.append("truth/hygiene.parquet", export.hygiene_table(self.people))
            for number in range(math.ceil(leads / BLOCK)):
                rows = slice(number * BLOCK, min(leads, (number + 1) * BLOCK))
                self._block(tables, rows, number + 1)
                self.progress(f"{rows.stop:,} of {leads:,} leads simulated")
        ids = export.lead_ids(np.arange(leads)).to_pylist()
        write_crm(self.folder / "crm.sqlite", iter(ids))
        closed = self.counts["won"] + self.counts["lost"] + self.counts["disqualified"]
        return Summary(
            directory=directory,
            leads=leads,
            accounts=accounts.num_rows,
            open=leads - closed,
            started=self.world.started,
            ended=self.world.ended,
            **self.counts,
        )

    def _block(self, tables: Tables, rows: slice, number: int) -> None:
        rng = np.random.default_rng([self.seed, number])
        world, rhythms, people = self.world, self.rhythms, self.people
        created = people.created[rows]
        source = people.frame["source"].iloc[rows].to_numpy(str)
        effect = Multipliers.of(world, traits(people, rows))
        own = draw_activities(world, rhythms, created, source, effect, rng)
        unsubscribed = draw_unsubscribed(world, rhythms, created, rng)
        fates = draw_fates(world, rhythms, created, effect, own, unsubscribed, rng)
        own = own.where(own.at < fates.closed[own.lead])
        unsubscribed = np.where(unsubscribed < fates.closed, unsubscribed, NEVER)
        # Comments have a stream of their own: nothing else depends on them.
        notes = np.random.default_rng([self.seed, number, 1])
        self._write(tables, rows, own, unsubscribed, fates, rng, notes)
        tables.append("truth/truth.parquet", self._truth(rows, effect, own, unsubscribed, fates))

    def _write(
        self,
        tables: Tables,
        rows: slice,
        own: Events,
        unsubscribed: Ints,
        fates: Fates,
        rng: np.random.Generator,
        notes: np.random.Generator,
    ) -> None:
        world, people, clock, first = self.world, self.people, self.clock, rows.start
        created, until = people.created[rows], np.minimum(fates.closed, int(world.end * 86400))
        asks = [kind.name for kind in world.kinds if kind.asks]
        web_kinds = [kind.name for kind in world.kinds if kind.table == "web"]

        is_web = own.are(*web_kinds)
        seen, spent = pages(own.where(is_web), rng)
        web, seconds = _in_time(own.where(is_web), seen, spent, np.nan, until)

        gone = np.flatnonzero(unsubscribed < NEVER)
        left = Events(gone, unsubscribed[gone], codes("unsubscribed", len(gone)))
        bot = people.flaw[rows] == FLAWS.index("bot")
        mail, campaign = mails(created, np.minimum(until, unsubscribed), bot, rng)
        marketing, campaigns = _in_time(merged(own.where(~is_web), left), mail, campaign, -1, until)

        personal = (people.frame["email_class"].iloc[rows] == "personal").to_numpy()
        score = old_score(world, merged(web, marketing), personal)
        asking = own.where(own.are(*asks))
        asked = first_of(asking.lead, asking.at, len(created), NEVER)
        sold = sales(world, self.rhythms, created, asked, score.reached, fates.closed, rng)
        versions = export.draw_versions(world, people, rows, rng)
        outcomes = export.outcomes_table(clock, people, rows, fates, rng)

        tables.append("web.parquet", export.web_table(clock, first, web, seconds, rng))
        tables.append("marketing.parquet", export.marketing_table(clock, first, marketing, campaigns, rng))
        tables.append("sales.csv", export.sales_table(clock, first, sold.contacts))
        tables.append("leads.csv", export.leads_table(clock, people, rows, versions, score, fates, rng))
        tables.append("history.csv", export.history_table(clock, people, rows, versions))
        tables.append("outcomes.csv", self._noted(outcomes, rows, fates, notes))
        tables.append("stages.csv", export.stages_table(clock, first, created, asked, score, sold, fates))
        self._count(len(web) + len(marketing) + len(sold.contacts), outcomes)

    def _noted(self, outcomes: pa.Table, rows: slice, fates: Fates, rng: np.random.Generator) -> pa.Table:
        closed = np.flatnonzero(fates.closed <= self.world.end * 86400)  # the rows of the table
        names = self.people.frame["first_name"].iloc[rows].to_numpy(object)
        addresses = np.array(export.emails(self.people, rows).to_pylist(), dtype=object)
        return with_comments(outcomes, names[closed], addresses[closed], rng)

    def _count(self, activities: int, outcomes: pa.Table) -> None:
        self.counts["activities"] += activities
        for row in outcomes["outcome"].value_counts().to_pylist():
            self.counts[row["values"]] += row["counts"]

    def _truth(
        self, rows: slice, effect: Multipliers, own: Events, unsubscribed: Ints, fates: Fates
    ) -> pa.Table:
        """Return the true probabilities of the leads that are open at the ages and days of the grid."""
        world, created = self.world, self.people.created[rows]
        end = int(world.end * 86400)
        by_age = created[:, None] + np.array(TRUTH_AGES_HOURS) * 3600
        by_day = np.broadcast_to(end - np.array(TRUTH_DAYS_BEFORE_END) * 86400, (len(created), 6))
        grid = np.sort(np.concatenate([by_age, by_day], axis=1), axis=1)
        repeated = np.concatenate([np.zeros((len(grid), 1), bool), grid[:, 1:] == grid[:, :-1]], axis=1)
        is_open = (created[:, None] < grid) & (grid < fates.closed[:, None]) & (grid <= end)
        lead, column = np.nonzero(is_open & ~repeated)
        as_of = grid[lead, column]
        now = situations(world, self.rhythms, lead, as_of, created, effect, own, unsubscribed)
        chances = win_within(world, self.rhythms, now, TRUTH_HORIZONS_DAYS)
        parts = [
            pa.table(
                {
                    "lead_id": export.lead_ids(lead + rows.start),
                    "as_of": self.clock.stamp(as_of),
                    "horizon_days": pa.array(np.full(len(lead), horizon, dtype=np.int32)),
                    "probability": pa.array(chances[:, nth]),
                }
            )
            for nth, horizon in enumerate(TRUTH_HORIZONS_DAYS)
        ]
        return pa.concat_tables(parts)


def _in_time(
    own: Events, following: Events, value: np.ndarray, without: float, until: Ints
) -> tuple[Events, np.ndarray]:
    """Return both kinds of events up to `until`, sorted, with the `value` that belongs to the second."""
    lead = np.concatenate([own.lead, following.lead])
    at = np.concatenate([own.at, following.at])
    kind = np.concatenate([own.kind, following.kind])
    values = np.concatenate([np.full(len(own), without, dtype=value.dtype), value])
    order = np.lexsort((at, lead))
    order = order[at[order] < until[lead[order]]]
    return Events(lead[order], at[order], kind[order]), values[order]
