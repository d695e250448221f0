"""What an endpoint knows of the request that it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import current_app, request

from .faults import Met
from .store import Store


def store() -> Store:
    return current_app.config["STORE"]


def number() -> int:
    """Return the number of the request that is being answered."""
    return request.environ["emulated.number"]


def met() -> Met:
    """Return the faults that this request meets."""
    return request.environ["emulated.met"]


def once(name: str, make: Callable[[], Any]) -> Any:
    """Return what `make` makes, made once a request."""
    kept = request.environ.setdefault("emulated.kept", {})
    if name not in kept:
        kept[name] = make()
    return kept[name]


def changed() -> None:
    """Forget what was made once: what it was made from is another now."""
    request.environ.pop("emulated.kept", None)


def saw(rows: int) -> None:
    """Say how many rows the request has, for the log."""
    request.environ["emulated.saw"]["rows"] = rows
