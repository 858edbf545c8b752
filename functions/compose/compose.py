"""Entry of the composing function, for a built-in runtime: `compose.handler`."""

from __future__ import annotations

from sluice.app.functions import compose


def handler(event: bytes, context: object) -> str:
    """Compose what the event asks for; answers with the outcomes as JSON."""
    return compose.handler(event, context)
