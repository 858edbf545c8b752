"""Asks a function of a Function Compute 2.0 service for a composer, with the vendor's SDK for those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import requests
from fc2 import Client
from requests.adapters import HTTPAdapter

from sluice.adapters.aliyun.credentials import CredentialsSource
from sluice.adapters.aliyun.function_compute.http_invoker import check_accepted
from sluice.adapters.aliyun.function_compute.oss_event import TriggerBucket, async_call_id
from sluice.domain.keys import ManifestRef
from sluice.ports.clock import Clock
from sluice.ports.store_errors import OutcomeUnknown


class Fc2Function(NamedTuple):
    """Where a function of 2.0 is."""

    endpoint: str
    service: str
    function: str


class Fc2Invoker:
    """Invokes by the SDK's ``invoke_function``, with the sending replaced: see ``_SingleTryClient``."""

    def __init__(
        self,
        target: Fc2Function,
        bucket: TriggerBucket,
        *,
        credentials: CredentialsSource,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._target = target
        self._bucket = bucket
        self._credentials = credentials
        self._clock = clock
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # else a ~/.netrc would replace the signature
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Hand the call over; Function Compute runs it when it can. A call that it already knows is no error.

        Raises ``StoreRefused`` and ``OutcomeUnknown``; the sweeper notes either and asks again in its next round.
        """
        now, credentials = self._clock.now(), self._credentials()
        client = _SingleTryClient(  # it holds nothing but the credentials, so it is made for each call
            self._session,
            endpoint=self._target.endpoint,
            accessKeyID=credentials.access_key_id,
            accessKeySecret=credentials.access_key_secret.reveal(),
            securityToken=credentials.security_token.reveal(),
            Timeout=self._timeout_s,
        )
        client.invoke_function(
            self._target.service,
            self._target.function,
            payload=self._bucket.event(manifest, at=now),
            headers={
                "x-fc-invocation-type": "Async",
                "x-fc-stateful-async-invocation-id": async_call_id(manifest, epoch=epoch, at=now),
            },
        )


class _SingleTryClient(Client):  # type: ignore[misc]  # the SDK has no types
    """The SDK's addresses and signatures over our own sending.

    The SDK's sending tries a dead address for half a minute whatever the
    time-out, makes a session for each call, stumbles over error bodies that are
    not JSON, and writes the request's headers, which hold the security token,
    to the root logger.
    """

    def __init__(self, session: requests.Session, **options: Any) -> None:
        super().__init__(**options)
        self._session = session

    def _do_request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> requests.Response:
        """Send once; a call that was not taken raises here, before the SDK looks at the answer."""
        try:
            answer = self._session.request(
                method, f"{self.endpoint}{path}", params=params, headers=headers, data=body, timeout=self.timeout
            )
        except requests.RequestException as error:
            raise OutcomeUnknown(f"Function Compute did not answer: {type(error).__name__}") from error
        lower_case = {name.lower(): value for name, value in answer.headers.items()}
        check_accepted(answer.status_code, lower_case, answer.content)
        return answer
