"""Errors as OSS answers them: a status, a code, a sentence, and a finer code (EC) where it is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class _Known(NamedTuple):
    status: int
    message: str
    fine_code: str = ""


_KNOWN: dict[str, _Known] = {
    "AccessDenied": _Known(403, "You have no right to access this object."),
    "BucketNotEmpty": _Known(409, "The bucket you tried to delete is not empty."),
    "EntityTooSmall": _Known(400, "Your proposed upload smaller than the minimum allowed size.", "0042-00000213"),
    "FileAlreadyExists": _Known(409, "The object you specified already exists and can not be overwritten."),
    "InternalError": _Known(500, "The stand-in has a defect; see its list of defects."),
    "InvalidAccessKeyId": _Known(403, "The OSS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": _Known(400, "An argument is not valid."),
    "InvalidBucketName": _Known(400, "The specified bucket is not valid."),
    "InvalidDigest": _Known(400, "The Content-MD5 you specified was invalid."),
    "InvalidObjectName": _Known(400, "The specified object is not valid."),
    "InvalidPart": _Known(
        400,
        "One or more of the specified parts could not be found or the specified entity tag might not have matched the"
        " part's entity tag.",
    ),
    "InvalidPartOrder": _Known(400, "The list of parts was not in ascending order.", "0042-00000209"),
    "InvalidRange": _Known(416, "The requested range cannot be satisfied"),
    "InvalidRequest": _Known(400, "The request is not valid."),
    "InvalidSecurityToken": _Known(403, "The security token you provided is invalid.", "0002-00000008"),
    "MalformedXML": _Known(400, "The XML you provided was not well-formed or did not validate."),
    "MethodNotAllowed": _Known(405, "The specified method is not allowed against this resource."),
    "NoSuchBucket": _Known(404, "The specified bucket does not exist.", "0015-00000101"),
    "NoSuchKey": _Known(404, "The specified key does not exist.", "0026-00000001"),
    "NoSuchUpload": _Known(
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or"
        " completed.",
        "0017-00000244",
    ),
    "NotImplemented": _Known(501, "The stand-in does not do this."),
    "NotModified": _Known(304, "Not Modified"),
    "ObjectNotAppendable": _Known(409, "The object is not appendable"),
    "PositionNotEqualToLength": _Known(409, "Position is not equal to file length"),
    "PreconditionFailed": _Known(412, "At least one of the pre-conditions you specified did not hold."),
    "RequestTimeTooSkewed": _Known(
        403, "The difference between the request time and the current time is too large.", "0002-00000504"
    ),
    "SecurityTokenExpired": _Known(403, "The security token you provided has expired.", "0002-00000007"),
    "SignatureDoesNotMatch": _Known(
        403, "The request signature we calculated does not match the signature you provided.", "0002-00000040"
    ),
}


class OssError(Exception):
    """One error answer. ``facts`` become elements of the document, ``headers`` headers of the answer."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 0,
        fine_code: str = "",
        facts: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        known = _KNOWN.get(code, _Known(400, code))
        super().__init__(code)
        self.code = code
        self.status = status or known.status
        self.message = message or known.message
        self.fine_code = fine_code or known.fine_code
        self.facts = dict(facts or {})
        self.headers = dict(headers or {})


def invalid_argument(name: str, value: str, message: str, *, fine_code: str = "") -> OssError:
    return OssError(
        "InvalidArgument", message, fine_code=fine_code, facts={"ArgumentName": name, "ArgumentValue": value}
    )
