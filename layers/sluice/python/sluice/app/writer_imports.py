"""Loads what composing a file needs before the first task asks for it, and less of it than an import would."""

from __future__ import annotations

from sluice.adapters.aliyun.lean_imports import lean_imports


def load_writers() -> None:
    """Import the XLSX writer, whose libraries take longer to load than a small file to write.

    The archive library imports a package for encrypting and one for
    asynchronous callers, neither of which is used: on one machine 40 ms and
    3.5 MiB of 95 ms and 13 MiB. (The SDK of Tablestore needs the second
    anyway.) To be called by processes that compose, before they have threads.
    """
    with lean_imports("Crypto", "asyncio"):
        import sluice.tables.writers.xlsx.workbook  # noqa: F401, PLC0415  # loaded here, used by the writer
