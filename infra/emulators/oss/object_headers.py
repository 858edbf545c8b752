"""What a caller says of an object beside its bytes, and what every reader is told."""

from __future__ import annotations

from urllib.parse import parse_qsl

from infra.emulators.oss.oss_errors import invalid_argument
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
    """All that a reader is told."""
    told = {**stored.headers, **identity(stored), "x-oss-object-type": stored.kind, "Accept-Ranges": "bytes"}
    if stored.tags:
        told["x-oss-tagging-count"] = str(len(stored.tags))
    return told
