"""Reading an object: all of it, a range of it, or what is known of it."""

from __future__ import annotations

import re
from typing import BinaryIO

from infra.emulators.oss.answer import Answer
from infra.emulators.oss.object_headers import check_preconditions, description, identity
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request
from infra.emulators.oss.storage import StoredObject
from infra.emulators.oss.store import Store

_RANGE = re.compile(r"bytes=(\d*)-(\d*)(?:,.*)?")
"""Of several ranges the first counts."""
_RENAMED = "response-"
RENAMEABLE = frozenset(
    {
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    }
)
"""Headers of the answer that a signed request may choose, as it names them."""


def get_object(store: Store, request: Request) -> Answer:
    """GET and HEAD."""
    stored, file = store.storage.open(request.bucket, request.key)
    try:
        check_preconditions(request.headers, stored)
        return _reading(request, stored, file)
    except BaseException:
        file.close()
        raise


def get_object_meta(store: Store, request: Request) -> Answer:
    stored = store.storage.find(request.bucket, request.key)
    return Answer(headers={"Content-Length": str(stored.size), **identity(stored)})


def _reading(request: Request, stored: StoredObject, file: BinaryIO) -> Answer:
    headers = description(stored)
    chosen = {name.removeprefix(_RENAMED): value for name, value in request.query.items() if name in RENAMEABLE}
    headers = {name: value for name, value in headers.items() if name.lower() not in chosen} | chosen
    found = _range_of(request, stored.size)
    if found is None:
        return Answer(headers=headers, file=file, length=stored.size)
    start, end = found
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    return Answer(206, headers, file=file, start=start, length=end - start)


def _range_of(request: Request, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None when the whole object is to be sent.

    A range that does not lie within the object counts as none at all, unless the caller asks for the standard
    behaviour: then it is cut to the object, or refused when it begins behind it.
    """
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if not match or match[1] == match[2] == "":
        return None
    if match[1]:
        start, end = int(match[1]), int(match[2]) + 1 if match[2] else max(size, int(match[1]) + 1)
    else:
        start, end = size - int(match[2]), size
    if start >= end:
        return None
    if request.headers.get("x-oss-range-behavior") != "standard":
        return (start, end) if start >= 0 and end <= size else None
    if start >= size:
        raise OssError("InvalidRange", facts={"ActualObjectSize": size, "RangeRequested": match[0]})
    return max(0, start), min(end, size)
