"""What a reverse proxy says of the caller: believed of the proxies that the settings name, and of no other sender."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from sluice.api.error_status import record_error
from sluice.api.http.errors import invalid_request, problem_response, request_id_of
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.ports.journal import Journal
from sluice.ports.log_context import bound_context

READ = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
_FORMS = {
    "X-Forwarded-Proto": re.compile(r"https?"),
    "X-Forwarded-Host": re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII),
}
"""Those that must be one value: of a list, each member may be what the caller sent."""
_IS_TRUSTED = "sluice.trusted_proxy"
_url: ContextVar[str] = ContextVar("sluice_forwarded_url", default="")


def forwarded_url() -> str:
    """Where a trusted proxy says that the current request was sent to, such as ``https://exports.example.com``.

    Empty where no such proxy said anything. Follows the request into its threads.
    """
    return _url.get()


class ForwardedMiddleware:
    """Middleware: takes caller, scheme and ``Host`` from the headers of a trusted proxy, the first two by uvicorn.

    The caller is the last address of ``X-Forwarded-For`` that is not ``trusted``. Headers of any other sender are
    ignored; the first time a line of the log says so.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str], journal: Journal) -> None:
        self._app = app
        self._journal = journal
        self._has_warned = False
        self._proxied = ProxyHeadersMiddleware(cast(Any, self._serve), list(trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["client"] = _plain(scope.get("client"))
        scope[_IS_TRUSTED] = scope["client"] is not None and scope["client"][0] in self._proxied.trusted_hosts
        ignored = [name for name in ("Forwarded",) if name in headers]
        if scope[_IS_TRUSTED]:
            try:
                _take_host(scope, headers)
            except SluiceError as error:
                answer = problem_response(record_error(error, self._journal), request_id=request_id_of(scope))
                await answer(scope, receive, send)
                return
        else:
            ignored += [name for name in READ if name in headers]
        if ignored and not self._has_warned:
            self._has_warned = True
            way_out = f"name the proxy's address in server.trusted_proxies, and have it send {', '.join(READ)}"
            self._journal.record(Event.FORWARDED_IGNORED, headers=ignored, note=f"if a proxy sent them: {way_out}")
        await self._proxied(cast(Any, scope), cast(Any, receive), cast(Any, send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what uvicorn's middleware has read."""
        headers, url = Headers(scope=scope), ""
        host = headers.get("host", "")
        if scope[_IS_TRUSTED] and any(name in headers for name in _FORMS):
            url = f"{scope['scheme']}://{host}" if _FORMS["X-Forwarded-Host"].fullmatch(host) else ""
        token = _url.set(url)
        try:
            with bound_context(client=_address(scope["client"])):
                await self._app(scope, receive, send)
        finally:
            _url.reset(token)


def _take_host(scope: Scope, headers: Headers) -> None:
    """Put ``X-Forwarded-Host`` in the place of ``Host``. Raises INVALID_REQUEST where it, or the scheme, is a list."""
    for name, form in _FORMS.items():
        values = headers.getlist(name)
        if values and (len(values) > 1 or not form.fullmatch(values[0])):
            detail = f"The proxy is to set {name} to one value, and not to add to what its caller sent."
            raise invalid_request(detail, field=name)
    if "X-Forwarded-Host" in headers:
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", headers["X-Forwarded-Host"].encode("ascii")), *others]


def _plain(client: tuple[str, int] | None) -> tuple[str, int] | None:
    """An IPv4 caller of a socket that listens for IPv6 too, under its own address."""
    if client is None or not client[0].startswith("::ffff:"):
        return client
    address = ip_address(client[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (str(mapped), client[1]) if mapped else client


def _address(client: tuple[str, int] | None) -> str | None:
    """The caller's address; None for what is none: a proxy's ``unknown``, or what a caller made up."""
    try:
        return str(ip_address(client[0])) if client else None
    except ValueError:
        return None
