"""Entry of the sweeping function, for a built-in runtime: `sweep.handler`."""

from __future__ import annotations

from sluice.app.functions import sweep


def handler(event: bytes, context: object) -> str:
    """Sweep once, or take the long walk; answers with what was done as JSON."""
    return sweep.handler(event, context)
