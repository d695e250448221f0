"""Who the leads are: companies, their people, and the flaws of a real CRM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.simulation import vocabulary as words
from pipeline.simulation.rhythm import Rhythms, seconds
from pipeline.simulation.traits import TRAITS
from pipeline.simulation.world import World

Ints = npt.NDArray[np.int64]

_PEOPLE_OF_AN_ACCOUNT = (0.50, 0.20, 0.11, 0.07, 0.05, 0.03, 0.02, 0.02)  # 1 to 8 people
_EMAIL_CLASSES = ("corporate", "personal", "student", "disposable", "test", "missing")
_EMAIL_WITH_ACCOUNT = (0.86, 0.09, 0.01, 0.01, 0.0, 0.03)
_EMAIL_WITHOUT = (0.28, 0.48, 0.11, 0.08, 0.0, 0.05)
_GROWTH = 0.9  # how much busier the last day is than the first
FLAWS = ("", "duplicate", "test", "spam", "bot")
_FAIR_DAYS = (80, 130, 250, 300, 445, 495, 615, 665)


@dataclass(frozen=True)
class People:
    """All leads, in the order of their creation; arrays of shape (leads,).

    `frame` holds the traits and the other attributes as categories; `person` is the index of the lead
    under which the same person appeared first, `spelling` how its address is written there, `flaw` an
    index into `FLAWS`, `organisation` the company, an account where `has_account`.
    """

    created: Ints
    frame: pd.DataFrame
    person: Ints
    spelling: Ints
    flaw: Ints
    organisation: Ints
    has_account: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.created)


def draw_people(world: World, rhythms: Rhythms, leads: int, rng: np.random.Generator) -> People:
    """Return `leads` fictional people with the companies they belong to."""
    has_account, organisation = _organisations(leads, rng)
    source = _choose(words.SOURCES, leads, rng)
    created = _created(world, rhythms, organisation, np.asarray(source == "trade_fair"), rng)
    order = np.argsort(created, kind="stable")
    created, organisation, source = created[order], organisation[order], source[order]
    joined = has_account[organisation]
    frame = _attributes(organisation, joined, len(has_account), rng)
    frame["source"] = source
    person, flaw = _flaws(created, frame, joined, rng)
    spelling = np.where(flaw == FLAWS.index("duplicate"), rng.integers(1, 4, leads), 0)
    own = frame["source"]
    frame = frame.iloc[person].reset_index(drop=True)
    frame["source"] = own
    frame.loc[flaw == FLAWS.index("test"), "email_class"] = "test"
    frame["domain"] = _domains(frame["email_class"], person)
    return People(created, frame, person, spelling, flaw, organisation[person], joined[person])


def _organisations(leads: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Return which organisations are accounts, and the organisation of each lead, not yet in order."""
    has_account = rng.random(leads) < 0.68
    size = np.where(has_account, rng.choice(np.arange(1, 9), leads, p=_PEOPLE_OF_AN_ACCOUNT), 1)
    organisation = np.repeat(np.arange(leads), size)[:leads]
    return has_account[: organisation[-1] + 1], organisation


def _created(
    world: World, rhythms: Rhythms, organisation: Ints, fair: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Ints:
    """Return creation times: growing, in the people's rhythm, colleagues near each other."""
    last = world.end - 0.1
    grid = np.linspace(0.0, last, int(last * 24))
    mass = rhythms.people.mass(grid)
    busy = np.concatenate([[0.0], np.cumsum(np.diff(mass) * (1 + _GROWTH * grid[1:] / last))])
    first = np.interp(rng.random(organisation[-1] + 1) * busy[-1], busy, mass)[organisation]
    colleague = np.concatenate([[False], organisation[1:] == organisation[:-1]])
    later = first + np.where(colleague, rng.exponential(40.0, len(first)), 0.0)
    again = first + rng.random(len(first)) * (mass[-1] - first)
    created = np.interp(np.where(later < mass[-1], later, again), mass, grid)
    fairs = np.array(_FAIR_DAYS)[rng.choice(8, len(first), p=np.arange(8, 16) / 92.0)]
    on_fair = fairs + rng.integers(0, 3, len(first)) + rng.uniform(8.0, 16.0, len(first)) / 24
    return seconds(np.where(fair, on_fair, created))


def _choose(shares: dict[str, float], size: int, rng: np.random.Generator) -> pd.Categorical[str]:
    """Return `size` levels drawn by their shares; the empty level, which is the last one, is missing."""
    levels = [name for name in shares if name]
    codes = rng.choice(len(shares), size, p=np.array(list(shares.values())) / sum(shares.values()))
    codes = np.where(codes < len(levels), codes, -1)
    return _coded(codes, levels)


def _coded(codes: Ints, levels: Sequence[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, categories=pd.Index(levels))


def _attributes(
    organisation: Ints, joined: npt.NDArray[np.bool_], organisations: int, rng: np.random.Generator
) -> pd.DataFrame:
    leads = len(organisation)
    frame = pd.DataFrame(
        {
            "industry": _choose(words.INDUSTRIES, organisations, rng)[organisation],
            "company_size": _choose(words.SIZES, organisations, rng)[organisation],
            "country": _choose(words.COUNTRIES, organisations, rng)[organisation],
        }
    )
    with_account = rng.choice(6, leads, p=_EMAIL_WITH_ACCOUNT)
    email = np.where(joined, with_account, rng.choice(6, leads, p=_EMAIL_WITHOUT))
    seniority = rng.choice(5, leads, p=words.SENIORITY_SHARES)
    seniority = np.where(email == _EMAIL_CLASSES.index("student"), 4, seniority)
    titles = list(words.SENIORITY_OF_TITLE)
    sizes = np.array([len(words.TITLES[level]) for level in words.SENIORITIES])
    title = (np.cumsum(sizes) - sizes)[seniority] + (rng.random(leads) * sizes[seniority]).astype(np.int64)
    title = np.where(rng.random(leads) < 0.06, -1, title)
    frame["email_class"] = _coded(email, _EMAIL_CLASSES)
    frame["job_title"] = _coded(title, titles)
    frame["seniority"] = _coded(np.where(title < 0, -1, seniority), words.SENIORITIES)
    frame["first_name"] = _coded(rng.integers(0, 40, leads), words.FIRST_NAMES)
    frame["last_name"] = _coded(rng.integers(0, 40, leads), words.LAST_NAMES)
    return frame


def _domains(email_class: pd.Series, person: Ints) -> pd.Categorical[str]:
    """Return the domain of each address that is not the company's own; the same for the same person."""
    code = np.full(len(person), -1)
    names = list(words.CLASS_OF_DOMAIN)
    for level, domains in words.DOMAINS.items():
        chosen = names.index(domains[0]) + (person * 7919) % len(domains)
        code = np.where((email_class == level).to_numpy(), chosen, code)
    return _coded(code, names)


def _flaws(
    created: Ints, frame: pd.DataFrame, joined: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return whom each lead really is (an earlier lead for a duplicate), and its flaw."""
    leads = len(created)
    index = np.arange(leads)
    draw = rng.random(leads)
    test = (draw < 0.012) & ~joined
    test |= (draw < 0.012) & (rng.random(leads) < 0.5)
    spam = ~test & (frame["email_class"] == "disposable").to_numpy() & (rng.random(leads) < 0.35)
    bot = ~test & (frame["email_class"] == "corporate").to_numpy() & (draw > 0.972)
    flaw = np.select([test, spam, bot], [2, 3, 4], 0)
    back = created - (rng.uniform(0.2, 45.0, leads) * 86400).astype(np.int64)
    original = np.minimum(np.searchsorted(created, back), index - 1)
    candidate = (draw > 0.02) & (draw < 0.044) & (flaw == 0) & (original >= 0)
    has_address = (frame["email_class"] != "missing").to_numpy()
    fresh = (flaw[original] == 0) & ~candidate[original] & has_address[original]
    duplicate = candidate & fresh
    return np.where(duplicate, original, index), np.where(duplicate, 1, flaw)


def traits(people: People, rows: slice) -> pd.DataFrame:
    """Return the traits of some of the people, as `Multipliers.of` takes them."""
    return people.frame.iloc[rows][list(TRAITS)]
