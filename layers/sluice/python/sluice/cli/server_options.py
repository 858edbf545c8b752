"""The options by which a command calls a service, and the client for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from sluice.client import Client

Token = Annotated[
    str | None,
    typer.Option(envvar="SLUICE_TOKEN", help="API key for the service; the variable keeps it out of process lists."),
]


def open_client(server: str, token: str | None, on_retry: Callable[[str], object]) -> Client:
    """Prepare calls to a service. Raises ``typer.BadParameter``."""
    try:
        return Client(server, token or "", on_retry=on_retry)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server, --token") from None
