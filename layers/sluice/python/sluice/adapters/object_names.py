"""Which keys, metadata and parts every object store takes, so that a store on disk refuses what OSS would."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sluice.ports.object_store import PartReceipt
from sluice.ports.store_errors import InvalidParts

KEY_CHARS_MAX = 1023
"""OSS takes keys of up to 1,023 bytes."""
COMPONENT_CHARS_MAX = 200
"""File systems take names of up to 255 bytes; the rest is room for an adapter's own endings."""
PARTS_MAX = 10_000
"""The most parts of one upload, as OSS and S3 have it."""

_COMPONENT = re.compile(rf"(?!\.\.?(?:/|\Z))[A-Za-z0-9_.-]{{1,{COMPONENT_CHARS_MAX}}}", re.ASCII)
_KEY = re.compile(rf"{_COMPONENT.pattern}(?:/{_COMPONENT.pattern})*", re.ASCII)
_START = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_METADATA_NAME = re.compile(r"[a-z0-9-]+", re.ASCII)
_METADATA_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?", re.ASCII)


def check_key(key: str) -> None:
    """Raise ValueError unless ``key`` is a plain relative path."""
    if len(key) > KEY_CHARS_MAX or not _KEY.fullmatch(key):
        raise ValueError("an object's key is a relative path of letters, digits and _ . - without dot folders")


def is_component(name: str) -> bool:
    """Whether ``name`` may stand between the slashes of a key."""
    return bool(_COMPONENT.fullmatch(name))


def check_prefix(prefix: str) -> None:
    """Raise ValueError unless some key could start with ``prefix``."""
    folders, _, start = prefix.rpartition("/")
    if folders or prefix.startswith("/"):
        check_key(folders)
    if start and not _START.fullmatch(start):
        raise ValueError("a prefix is the beginning of a key")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise ValueError for names or values that do not survive as HTTP headers."""
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name) or not _METADATA_VALUE.fullmatch(value):
            raise ValueError("metadata has names of a-z 0-9 - and values of printable ASCII without spaces around")


def check_part_number(part_number: int) -> None:
    """Raise ValueError for a number that no part has."""
    if not 1 <= part_number <= PARTS_MAX:
        raise ValueError(f"a part's number is from 1 to {PARTS_MAX}")


def check_order(receipts: Sequence[PartReceipt]) -> None:
    """Raise ``InvalidParts`` unless the receipts are those of some parts, in their order."""
    numbers = [receipt.part_number for receipt in receipts]
    if not numbers or numbers[0] < 1 or numbers[-1] > PARTS_MAX or any(a >= b for a, b in pairwise(numbers)):
        raise InvalidParts("parts are named in order, once each, and at least one")
