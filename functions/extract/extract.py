"""Entry of the function that reads tables, for a built-in runtime: `extract.handler`."""

from __future__ import annotations

from sluice.app.functions import extract


def handler(event: bytes, context: object) -> str:
    """Read the table of the task that the event names; answers with the outcome as JSON."""
    return extract.handler(event, context)
