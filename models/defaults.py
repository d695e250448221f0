"""How the trees grow: settings that follow the number of wins in the training data.

LightGBM's own defaults suit hundreds of thousands of rows. Lead-sized data has tens to thousands
of wins, and what limits how much can be learned about a rare yes or no is the number of the rarer
answer (Peduzzi et al. 1996 on events per variable). So depth, randomness and step follow the wins.
``benchmarks/estimator_defaults.py`` prints the comparison behind the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

VERY_FEW_WINS = 40  # below, at most two questions a tree
FEW_WINS = 800  # below, split points are drawn at random, which averaging turns into smooth effects
MANY_WINS = 1500  # above, larger steps: half the trees to train, store and explain
VERY_MANY_WINS = 10_000  # above, deeper trees; a judgement, as no set of the benchmark is that large


@dataclass(frozen=True)
class Settings:
    """How one member grows.

    Attributes
    ----------
    depth
        Most questions between the root of a tree and a leaf; 1 gives a purely additive model.
    leaf_size
        Fewest rows in a leaf.
    leaf_wins
        Least sum of p(1 - p) over the rows of a leaf: about its wins, where wins are rare.
    learning_rate
        Step of one boosting round.
    penalty
        L2 penalty on the values of leaves, in the unit of `leaf_wins`.
    feature_share
        Share of the features that a tree may use.
    random_splits
        Draw one split point a feature at random, instead of searching for the best (Geurts et al.
        2006, "Extremely randomized trees").
    """

    depth: int
    leaf_size: int
    leaf_wins: float
    learning_rate: float
    penalty: float
    feature_share: float
    random_splits: bool

    def with_given(self, given: Mapping[str, Any]) -> Settings:
        """Return these settings with those of `given` that are not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, ready for JSON."""
        return asdict(self)

    def parameters(self) -> dict[str, Any]:
        """Return the settings as LightGBM parameters: one thread, deterministic, silent."""
        return {
            "objective": "binary",
            "max_depth": self.depth,
            "num_leaves": 2 ** min(self.depth, 6),
            "min_data_in_leaf": self.leaf_size,
            "min_sum_hessian_in_leaf": self.leaf_wins,
            "learning_rate": self.learning_rate,
            "lambda_l2": self.penalty,
            "feature_fraction": self.feature_share,
            "extra_trees": self.random_splits,
            "max_bin": 63,  # finer ones mostly cost time
            # Level against the rest, where levels are few: an optimal grouping of levels takes what
            # the season of the training window did for what the levels mean.
            "max_cat_to_onehot": 16,
            "min_data_per_group": self.leaf_size,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "feature_pre_filter": False,
            "verbose": -1,
        }


def settings_for(wins: int) -> Settings:
    """Return the settings for `wins` leads of the rarer outcome (won, or not won)."""
    if wins < VERY_FEW_WINS:
        depth = 2
    elif wins < VERY_MANY_WINS:
        depth = 3
    else:
        depth = 4
    return Settings(
        depth=depth,
        # Small leaves are safe: the penalty shrinks them, and rare but strong signs (an earlier
        # purchase, a referral) are found only by small leaves.
        leaf_size=10 if wins < FEW_WINS else 20,
        leaf_wins=1.0 if wins < FEW_WINS else 2.0,
        learning_rate=0.05 if wins < MANY_WINS else 0.1,
        penalty=5.0,
        feature_share=0.5,
        random_splits=wins < FEW_WINS,
    )
