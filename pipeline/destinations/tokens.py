"""Tokens that sign requests: had when first needed, renewed before they expire, and never told."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.destinations.answers import said, tidy
from pipeline.destinations.base import Fatal, Problem, Secret

if TYPE_CHECKING:
    from pipeline.destinations.http import Api

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Token:
    """What signs requests: fetched when first needed, and again shortly before it expires.

    Parameters
    ----------
    sign_in
        Returns the token and how many seconds it is good for, None if that is not known.
    renewable
        Whether signing in again gives another token; False for one that a person put into a file.
    scheme
        The first word of the header.

    Expiry is counted on a clock that nobody sets, so a moved one neither keeps an old token nor
    drops a good one.
    """

    def __init__(
        self,
        sign_in: Callable[[], tuple[str, float | None]],
        *,
        renewable: bool = True,
        scheme: str = "Bearer",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sign_in, self.renewable, self._scheme, self._clock = sign_in, renewable, scheme, clock
        self._value: str | None = None
        self._until = math.inf

    def header(self) -> str:
        """Return the value of the header ``Authorization``. Raises `Problem` if one cannot sign in."""
        if self._value is None or self._clock() >= self._until:
            asked = self._clock()
            value, seconds = self._sign_in()
            if not _TOKEN.fullmatch(value):
                raise Fatal("A token has characters that no token has.", todo="copy it again")
            self._value = value
            # A fifth of a short life, a minute of a long one: a slow call must still find it good.
            self._until = math.inf if seconds is None else asked + seconds - min(60.0, seconds / 5)
        return f"{self._scheme} {self._value}"

    def drop(self) -> bool:
        """Forget the token, as it was not accepted; return whether a fresh one can be had."""
        if self.renewable:
            self._value = None
        return self.renewable

    def hide(self, text: str) -> str:
        """Return `text` without the token."""
        return text.replace(self._value, "…") if self._value else text

    def __repr__(self) -> str:
        return "Token(…)"


def token_of(
    secret: Secret | None, root: Path, api: Api, path: str, form: Mapping[str, str | Secret | None]
) -> Token:
    """Return the token that a person put somewhere, or else one that is signed in for at `path`.

    Secrets are read when the token is first needed: a command that needs none does not ask for them.
    """
    if secret is not None:
        return Token(lambda: (secret.read(root), None), renewable=False)

    def sign_in() -> tuple[str, float | None]:
        plain = {
            name: part.read(root) if isinstance(part, Secret) else part or "" for name, part in form.items()
        }
        return grant(api, path, plain)

    return Token(sign_in)


def grant(api: Api, path: str, form: Mapping[str, str]) -> tuple[str, float | None]:
    """Sign in by OAuth 2 (RFC 6749): return an access token, and how many seconds it is good for.

    Raises
    ------
    Problem
        `Fatal` if the credentials are not accepted. No part of `form` is ever told.
    """
    try:
        response = api.request("POST", path, data=form, signed=False)
    except Problem as problem:  # the client knows the token alone, and an answer may quote what was sent
        raise veiled(problem, lambda text: _without(text, form.values())) from None
    answer = api.parse(response) if response.status_code < 400 else None
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and isinstance(token, str):
        seconds = answer.get("expires_in")
        return token, float(seconds) if isinstance(seconds, int | float) else None
    text = _without(said(response), form.values())
    raise Fatal(
        f"{api.host} does not accept the sign-in ({response.status_code}): {tidy(text) or 'no token'}",
        todo="check the client's id and secret, and that the app is allowed to sign in this way",
    )


def veiled(problem: Problem, hide: Callable[[str], str]) -> Problem:
    """Return a problem whose text `hide` has gone over."""
    problem.text = hide(problem.text)
    problem.args = (problem.text,)
    return problem


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text
