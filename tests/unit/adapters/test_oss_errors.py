"""The table that says what OSS's errors mean."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

import pytest
import requests
import urllib3

from sluice.adapters.aliyun.oss.bucket import oss2
from sluice.adapters.aliyun.oss.errors import ADVICE, MEANINGS, oss_errors
from sluice.ports.store_errors import (
    BehindTheEnd,
    InvalidParts,
    NoSuchObject,
    NoSuchUpload,
    OutcomeUnknown,
    StoreError,
    StoreRefused,
)

REQUEST_ID = "5C3D9175B6FC201293AD4890"


class Answer:
    """As much of an HTTP answer as the SDK reads to make an error of it."""

    def __init__(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = oss2.CaseInsensitiveDict({"x-oss-request-id": REQUEST_ID, **headers})
        self._body = body

    def read(self, amount: int) -> str:
        return self._body[:amount]


def document(code: str, ec: str = "") -> str:
    return (
        f"<Error><Code>{code}</Code><Message>m</Message><RequestId>{REQUEST_ID}</RequestId>"
        f"<StringToSign>s3cret-canonical-text</StringToSign><EC>{ec}</EC></Error>"
    )


def meaning(
    status: int, body: str = "", *, operation: str = "PutObject", headers: Mapping[str, str] | None = None
) -> StoreError:
    """What comes of an answer, through the SDK's own reading of it."""
    with pytest.raises(StoreError) as caught, oss_errors(operation):
        raise oss2.exceptions.make_exception(Answer(status, body, headers or {}))
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", NoSuchObject),
        (404, "NoSuchUpload", NoSuchUpload),
        (400, "InvalidPart", InvalidParts),
        (400, "InvalidPartOrder", InvalidParts),
        (400, "EntityTooSmall", InvalidParts),
        (416, "InvalidRange", BehindTheEnd),
        (400, "RequestTimeout", OutcomeUnknown),
        (400, "InvalidDigest", OutcomeUnknown),
        (400, "IncompleteBody", OutcomeUnknown),
        (400, "MalformedXML", OutcomeUnknown),
        (408, "", OutcomeUnknown),
        (429, "TooManyRequests", OutcomeUnknown),
        (500, "InternalError", OutcomeUnknown),
        (502, "", OutcomeUnknown),
        (503, "DownloadTrafficRateLimitExceeded", OutcomeUnknown),
        (503, "TotalQpsLimitExceeded", OutcomeUnknown),
        (504, "", OutcomeUnknown),
        (501, "NotImplemented", StoreRefused),
        (403, "AccessDenied", StoreRefused),
        (403, "InvalidAccessKeyId", StoreRefused),
        (403, "SignatureDoesNotMatch", StoreRefused),
        (403, "RequestTimeTooSkewed", StoreRefused),
        (403, "SecurityTokenExpired", StoreRefused),
        (403, "InvalidSecurityToken", StoreRefused),
        (403, "UserDisable", StoreRefused),
        (403, "InvalidObjectState", StoreRefused),
        (400, "PublicEndpointForbidden", StoreRefused),
        (404, "NoSuchBucket", StoreRefused),
        (404, "", StoreRefused),
        (400, "InvalidArgument", StoreRefused),
        (301, "", StoreRefused),
        (409, "FileAlreadyExists", StoreRefused),
    ],
)
def test_an_answer_means(status: int, code: str, kind: type[StoreError]) -> None:
    assert type(meaning(status, document(code) if code else "")) is kind


def test_every_code_that_the_tables_name_is_tried_above() -> None:
    marks = test_an_answer_means.pytestmark  # type: ignore[attr-defined] # set by the decorator
    tried = {code for _, code, _ in marks[0].args[1]}
    assert MEANINGS.keys() <= tried
    assert ADVICE.keys() - {"KmsServiceNotEnabled"} <= tried
    assert not MEANINGS.keys() & ADVICE.keys()


def test_a_missing_object_is_told_by_the_status_of_an_answer_to_head() -> None:
    assert type(meaning(404, operation="HeadObject")) is NoSuchObject
    assert type(meaning(404, operation="GetObject")) is StoreRefused


def test_something_that_is_not_oss_has_no_missing_objects() -> None:
    with pytest.raises(StoreRefused), oss_errors("HeadObject"):
        raise oss2.exceptions.ServerError(404, {}, "", {})


def test_an_answer_to_head_brings_its_error_in_a_header() -> None:
    headers = {"x-oss-err": base64.b64encode(document("NoSuchBucket").encode()).decode()}
    error = meaning(404, operation="HeadObject", headers=headers)
    assert isinstance(error, StoreRefused)
    assert error.code == "NoSuchBucket"


def test_a_refusal_tells_an_operator_what_to_look_for() -> None:
    error = meaning(403, document("RequestTimeTooSkewed", "0002-00000504"))
    assert isinstance(error, StoreRefused)
    assert (error.code, error.ec, error.request_id) == ("RequestTimeTooSkewed", "0002-00000504", REQUEST_ID)
    assert str(error) == (
        "OSS refused PutObject: this machine's clock is more than 15 minutes wrong"
        f" (RequestTimeTooSkewed, EC 0002-00000504, request {REQUEST_ID})"
    )


def test_the_public_endpoint_is_known_by_its_finer_code_too() -> None:
    error = meaning(400, document("AccessDenied", "0048-00000401"))
    assert "a domain of your own for downloads" in str(error)


def test_the_finer_code_may_come_in_a_header() -> None:
    error = meaning(403, headers={"x-oss-ec": "0003-00000001"})
    assert isinstance(error, StoreRefused)
    assert (error.code, error.ec) == ("status 403", "0003-00000001")


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_nothing_that_oss_quotes_of_a_request_is_said_again(status: int) -> None:
    assert "s3cret" not in repr(meaning(status, document("SignatureDoesNotMatch")))


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, {"x-oss-qos-delay-time": "250"}, 0.25),
        (429, {"Retry-After": "3"}, 3),
        (503, {"x-oss-qos-delay-time": "1000", "Retry-After": "9"}, 1),
        (503, {"x-oss-qos-delay-time": "soon", "Retry-After": "2"}, 2),
        (503, {"x-oss-qos-delay-time": "-5"}, 0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
        (503, {}, 0),
        (500, {"x-oss-qos-delay-time": "250"}, 0),
    ],
)
def test_a_throttled_answer_says_when_to_come_back(status: int, headers: dict[str, str], seconds: float) -> None:
    error = meaning(status, headers=headers)
    assert isinstance(error, OutcomeUnknown)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    "error",
    [
        oss2.exceptions.RequestError(requests.ConnectTimeout("to 10.0.0.1")),
        oss2.exceptions.InconsistentError("crc"),
        requests.exceptions.ChunkedEncodingError("cut"),
        requests.ConnectionError("reset"),
        urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("h"), "/", "slow"),
        urllib3.exceptions.ProtocolError("bad"),
        TimeoutError(),
        ConnectionResetError(),
        socket.gaierror(),
        ParseError("not well-formed"),
        RuntimeError("parse xml: UploadId could not be found under html"),
        ValueError("invalid literal for int()"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_else_goes_wrong_is_an_unknown_outcome(error: Exception) -> None:
    with pytest.raises(OutcomeUnknown) as caught, oss_errors("GetObject"):
        raise error
    assert str(caught.value).startswith("GetObject: ")


def test_what_is_ours_passes_through() -> None:
    refusal = StoreRefused("There are no credentials.")
    with pytest.raises(StoreRefused) as caught, oss_errors("GetObject"):
        raise refusal
    assert caught.value is refusal
