"""The function that answers readers: the HTTP API without what changes anything."""

from __future__ import annotations

from sluice.api.http.app import RouteSet
from sluice.app.functions.http_function import run_http_function

COMPONENT = "query"


def main() -> None:
    """Serve state, lists, events and links until a signal says stop."""
    run_http_function(COMPONENT, RouteSet.READ_ONLY)
