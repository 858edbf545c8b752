"""How a transaction ends, on any server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ended(execute: Callable[[str], object]) -> Iterator[None]:
    """Commit what is done within, or undo it where it raises. Where a commit is not answered it is not known which."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # one that broke off has ended by itself
            execute("ROLLBACK")
        raise
    execute("COMMIT")
