"""How metadata travels to OSS and back."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.adapters.object_names import check_metadata

_PREFIX = "x-oss-meta-"


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Spell ``metadata`` as headers. Raises ValueError for what headers cannot carry."""
    check_metadata(metadata)
    return {f"{_PREFIX}{name}": value for name, value in metadata.items()}


def read_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Find the metadata among an answer's headers."""
    lowered = ((name.lower(), value) for name, value in headers.items())
    return {name.removeprefix(_PREFIX): value for name, value in lowered if name.startswith(_PREFIX)}
