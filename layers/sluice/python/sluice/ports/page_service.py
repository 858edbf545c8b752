"""A service that is asked for pages over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol


class PageRequest(NamedTuple):
    """What is asked of the service of a connection."""

    method: Literal["GET", "POST"]
    path: str
    """Behind the address of the connection; or an address that an answer gave, which may begin with its scheme."""
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    is_link: bool = False
    """Whether ``path`` is an address that an answer gave."""


class PageAnswer(NamedTuple):
    """An answer that has come whole."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    url: str
    """Of what answered."""


class PageService(Protocol):
    """Nothing that it answers leads to another service: neither a link nor a redirect."""

    def ask(self, request: PageRequest) -> PageAnswer:
        """Ask once; redirects within the service are followed.

        Raises ``SourceUnavailable`` for no whole answer in time, ``SourceError`` for one that is too large, leads
        elsewhere, or comes from where no service may be.
        """

    def interrupt(self) -> None:
        """End what is under way, from any thread; nothing is asked any more."""
