"""What is true in the simulated world: every number its truth depends on, in one value.

A `World` is written next to the tables as ``truth/world.json``; the truth is computed from that file
and the exported tables alone. Times inside the simulation are days since `World.started`, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from features.errors import DataError
from pipeline.simulation import vocabulary

HORIZON_LIMIT_DAYS = 365.0

# How much one activity adds to the hazard of winning, per day, at the moment it happens.
NOTHING, FAINT, MILD, CLEAR, STRONG = 0.0, 0.00005, 0.0004, 0.0016, 0.0150


@dataclass(frozen=True)
class Kind:
    """One kind of activity that a lead does of its own accord.

    `strength` is what it adds to the hazard of winning per day, `rate` how many a day a lead of
    activity level 1 does in its first days, `points` what the old hand-made score gives for it.
    `asks` marks the kinds that ask for sales.
    """

    name: str
    table: str
    strength: float
    rate: float
    points: int
    asks: bool = False


# The old points were guessed: the case study and the webinar are overrated, the newsletter and the social
# follow say nothing of a later win, and the pricing page, the trial and the questions are underrated.
KINDS = (
    Kind("visit", "web", FAINT, 0.28, 1),
    Kind("repeated_visit", "web", FAINT, 0.0, 1),  # a visit, renamed when it is the third in a week
    Kind("long_visit", "web", MILD, 0.040, 1),
    Kind("pricing_page", "web", CLEAR, 0.045, 1),
    Kind("form_submitted", "web", MILD, 0.020, 5),
    Kind("awareness_content", "web", NOTHING, 0.030, 3),
    Kind("consideration_content", "web", FAINT, 0.020, 5),
    Kind("case_study", "web", FAINT, 0.022, 20),
    Kind("decision_content", "web", CLEAR, 0.022, 5),
    Kind("newsletter_subscribed", "marketing", NOTHING, 0.018, 5),
    Kind("social_follow", "marketing", NOTHING, 0.018, 5),
    Kind("webinar_registered", "marketing", NOTHING, 0.020, 10),
    Kind("ad_clicked", "marketing", FAINT, 0.040, 2),
    Kind("trade_fair_met", "marketing", MILD, 0.0, 10),
    Kind("wish_list_added", "marketing", FAINT, 0.014, 3),
    Kind("cart_filled", "marketing", CLEAR, 0.014, 5),
    Kind("trial_started", "marketing", STRONG, 0.005, 10, asks=True),
    Kind("demo_requested", "marketing", STRONG, 0.005, 10, asks=True),
    Kind("quote_requested", "marketing", STRONG, 0.004, 10, asks=True),
    Kind("contact_requested", "marketing", CLEAR, 0.005, 10, asks=True),
)

# What follows from something else; none of it moves the hazard except `webinar_attended`.
FOLLOWING_POINTS = {
    "page_viewed": 0,
    "webinar_attended": 10,
    "email_sent": 0,
    "email_opened": 1,
    "email_clicked": 2,
    "unsubscribed": -10,
}

KIND_NAMES = tuple(kind.name for kind in KINDS) + tuple(FOLLOWING_POINTS) + ("call", "meeting")


@dataclass(frozen=True)
class World:
    """Everything the truth depends on apart from the exported tables. Rates are per day.

    The hazard of winning of a lead at time t is ``fit x business(t) x (baseline(age) + intent(t))``,
    where ``intent`` sums the strengths of its activities, each fading as ``exp(-age / memory_days)``.
    """

    started: datetime = datetime(2024, 7, 1, tzinfo=UTC)
    ended: datetime = datetime(2026, 6, 30, tzinfo=UTC)
    zone: str = "Europe/Paris"
    kinds: tuple[Kind, ...] = KINDS

    memory_days: float = 16.0
    baseline: float = 0.0001
    baseline_days: float = 60.0

    activity_floor: float = 0.04
    activity_days: float = 20.0

    # Given up: nothing in the first days, most after weeks, and some never.
    exit_rate: float = 0.018
    exit_late_days: float = 75.0
    exit_early_days: float = 12.0
    unsubscribe_rate: float = 0.006
    unsubscribed_exit: float = 4.0

    # Webinars take place at fixed times known to all; who registered attends with one probability.
    first_webinar: datetime = datetime(2024, 7, 4, 9, tzinfo=UTC)
    webinar_every_days: float = 14.0
    attend_probability: float = 0.5
    attended_strength: float = CLEAR

    titles: Mapping[str, str] = field(default_factory=lambda: dict(vocabulary.SENIORITY_OF_TITLE))
    domains: Mapping[str, str] = field(default_factory=lambda: dict(vocabulary.CLASS_OF_DOMAIN))
    fit_effects: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {
            "industry": {
                "Software": 0.7,
                "Manufacturing": 0.45,
                "Logistics": 0.15,
                "Finance": 0.3,
                "Health": 0.0,
                "Retail": -0.4,
                "Consulting": -0.1,
                "Education": -0.8,
                "Public sector": -1.0,
                "Hospitality": -0.5,
            },
            "company_size": {"1-9": -0.9, "10-49": -0.2, "50-199": 0.55, "200-999": 0.35, "1000+": -0.05},
            "seniority": {"executive": 0.5, "leader": 0.55, "manager": 0.1, "staff": -0.45, "junior": -1.2},
            "email_class": {
                "personal": -0.55,
                "student": -1.7,
                "disposable": -2.2,
                "test": -30.0,
                "missing": -0.3,
            },
            "source": {
                "referral": 0.6,
                "partner": 0.35,
                "website": 0.1,
                "trade_fair": 0.05,
                "webinar": 0.0,
                "paid_ads": -0.25,
                "social": -0.4,
                "purchased_list": -1.0,
            },
        }
    )
    # Pairs of levels that count for more together.
    interactions: tuple[tuple[str, str, str, str, float], ...] = (
        ("industry", "Software", "seniority", "leader", 0.35),
        ("company_size", "200-999", "source", "referral", 0.4),
        ("company_size", "1-9", "seniority", "executive", 0.3),
    )
    activity_effects: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {
            "seniority": {"executive": -0.2, "leader": 0.1, "manager": 0.1, "staff": 0.0, "junior": 0.25},
            "source": {"referral": 0.15, "website": 0.2, "social": -0.1, "purchased_list": -0.9},
            "email_class": {"disposable": -0.7, "test": -1.5, "student": 0.2},
        }
    )
    asking_effects: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {
            "seniority": {"executive": 0.35, "leader": 0.35, "staff": -0.3, "junior": -1.0},
            "email_class": {"personal": -0.1, "student": -1.0, "disposable": -1.0},
        }
    )
    exit_effects: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {
            "email_class": {"personal": 0.2, "student": 0.5, "disposable": 1.3, "test": 3.0},
            "source": {"purchased_list": 0.5},
        }
    )

    def days(self, moment: datetime) -> float:
        """Return `moment` as days since `started`."""
        return (moment - self.started).total_seconds() / 86400.0

    @property
    def strengths(self) -> dict[str, float]:
        """What each kind of activity that matters adds to the hazard of winning per day."""
        own = {kind.name: kind.strength for kind in self.kinds if kind.strength > 0}
        return {**own, "webinar_attended": self.attended_strength}

    @property
    def points(self) -> dict[str, int]:
        """What the old hand-made score gives for each kind of activity."""
        return {**{kind.name: kind.points for kind in self.kinds}, **FOLLOWING_POINTS}

    @property
    def end(self) -> float:
        """The end of the log, in days since `started`."""
        return self.days(self.ended)


_JSON = TypeAdapter(World)


def write_world(world: World, path: Path) -> None:
    """Write `world` as JSON to `path`."""
    path.write_bytes(_JSON.dump_json(world, indent=1) + b"\n")


def read_world(directory: Path) -> World:
    """Return the world that `directory` was simulated from.

    Raises
    ------
    DataError
        When `directory` holds no ``truth/world.json``.
    """
    path = directory / "truth" / "world.json"
    if not path.is_file():
        raise DataError(
            "This folder has no known truth.",
            where=str(path),
            allowed="a folder written by 'propense simulate'",
            todo="simulate into a new folder and use that",
        )
    return _JSON.validate_json(path.read_bytes())
