"""Downloads that go on after a break, and have their name only once they are whole and have their checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sluice.adapters.directory.atomic_file import whole_file
from sluice.client.calls import Calls
from sluice.client.errors import SluiceApiError


def save_link(
    calls: Calls,
    new_link: Callable[[], str],
    path: Path,
    *,
    sha256: str,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> None:
    """Save what a link leads to; a download that breaks off goes on through a new link.

    Raises RESULT_VERIFY_FAILED when the bytes do not have the checksum; then, as after any failure, ``path`` is as it
    was before.
    """
    with whole_file(path) as file:

        def append() -> None:
            """Read what is missing in the file."""
            with closing(calls.read_link(new_link(), file.seek(0, os.SEEK_END))) as blocks:
                for position, block in blocks:
                    if position != file.tell():
                        file.seek(position)
                        file.truncate()
                    file.write(block)
                    on_bytes(file.tell())

        calls.repeat(append, progress=file.tell)
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]  # a file opened w+b
            raise SluiceApiError("RESULT_VERIFY_FAILED", "the download is not what was written", who="operator")
