"""If-Match and its kin."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.server_clock import http_date
from infra.emulators.oss.storage import StoredObject


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
    told = {"ETag": f'"{stored.etag}"', "Last-Modified": http_date(stored.modified_at)}
    return OssError("NotModified", headers=told)
