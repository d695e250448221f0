"""How a Tryton server is spoken to: signing in, calling a method, and what its errors mean.

Its remote calls are JSON-RPC over HTTP. Much of what goes wrong comes as an error inside a 200; what a
user may not do, and what a record may not hold, look the same there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipeline.destinations.answers import retry_after
from pipeline.destinations.base import Fatal, Problem, Refused, Retriable
from pipeline.destinations.http import Api
from pipeline.destinations.tokens import Token

if TYPE_CHECKING:
    import httpx

# Tryton counts the wrong sign-ins of the last minutes, those that it did not even look at among them:
# whoever comes back more often than once a minute keeps the door shut.
_SIGN_IN_AGAIN = 60.0


class Server:
    """One database of a Tryton server, for one user.

    Parameters
    ----------
    api
        The client of the server; from here on it signs in when it has to.
    password
        Is called when one signs in, so that it is held no longer than needed.
    """

    def __init__(self, api: Api, database: str, user: str, password: Callable[[], str]) -> None:
        self.api, self.database, self.user, self._password = api, database, user, password
        self._path = f"/{quote(database, safe='')}/rpc/"
        # A session that was revoked or has expired is a 401, upon which the client signs in once more.
        api.token = Token(self._sign_in, scheme="Session")
        api.meaning = self._meaning

    def call(self, method: str, *params: Any, context: dict[str, Any] | None = None) -> Any:
        """Call a method, as "model.sale.opportunity.write", and return its result.

        Raises
        ------
        Problem
            `Refused` for whatever the server, a module of it or its database has against the call;
            nothing was changed then.
        """
        return self._ask(method, [*params, context or {}])

    def look(self, method: str, *params: Any) -> Any:
        """Call a method that changes nothing: where that is refused, a person has to help."""
        try:
            return self.call(method, *params)
        except Refused as problem:
            raise Fatal(problem.text, todo=f"see what Tryton's user {self.user!r} may do") from None

    def _ask(self, method: str, params: list[Any], *, signed: bool = True) -> Any:
        body = {"id": 1, "method": method, "params": params}
        answer = self.api.ask("POST", self._path, json=body, signed=signed)
        if not isinstance(answer, dict) or not {"result", "error"} & set(answer):
            raise Fatal(
                f"{self.api.host} does not answer as Tryton does.", todo="correct the url", applied=True
            )
        if answer.get("error"):
            raise self._problem(answer["error"])
        return answer.get("result")

    def _sign_in(self) -> tuple[str, None]:
        given = [self.user, {"password": self._password()}]
        try:
            user, session, *_ = self._ask("common.db.login", given, signed=False) or [None, None]
        except Refused as problem:
            raise Fatal(problem.text, todo=f"see why {self.user!r} cannot sign in") from None
        if session is None:
            raise self._unknown()
        # When a session ends is for the server to say; each use prolongs it.
        return base64.b64encode(f"{self.user}:{user}:{session}".encode()).decode(), None

    def _problem(self, error: Any) -> Problem:
        """Return what an error inside a 200 means; it is a name with its details, or a Python exception."""
        name, details = (*error, None, None)[:2] if isinstance(error, list) else (error, None)
        texts = [str(text) for text in details if isinstance(text, str) and text] if details else []
        if name == "ConcurrencyException":
            return Retriable("Somebody changed a record between its being read and being written.")
        if name == "LoginException":
            return Fatal(
                f"Tryton wants more than a password of the user {self.user!r}.",
                todo="give propense a user of its own who signs in by password alone",
            )
        if name == "UserError" and isinstance(details, list):
            return Refused(self.api.tell(" ".join(texts)))
        if name == "UserWarning" and isinstance(details, list):
            return Refused(self.api.tell(" ".join(texts[1:])))
        return Refused(f"an error in Tryton: {self.api.tell(str(name))}")

    def _meaning(self, response: httpx.Response) -> Problem | None:
        """Return what a status means that Tryton uses in its own way."""
        status, host = response.status_code, self.api.host
        if status == 404:
            return Fatal(f"{host} has no database {self.database!r}.", todo="correct `database` or the url")
        if status == 401:
            return self._unknown()
        if status == 429 and "Authorization" not in response.request.headers:
            after = retry_after(response) or _SIGN_IN_AGAIN
            return Retriable(f"{host} has seen too many wrong sign-ins of {self.user!r}.", after=after)
        return None

    def _unknown(self) -> Fatal:
        return Fatal(
            f"{self.api.host} does not accept the user {self.user!r} with this password.",
            todo="correct `user` or the password; too many wrong ones shut it for minutes",
        )
