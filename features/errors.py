"""The one family of errors: what was given, what is allowed, what to do next, and where.

Every error a user can cause is a `PropenseError`; the command line prints its message without a
traceback and exits with its `exit_status`:

====== ====================================================================================
status meaning
====== ====================================================================================
2      the user's mistake: a configuration, a file, a column, an argument
3      the data cannot support the job: too few wins, one class only
4      a promise that failed: a gate, a monitor
5      not all scores were delivered: run the command again (it goes on where it stopped)
6      all scores were delivered but those that were refused: see `propense sync failures`
130    interrupted: nothing half-written is left; run the command again
====== ====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PropenseError(Exception):
    """An error with a message for people.

    Parameters
    ----------
    given
        What was found, in one sentence.
    allowed
        What would have been right.
    todo
        What to do next.
    where
        File, table, column, row count or example, whatever locates it.
    """

    exit_status = 2
    title = "Error"

    def __init__(self, given: str, *, allowed: str = "", todo: str = "", where: str = "") -> None:
        self.given = given
        self.allowed = allowed
        self.todo = todo
        self.where = where
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole message, one labelled line for each part that there is."""
        parts = [self.given]
        if self.where:
            parts.append(f"  where:   {self.where}")
        if self.allowed:
            parts.append(f"  allowed: {self.allowed}")
        if self.todo:
            parts.append(f"  next:    {self.todo}")
        return "\n".join(parts)


class ConfigurationError(PropenseError):
    """The configuration or an argument cannot be used."""

    title = "Configuration"


class DataError(PropenseError):
    """A file, table, column or value is not what the configuration says it is."""

    title = "Data"


class BundleError(PropenseError):
    """A trained model is missing, altered, or does not fit the data it is asked to score."""

    title = "Model"


class UnsupportedData(PropenseError):
    """The data is well formed but cannot support the job, for example with too few wins."""

    exit_status = 3
    title = "Not enough to go on"


class BrokenPromise(PropenseError):
    """A gate or a monitor found that a promise did not hold."""

    exit_status = 4
    title = "Broken promise"


class DeliveryError(PropenseError):
    """Scores could not be written to their destination."""

    title = "Delivery"


class Undelivered(DeliveryError):
    """Scores are still to be delivered, by another run or later; nothing is lost."""

    exit_status = 5
    title = "Delivery"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the known name nearest to `name`, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'?" if close else ""


def listed(names: Iterable[object], most: int = 8) -> str:
    """Return `names` as a readable list that is cut, and says so, after `most` entries."""
    texts = [str(name) for name in names]
    rest = len(texts) - most
    shown = ", ".join(texts[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown
