"""One small HTTP client for all destinations that are spoken to over the web.

It knows pacing, signing in, and what a status means; what an answer means beyond that is for the
destination to say. Nothing that it raises or prints tells a token, a secret or an e-mail address.
"""

from __future__ import annotations

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator

from pipeline.destinations.answers import retry_after, said, tidy
from pipeline.destinations.base import Destination, Fatal, Problem, Refused, Retriable
from pipeline.destinations.tokens import Token, veiled

if TYPE_CHECKING:
    import httpx
    from pyrate_limiter import InMemoryBucket

    Meaning = Callable[[httpx.Response], Problem | None]

__all__ = ["Api", "Token", "Url", "WebDestination"]

_LOCAL = ("localhost", "127.0.0.1", "::1")


def _safe(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('an address is written like "https://crm.example.com"')
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            "an address has no user, password or query in it; secrets have settings of their own"
        )
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise ValueError("http:// would send secrets in clear; write https://")
    return url.rstrip("/")


# The address of a server: TLS, but on this machine.
Url = Annotated[str, AfterValidator(_safe)]


class Api:
    """A server that is spoken to over HTTP.

    Parameters
    ----------
    url
        Its address; a path given to `request` comes after it.
    timeout
        Seconds until an answer is given up.
    per_10_seconds
        How many requests it allows in 10 s, None for no limit. They are spaced evenly, not sent in a
        burst followed by a pause: so a process that is killed and started again cannot exceed the
        window, although it does not know what its predecessor sent.
    token
        What signs requests; may be set later, as signing in may take a request.
    meaning
        Says what an answer means before its status does; None leaves it to the status.
    transport
        Takes the place of the network, in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30,
        per_10_seconds: float | None = None,
        token: Token | None = None,
        meaning: Meaning | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self.host = url, urlsplit(url).hostname or url
        self.name = "The server"  # to people; a destination puts its own
        self.timeout, self.per_10_seconds = timeout, per_10_seconds
        self.token, self.meaning, self.transport = token, meaning, transport
        self.sleep, self.clock = sleep, clock
        self._closed_until = -math.inf
        self._spoke = False

    def __repr__(self) -> str:
        return f"Api({self.url})"

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: str | bytes | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        signed: bool = True,
    ) -> httpx.Response:
        """Send one request, and return its answer: a success, or a 4xx that the destination explains.

        Raises
        ------
        Problem
            `Retriable` for 408, 429 and 5xx, a time-out and a lost connection; `Fatal` for 401, 403 and
            a redirection; whatever `meaning` says.
        """
        asked = {"json": json, "content": content, "data": data, "params": params}
        given = {name: value for name, value in asked.items() if value is not None}
        response = self._send(method, path, headers or {}, given, signed)
        if signed and self.token is not None and _is_unknown(response) and self.token.drop():
            # Ended before its time. One fresh sign-in; if that is not accepted either, a person helps.
            response = self._send(method, path, headers or {}, given, signed)
        problem = (self.meaning(response) if self.meaning else None) or self._problem(response)
        if isinstance(problem, Retriable) and problem.after:
            self._closed_until = self.clock() + problem.after
        if problem is not None:
            raise veiled(problem, self.token.hide) if self.token else problem
        return response

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """Send one request as `request` does, and return the JSON of its answer, None if it is empty.

        Raises
        ------
        Problem
            As `request` and `parse`; `Refused` for a 4xx that is left, `Fatal` where there is nothing of
            that address.
        """
        return self.parse(self.accepted(self.request(method, path, **given)))

    def ask_object(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """Do as `ask` where the answer is an object. Raises `Retriable` if it is none."""
        answer = self.ask(method, path, **given)
        if isinstance(answer, dict):
            return answer
        raise Retriable(f"{self.host} gave an answer that says nothing.", applied=True)

    def accepted(self, response: httpx.Response) -> httpx.Response:
        """Return an answer that is a success. Raises `Fatal` or `Refused` for one that is not, as `ask`."""
        status = response.status_code
        if status in (404, 405, 410):
            where = response.request.url.path
            raise Fatal(f"{self.host} has no {where} ({status}){self.said(response)}", todo="correct the url")
        if status >= 400:
            raise Refused(f"{self.host} refused the request ({status}){self.said(response)}")
        return response

    def parse(self, response: httpx.Response) -> Any:
        """Return the JSON of an answer, None if it is empty.

        An answer that is no JSON is not the destination's: a proxy's page, a wrong address. Raises `Fatal`
        if it never spoke JSON, `Retriable` if it did before.
        """
        if not response.content:
            return None
        try:
            answer = response.json()
        except ValueError:  # also text that is not in its encoding
            raise self.strange(response) from None
        self._spoke = True
        return answer

    def strange(self, response: httpx.Response) -> Problem:
        """Return what it means that an answer is not of the type that was asked for."""
        kind = response.headers.get("content-type", "").partition(";")[0] or "nothing known"
        text = f"{self.host} did not answer as it should, but with {kind} ({response.status_code})"
        if self._spoke:
            return Retriable(f"{text}: something between here and there answers in its place.", applied=True)
        return Fatal(f"{text}.", todo="correct the url; ask whether a proxy stands between", applied=True)

    def said(self, response: httpx.Response) -> str:
        """Return how a sentence about an answer ends: with what it says to people, or a full stop."""
        text = self.tell(said(response))
        return f": {text}" if text else "."

    def tell(self, text: str) -> str:
        """Return a text of the destination as it may be shown: short, without token or e-mail address."""
        return tidy(self.token.hide(text) if self.token else text)

    def close(self) -> None:
        """Let go of the connection."""
        if "_client" in self.__dict__:
            self._client.close()

    # One request, without a judgement.

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        for name in ("httpx", "httpcore"):  # they would log each address with its query
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            return httpx.Client(
                base_url=self.url,
                timeout=self.timeout,
                follow_redirects=False,
                transport=self.transport,
                trust_env=self.host not in _LOCAL,  # a company's proxy and certificates, not for this machine
                headers={"Accept": "application/json", "User-Agent": "propense"},
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            # Without the library's own text: it may quote the password in a proxy's address.
            kind = type(error).__name__
            raise Fatal(
                f"{self.host} cannot be spoken to with these proxies and certificates ({kind}).",
                todo="correct HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR, or the url",
            ) from None

    @cached_property
    def _bucket(self) -> InMemoryBucket | None:
        from pyrate_limiter import InMemoryBucket, Rate

        if self.per_10_seconds is None:
            return None
        return InMemoryBucket([Rate(1, math.ceil(10_000 / self.per_10_seconds))])

    def _turn(self) -> None:
        """Wait for this request's turn. A longer wait that the destination asked for is the caller's."""
        left = self._closed_until - self.clock()
        if left > 1:
            raise Retriable(f"{self.host} asked to wait.", after=left)
        if left > 0:
            self.sleep(left)
        if self._bucket is not None:
            self._wait_for_room(self._bucket)

    def _wait_for_room(self, bucket: InMemoryBucket) -> None:
        from pyrate_limiter import RateItem

        while True:
            request = RateItem(self.host, int(self.clock() * 1000))
            bucket.leak(request.timestamp)  # what is past need not be kept
            if bucket.put(request):
                return
            # Asked again after the wait: if it took longer, the next request keeps its distance to this one.
            self.sleep((cast("int", bucket.waiting(request)) + 1) / 1000)

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], given: Mapping[str, Any], signed: bool
    ) -> httpx.Response:
        import httpx

        sign = {"Authorization": self.token.header()} if signed and self.token is not None else {}
        self._turn()
        try:
            return self._client.request(method, path, headers={**headers, **sign}, **given)
        except httpx.TransportError as error:
            # Without the library's own text: it may quote the header that it could not send.
            raise self._lost(error) from None
        except httpx.HTTPError as error:
            raise Retriable(f"{self.host}: {type(error).__name__}.", applied=True) from None

    def _lost(self, error: httpx.TransportError) -> Problem:
        import httpx

        kind = type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return Fatal(
                f"The certificate of {self.host} cannot be verified.",
                todo="correct the url, or name your company's certificates in SSL_CERT_FILE",
            )
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            return Fatal(f"A request to {self.host}: {kind}.", todo="correct the url and the token")
        # With a proxy's error too nothing was sent: it did not open the way there.
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            return Retriable(
                f"{self.name} cannot be reached at {self.host} ({kind}); see that this machine may open "
                f"{urlsplit(self.url).scheme} connections there: name, proxy, firewall."
            )
        return Retriable(f"{self.host}: {kind}.", applied=not isinstance(error, httpx.PoolTimeout))

    # What an answer means.

    def _problem(self, response: httpx.Response) -> Problem | None:
        status, said = response.status_code, self.said(response)
        if 300 <= status < 400:
            return Fatal(
                f"{self.host} answers from elsewhere ({status}), which is not followed.",
                todo="correct the url",
            )
        if status == 429:
            return Retriable(f"{self.host} has too many requests (429){said}", after=retry_after(response))
        if status == 408 or status >= 500:
            return Retriable(
                f"{self.host} has an error ({status}){said}", after=retry_after(response), applied=True
            )
        if status == 401:
            return Fatal(
                f"{self.host} does not accept the sign-in (401){said}", todo="renew the token or secret"
            )
        if status == 403:
            return Fatal(
                f"{self.host} does not allow this (403){said}", todo="give the token the permissions it needs"
            )
        return None


def _is_unknown(response: httpx.Response) -> bool:
    """Whether an answer says that the token is not known. Some servers say so with 403."""
    words = ("INVALID_SESSION_ID", "INVALID_AUTHENTICATION", "EXPIRED_AUTHENTICATION")
    status = response.status_code
    return status == 401 or (status == 403 and any(word in response.text for word in words))


class WebDestination(Destination):
    """A destination that is spoken to over HTTP. Subclasses say how in `connect`."""

    # Taken by `connect`; tests put others in their place.
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = staticmethod(time.sleep)

    @abstractmethod
    def connect(self) -> Api:
        """Return the client, without a request sent."""

    @cached_property
    def api(self) -> Api:
        """The client; made when first needed."""
        api = self.connect()
        api.name = type(self).__name__
        return api

    def classify(self, error: Exception) -> Problem | None:
        """Return None: the client has turned all that can happen into a `Problem`."""
        return None

    def close(self) -> None:
        """Let go of the connection."""
        if "api" in self.__dict__:
            self.api.close()
