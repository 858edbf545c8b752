"""Who may sign: one fixed pair of keys, and temporary ones with a token, a life and perhaps narrower rights."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.server_clock import ServerClock

ACCESS_KEY_ID = "LTAI5tStandInOfOss000000"
ACCESS_KEY_SECRET = "stand-in-secret-of-30-letters0"


class Grant(NamedTuple):
    """What a caller may do, as shell patterns: an operation, and ``bucket/key``."""

    operation: str
    resource: str


class Caller(NamedTuple):
    access_key_id: str
    secret: str
    token: str = ""
    expires_at: float = float("inf")
    grants: tuple[Grant, ...] = (Grant("*", "*"),)

    def check_may(self, operation: str, bucket: str, key: str) -> None:
        """Raise OssError unless some grant allows it."""
        resource = f"{bucket}/{key}" if key else bucket
        if not any(fnmatchcase(operation, it.operation) and fnmatchcase(resource, it.resource) for it in self.grants):
            raise OssError("AccessDenied", "You have no right to access this object because of bucket acl.")


class KeyRing:
    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._callers = {ACCESS_KEY_ID: Caller(ACCESS_KEY_ID, ACCESS_KEY_SECRET)}

    def add(self, caller: Caller) -> None:
        self._callers[caller.access_key_id] = caller

    def issue_sts(self, life_s: float, grants: Iterable[tuple[str, str]]) -> tuple[str, str, str]:
        with self._lock:
            number = next(self._numbers)
            caller = Caller(
                f"STS.StandIn{number:08d}",
                f"stand-in-sts-secret-{number:08d}",
                f"CAIS-stand-in+token/{number:08d}==",
                self._clock.now() + life_s,
                tuple(Grant(*grant) for grant in grants),
            )
            self.add(caller)
        return caller.access_key_id, caller.secret, caller.token

    def find(self, access_key_id: str, token: str) -> Caller:
        """Whose key it is. Raises OssError when it is unknown, or its token is wrong, missing or over."""
        caller = self._callers.get(access_key_id)
        if caller is None:
            raise OssError("InvalidAccessKeyId", fine_code="0002-00000902", facts={"OSSAccessKeyId": access_key_id})
        if caller.token != token:
            raise OssError("InvalidSecurityToken")
        if caller.expires_at <= self._clock.now():
            raise OssError("SecurityTokenExpired")
        return caller
