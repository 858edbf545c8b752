"""Who may speak to the instance: key pairs, temporary ones too, and what every request must prove."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from infra.emulators.tablestore import signatures
from infra.emulators.tablestore.refusals import Refused, invalid

DATE_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
CLOCK_SKEW_MAX = timedelta(minutes=15)
_DAY_SKEW_MAX = timedelta(days=1)
_REQUIRED = ("x-ots-date", "x-ots-apiversion", "x-ots-accesskeyid", "x-ots-instancename", "x-ots-contentmd5")


class StsCredentials(NamedTuple):
    """What a role is given for a while."""

    access_key_id: str
    access_key_secret: str
    security_token: str


class Identity(NamedTuple):
    """Who asks, and what the answer is signed with."""

    access_key_id: str
    signing_key: bytes


class _Pair(NamedTuple):
    secret: str
    token: str
    until: datetime


class Access:
    """The key pairs of one instance."""

    def __init__(self, *, instance: str, region: str, access_key_id: str, access_key_secret: str) -> None:
        self._instance = instance
        self._region = region
        self._pairs = {access_key_id: _Pair(access_key_secret, "", datetime.max.replace(tzinfo=UTC))}

    def issue_sts(self, life_s: float) -> StsCredentials:
        """Return a pair that is good for ``life_s``, and only together with its token."""
        issued = StsCredentials(f"STS.{secrets.token_hex(8)}", secrets.token_hex(16), secrets.token_urlsafe(48))
        until = datetime.now(UTC) + timedelta(seconds=life_s)
        self._pairs[issued.access_key_id] = _Pair(issued.access_key_secret, issued.security_token, until)
        return issued

    def admit(self, issued: StsCredentials, life_s: float) -> None:
        """Know a temporary pair that another service issued: in the cloud one pair is good for every service."""
        until = datetime.now(UTC) + timedelta(seconds=life_s)
        self._pairs[issued.access_key_id] = _Pair(issued.access_key_secret, issued.security_token, until)

    def identify(self, path: str, headers: Mapping[str, str], body: bytes) -> Identity:
        """Return who asks. Raises Refused unless every proof holds."""
        for name in _REQUIRED:
            if name not in headers:
                raise invalid(f"Missing header: '{name}'.")
        identity = self._prove(path, headers)
        if headers["x-ots-instancename"] != self._instance:
            raise _denied("The instance is not found.")
        _check_date(headers["x-ots-date"])
        if headers["x-ots-contentmd5"] != signatures.content_md5(body):
            raise _denied("Mismatch between MD5 value of request body and x-ots-contentmd5 in header.")
        return identity

    def _prove(self, path: str, headers: Mapping[str, str]) -> Identity:
        access_key_id = headers["x-ots-accesskeyid"]
        pair = self._pairs.get(access_key_id)
        if pair is None:
            raise _denied("The AccessKeyID does not exist.")
        if not hmac.compare_digest(headers.get("x-ots-ststoken", ""), pair.token):
            raise _denied("The security token is invalid.")
        if pair.until < datetime.now(UTC):
            raise _denied("The security token is expired.")
        self._check_scope(headers)
        key = signatures.signing_key(pair.secret, headers)
        sent = headers.get(signatures.SIGNATURE_V4) or headers.get(signatures.SIGNATURE_V2, "")
        if not hmac.compare_digest(sent, signatures.request_signature(key, path, headers)):
            raise _denied("Signature mismatch.")
        return Identity(access_key_id, key)

    def _check_scope(self, headers: Mapping[str, str]) -> None:
        """See that a V4 signature is for our region and about today."""
        if signatures.SIGNATURE_V4 not in headers:
            return
        if headers.get(signatures.SIGN_REGION) != self._region:
            raise _denied("Signature mismatch: the region is another one.")
        day = _parsed(headers.get(signatures.SIGN_DATE, ""), "%Y%m%d")
        if abs(datetime.now(UTC) - day) > _DAY_SKEW_MAX + CLOCK_SKEW_MAX:
            raise _denied("Signature mismatch: the day is another one.")


def _check_date(date: str) -> None:
    if abs(datetime.now(UTC) - _parsed(date, DATE_FORMAT)) > CLOCK_SKEW_MAX:
        raise _denied(f"Mismatch between system time and x-ots-date: {date}.")


def _parsed(date: str, form: str) -> datetime:
    try:
        return datetime.strptime(date, form).replace(tzinfo=UTC)
    except ValueError as error:
        raise invalid(f"Invalid date format: {date}.") from error


def _denied(message: str) -> Refused:
    return Refused("OTSAuthFailed", message)
