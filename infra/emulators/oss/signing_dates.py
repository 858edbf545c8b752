"""How far a signature's date may be from the store's clock."""

from __future__ import annotations

from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.server_clock import iso_date

SKEW_S_MAX = 15 * 60


def check_skew(signed_at: float, now: float) -> None:
    if abs(now - signed_at) > SKEW_S_MAX:
        facts = {
            "MaxAllowedSkewMilliseconds": SKEW_S_MAX * 1000,
            "RequestTime": iso_date(signed_at),
            "ServerTime": iso_date(now),
        }
        raise OssError("RequestTimeTooSkewed", facts=facts)


def check_not_expired(expires_at: float, now: float) -> None:
    if expires_at < now:
        facts = {"Expires": iso_date(expires_at), "ServerTime": iso_date(now)}
        raise OssError("AccessDenied", "Request has expired.", fine_code="0002-00000069", facts=facts)
