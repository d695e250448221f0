"""How the members of `LeadClassifier` grow: side by side, each on its own bootstrap of the leads.

They stop together, when the *average* of them no longer improves on rows they were not trained on.
Stopping each by itself would stop too early: averaging takes away much of what a single member
loses by fitting noise. The rows are the stopping slice and, for each member, those of
the leads its bootstrap left out (Breiman 1996, "Out-of-bag estimation"); a small slice alone is
too noisy a judge when wins are few. Where the market drifts, the slice alone does no better either:
on rolling origins of five public sets (``benchmarks/estimator_defaults.py --origins``) neither
judging by it alone, nor letting it choose the simplest of several depths, came out ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from threading import Lock
from typing import TypeVar

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from models.defaults import Settings
from models.labels import Floats, log_losses

CHUNK = 10  # rounds between two looks at the held-out loss
PATIENCE = 6  # looks without improvement before the boosting stops
LEAST_GAIN = 1e-6  # of the mean log loss; less is rounding
# LightGBM may crash the process where two threads construct data at the same moment; growing trees is safe.
_ONE_AT_A_TIME = Lock()

T = TypeVar("T")


@dataclass(frozen=True)
class Rows:
    """What members learn from: (n, p) features and n labels, positions of leads (0 ...) and weights."""

    matrix: Floats
    y: Floats
    group: NDArray[np.int64]
    weight: Floats

    def __post_init__(self) -> None:
        if not len(self.matrix) == len(self.y) == len(self.group) == len(self.weight):
            raise DataError(
                "Features, labels and groups have different lengths.",
                where=f"{len(self.matrix)} rows, {len(self.y)} labels, {len(self.group)} groups",
            )

    @property
    def won(self) -> NDArray[np.bool_]:
        """Whether each group has a win."""
        return np.bincount(self.group, weights=self.y) > 0

    def plus(self, later: Rows) -> Rows:
        """Return these rows followed by `later` ones, whose groups are other groups."""
        return Rows(
            np.asfortranarray(np.vstack([self.matrix, later.matrix])),
            np.append(self.y, later.y),
            np.append(self.group, later.group + self.group.max() + 1),
            np.append(self.weight, later.weight),
        )


@dataclass(frozen=True)
class Member:
    """One booster while it grows, and how often each of its training rows was drawn."""

    booster: lgb.Booster
    drawn: NDArray[np.int64]

    def boost(self, rounds: int) -> None:
        """Grow by up to `rounds` trees; a round in which nothing can be split adds none."""
        for _ in range(rounds):
            self.booster.update()

    def gain(self, matrix: Floats, first: int) -> Floats:
        """Return what the trees from `first` on add to the margin of each row of `matrix`."""
        more = self.booster.num_trees() - first
        if more <= 0 or not len(matrix):
            return np.zeros(len(matrix))
        added = self.booster.predict(
            matrix, raw_score=True, start_iteration=first, num_iteration=more, num_threads=1
        )
        return np.asarray(added, dtype=np.float64)


@dataclass(frozen=True)
class Grower:
    """Everything about growing that is the same for all members."""

    settings: Settings
    categories: list[int]
    signs: list[int]
    seed: int
    members: int
    threads: int

    def until_flat(self, rows: Rows, later: Rows | None, most: int) -> tuple[list[str], int]:
        """Grow until the held-out loss of the average is flat.

        Returns
        -------
        The members as LightGBM texts, cut at the best round, and that round.
        """
        with ThreadPoolExecutor(self.threads, initializer=_silence) as pool:
            members = self._start(rows, pool)
            watch = HeldOut(members, rows, later)
            best, best_loss, sizes = 0, np.inf, []
            for rounds in range(CHUNK, most + CHUNK, CHUNK):
                step = min(CHUNK, most - (rounds - CHUNK))
                list(pool.map(Member.boost, members, repeat(step)))
                loss = watch.look(pool)
                if loss < best_loss - LEAST_GAIN:
                    best, best_loss = min(rounds, most), loss
                    sizes = [member.booster.num_trees() for member in members]
                elif rounds - best >= PATIENCE * CHUNK:
                    break
        return [_text(member, size) for member, size in zip(members, sizes, strict=True)], best

    def exactly(self, rows: Rows, rounds: int) -> list[str]:
        """Return members grown for `rounds` rounds, as LightGBM texts."""
        with ThreadPoolExecutor(self.threads, initializer=_silence) as pool:
            members = self._start(rows, pool)
            for done in range(0, rounds, CHUNK):  # in steps, so that Ctrl-C need not wait for the end
                list(pool.map(Member.boost, members, repeat(min(CHUNK, rounds - done))))
        return [_text(member, member.booster.num_trees()) for member in members]

    def _start(self, rows: Rows, pool: ThreadPoolExecutor) -> list[Member]:
        draws = [self.drawn(rows, position) for position in range(self.members)]
        return _all(pool, lambda position: self._member(rows, draws[position], position), self.members)

    def drawn(self, rows: Rows, position: int) -> NDArray[np.int64]:
        """Return how often each row is drawn: won and other leads apart, each with replacement.

        Drawing them apart keeps the number of wins, so a member never has too few by chance and
        the members do not disagree about the base rate, which calibration settles.
        """
        rng = np.random.default_rng([self.seed, position])
        count = np.zeros(len(rows.won), dtype=np.int64)
        for kind in (True, False):
            pool = np.flatnonzero(rows.won == kind)
            if len(pool):
                np.add.at(count, rng.choice(pool, len(pool)), 1)
        return count[rows.group]

    def _member(self, rows: Rows, drawn: NDArray[np.int64], position: int) -> Member:
        chosen = np.flatnonzero(drawn)
        parameters = self.settings.parameters() | {
            "monotone_constraints": self.signs if any(self.signs) else None,
            "seed": 1 + 1000 * self.seed + position,
        }
        data = lgb.Dataset(
            rows.matrix[chosen],
            rows.y[chosen],
            weight=(rows.weight * drawn)[chosen],
            categorical_feature=self.categories,
            params=parameters,
            free_raw_data=True,
        )
        with _ONE_AT_A_TIME:
            return Member(lgb.Booster(parameters, data), drawn)


class HeldOut:
    """The log loss of the averaged members on rows that did not train them, kept up as they grow."""

    def __init__(self, members: list[Member], rows: Rows, later: Rows | None) -> None:
        self.members = members
        self.out = [np.flatnonzero(member.drawn == 0) for member in members]
        times_out = np.sum([member.drawn == 0 for member in members], axis=0)
        self.judged = times_out > 0
        self.times_out = times_out[self.judged]
        self.rows, self.later = rows, later
        # A copy for each member is what random access in every look would cost again and again.
        self.out_matrix = [np.ascontiguousarray(rows.matrix[out]) for out in self.out]
        self.out_sum = np.zeros(len(rows.y))
        self.later_sum = np.zeros(0 if later is None else len(later.y))
        self.trees = [0] * len(members)

    def look(self, pool: ThreadPoolExecutor) -> float:
        """Return the weighted mean log loss, in nats, of the members as they are now."""
        for position, (out, later) in enumerate(_all(pool, self._gains, len(self.members))):
            self.out_sum[self.out[position]] += out
            self.later_sum += later
            self.trees[position] = self.members[position].booster.num_trees()
        y, weight = self.rows.y[self.judged], self.rows.weight[self.judged]
        margin = self.out_sum[self.judged] / self.times_out
        if self.later is not None:
            y, weight = np.append(y, self.later.y), np.append(weight, self.later.weight)
            margin = np.append(margin, self.later_sum / len(self.members))
        return float(np.average(log_losses(y, margin), weights=weight)) if len(y) else 0.0

    def _gains(self, position: int) -> tuple[Floats, Floats]:
        member, first = self.members[position], self.trees[position]
        later = np.zeros(0) if self.later is None else member.gain(self.later.matrix, first)
        return member.gain(self.out_matrix[position], first), later


def _all(pool: ThreadPoolExecutor, task: Callable[[int], T], members: int) -> list[T]:
    return list(pool.map(task, range(members)))


def _silence() -> None:
    """Silence LightGBM in this thread: how much it says is remembered for each thread apart."""
    with _ONE_AT_A_TIME:
        lgb.Dataset(np.zeros((2, 1)), params={"verbose": -1}).construct()


def _text(member: Member, trees: int) -> str:
    return str(member.booster.model_to_string(num_iteration=trees))
