"""What of a distribution is left out of the layer: what no function ever reads."""

from __future__ import annotations

import re
from typing import NamedTuple

_NEVER = re.compile(
    r"(^|/)(__pycache__|tests?|\.agents)/"  # what packages bring for their own developers
    r"|\.(pyi|pyx|pxd|pxi|c|h|cpp|proto|fbs|js|pyc)$"  # for compilers, type checkers and browsers
    r"|(^|/)py\.typed$"
)
_OF_DIST_INFO = re.compile(
    r"\.dist-info/(METADATA|entry_points\.txt|licenses?/.*|[^/]*(LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE
)


class Left(NamedTuple):
    """Files of one distribution that are left out, and why nobody misses them."""

    paths: re.Pattern[str]
    reason: str


OF_DISTRIBUTION = {
    "pycryptodome": Left(re.compile(r"Crypto/SelfTest/"), "tests"),
    "tablestore": Left(
        re.compile(r"tablestore/(ots_sdk|native)/"),
        "a codec of 14 MB for one Python only; adapters/aliyun/tablestore/sdk.py does without it everywhere",
    ),
}


def is_needed(distribution: str, path: str) -> bool:
    """Whether the file at ``path`` of the distribution goes into the layer."""
    if ".dist-info/" in path:
        return _OF_DIST_INFO.search(path) is not None
    left = OF_DISTRIBUTION.get(distribution)
    return _NEVER.search(path) is None and (left is None or left.paths.search(path) is None)
