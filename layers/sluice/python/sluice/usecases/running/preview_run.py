"""Read the first rows of a run as it would deliver them, without storing any."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from sluice.domain.params import ExportParams
from sluice.ports.bundle import Ports
from sluice.usecases.pulling.open_pull import source_errors
from sluice.usecases.pulling.process_rows import RowProcess
from sluice.usecases.pulling.read_lookup import read_lookup


def preview_run(ports: Ports, params: ExportParams) -> Generator[tuple[str | None, ...]]:
    """The rows, until no more are asked for. Raises as ``read_source``."""
    pulled = params.pulled
    assert pulled is not None  # as it was planned
    with source_errors(ports, pulled), ports.open_source(pulled).reading() as slices:
        process = RowProcess(pulled, ports.find_key, ports.clock.monotonic, find_lookup=partial(read_lookup, ports))
        for portion in process.portions(slices, 0):
            yield from zip(*portion.columns, strict=True)
