"""The headers of an object: what a caller sends beside its bytes, and what every reader gets."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl

from infra.emulators.oss.oss_errors import OssError, invalid_argument
from infra.emulators.oss.request import Request
from infra.emulators.oss.server_clock import http_date
from infra.emulators.oss.storage import StoredObject

_KEPT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        "x-oss-server-side-encryption",
        "x-oss-storage-class",
    }
)


def kept_headers(request: Request) -> dict[str, str]:
    """The headers of a put that every reader of the object gets back."""
    kept = {name: value for name, value in request.headers.items() if name in _KEPT or name.startswith("x-oss-meta-")}
    return {"content-type": "application/octet-stream", "x-oss-storage-class": "Standard", **kept}


def tags_of(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.headers.get("x-oss-tagging", ""), keep_blank_values=True))


def acl_of(request: Request) -> str:
    return request.headers.get("x-oss-object-acl", "default")


def may_replace(request: Request) -> bool:
    """Whether the caller did not forbid it. Raises OssError."""
    said = request.headers.get("x-oss-forbid-overwrite", "false")
    if said not in {"true", "false"}:
        message = "The x-oss-forbid-overwrite header is true or false."
        raise invalid_argument("x-oss-forbid-overwrite", said, message, fine_code="0017-00000279")
    return said == "false"


def identity(stored: StoredObject) -> dict[str, str]:
    """What tells this content from others."""
    return {
        "ETag": f'"{stored.etag}"',
        "Last-Modified": http_date(stored.modified_at),
        "x-oss-hash-crc64ecma": str(stored.crc64),
    }


def description(stored: StoredObject) -> dict[str, str]:
    """All headers that a reader gets."""
    headers = {**stored.headers, **identity(stored), "x-oss-object-type": stored.kind, "Accept-Ranges": "bytes"}
    if stored.tags:
        headers["x-oss-tagging-count"] = str(len(stored.tags))
    return headers


def check_preconditions(headers: Mapping[str, str], stored: StoredObject, *, prefix: str = "") -> None:
    """Raise OssError with 412 or 304 unless the object is as the caller's headers want it.

    ``prefix`` is what a copy writes before the names when it asks the same of its source.
    """
    wanted = headers.get(f"{prefix}if-match")
    if wanted is not None and not _has_etag(stored, wanted):
        raise OssError("PreconditionFailed", facts={"Condition": "If-Match"})
    unmodified_since = _date(headers.get(f"{prefix}if-unmodified-since"))
    if unmodified_since is not None and int(stored.modified_at) > unmodified_since:
        raise OssError("PreconditionFailed", facts={"Condition": "If-Unmodified-Since"})
    known = headers.get(f"{prefix}if-none-match")
    if known is not None and _has_etag(stored, known):
        raise _not_modified(stored)
    modified_since = _date(headers.get(f"{prefix}if-modified-since"))
    if known is None and modified_since is not None and int(stored.modified_at) <= modified_since:
        raise _not_modified(stored)


def _has_etag(stored: StoredObject, wanted: str) -> bool:
    return any(etag.strip().strip('"').upper() in {stored.etag, "*"} for etag in wanted.split(","))


def _date(value: str | None) -> float | None:
    """A date that is none is as if it were not there."""
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except ValueError:
        return None


def _not_modified(stored: StoredObject) -> OssError:
    headers = {"ETag": f'"{stored.etag}"', "Last-Modified": http_date(stored.modified_at)}
    return OssError("NotModified", headers=headers)
