"""What Function Compute adds to the head of a request: whose credentials to use, and the request's id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sluice.adapters.aliyun.credentials import Credentials
from sluice.domain.secret import Secret

PREFIX = "x-fc-"
"""A caller cannot send headers of this name: the gateway refuses them."""
REQUEST_ID = "x-request-id"
_KEPT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


class PlatformHeaders(NamedTuple):
    """The platform's part of a head. Not for logs: it holds credentials."""

    named: Mapping[str, str]

    @property
    def control_path(self) -> str:
        """``/http-invoke`` for what a caller sent, or the path of a hook; empty outside of Function Compute."""
        return self.named.get("x-fc-control-path", "")

    @property
    def request_id(self) -> str:
        """The platform's id of the request; empty when there is none."""
        sent = self.named.get("x-fc-request-id", "")
        return sent if _KEPT_ID.fullmatch(sent) else ""

    def credentials(self) -> Credentials | None:
        """Those of the function's role, if the request brought them."""
        key_id, secret, token = (
            self.named.get(f"{PREFIX}{name}", "") for name in ("access-key-id", "access-key-secret", "security-token")
        )
        return Credentials(key_id, Secret(secret), Secret(token)) if key_id and secret else None


def split_head(head: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], PlatformHeaders]:
    """Part a head: what the caller sent, and the platform's part.

    A caller that sent no request id gets the platform's, so that both logs name the request alike.
    """
    callers: list[tuple[str, str]] = []
    named: dict[str, str] = {}
    for name, value in head:
        if name.lower().startswith(PREFIX):
            named[name.lower()] = value
        else:
            callers.append((name, value))
    platform = PlatformHeaders(named)
    if platform.request_id and all(name.lower() != REQUEST_ID for name, _ in callers):
        callers.append((REQUEST_ID, platform.request_id))
    return callers, platform
