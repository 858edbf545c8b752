"""Ends a message about a wrong name with the right one, where one is near."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a message with the nearest known name, if one is near."""
    from difflib import get_close_matches  # noqa: PLC0415  # only who made a mistake pays for the import

    near = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""
