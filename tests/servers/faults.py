"""What a proxy before a peer can let go wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["answer", "drop", "delay", "hang", "reset"]
PAGE = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True)
class Fault:
    """What happens to requests that match, instead of being passed on and answered.

    match
        A regular expression, looked for in "METHOD path" and a line below it the body; in TCP in the bytes.
    skip, times
        So many matching requests pass first; so many are hit then, None for all.
    behind
        A regular expression; requests do not match before one with this in it has passed.
    lasts
        Seconds from when it is set, None for ever.
    share
        The probability that a matching request is hit, drawn with the proxy's seed.
    forwarded
        Whether the peer gets the request, and does what it asks, before it goes wrong.
    """

    kind: Kind
    match: str = ""
    skip: int = 0
    times: int | None = 1
    behind: str = ""
    lasts: float | None = None
    share: float = 1.0
    forwarded: bool = False
    status: int = 503
    body: bytes = b""
    content: str = "application/json"
    retry_after: float | None = None
    wait: float = 0.0

    @property
    def label(self) -> str:
        """What the log calls it."""
        return str(self.status) if self.kind == "answer" else self.kind

    def on(self, match: str) -> Fault:
        """Return the same for requests that match."""
        return replace(self, match=match)


def answers(
    status: int, match: str = "", *, retry_after: float | None = None, page: bool = False, body: bytes = b"",
    **how: Any,
) -> Fault:  # fmt: skip
    """Answer in the peer's place: with an error as JSON, or with a web page as a gateway does."""
    said = PAGE if page else body or b'{"status":"error","message":"made up by the proxy"}'
    content = "text/html" if page else "application/json"
    return Fault("answer", match, status=status, body=said, content=content, retry_after=retry_after, **how)


def drops(match: str = "", **how: Any) -> Fault:
    """Pass the request on, wait for the answer, and close the connection instead of giving it."""
    return Fault("drop", match, forwarded=True, **how)


def resets(match: str = "", *, forwarded: bool = False, **how: Any) -> Fault:
    """Reset the connection, before or after the peer has done what it was asked."""
    return Fault("reset", match, forwarded=forwarded, **how)


def hangs(match: str = "", *, forwarded: bool = False, **how: Any) -> Fault:
    """Never answer."""
    return Fault("hang", match, forwarded=forwarded, **how)


def delays(wait: float, match: str = "", *, forwarded: bool = True, **how: Any) -> Fault:
    """Hold the answer back for so many seconds; with ``forwarded=False`` the request."""
    return Fault("delay", match, forwarded=forwarded, wait=wait, **how)
