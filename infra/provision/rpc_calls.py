"""Calls RPC interfaces of Alibaba Cloud by their names, and says what became of each call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.ports.retry import PROVISIONING, Retry, RetryRule

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 30
_HTTP_ERRORS_FROM = 500

Json = dict[str, Any]


class CallError(Exception):
    """A call did not succeed. The text names the interface's own code, message and request id."""


class Refused(CallError):
    """The service said no: the call did not happen, and would not at a repeat."""

    def __init__(self, action: str, code: str, message: str, request_id: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{action} was refused: {code}: {message} (request {request_id})")


class Throttled(CallError):
    """Too many calls: it did not happen, and may at a repeat."""


class Unknown(CallError):
    """No answer, or a server's error: it may have happened."""


class Service(NamedTuple):
    """One interface."""

    endpoint: str
    version: str


class RpcCalls:
    """Sends each call once. What to do about its outcome is the caller's business."""

    def __init__(self, environment: Mapping[str, str], *, region: str) -> None:
        # The SDK prints nothing, repeats nothing and reads no file with these settings.
        self._client = AcsClient(
            region_id=region,
            credential=_credential(environment),
            auto_retry=False,
            connect_timeout=CONNECT_TIMEOUT_S,
            timeout=READ_TIMEOUT_S,
        )
        self._region = region

    def call(self, service: Service, action: str, parameters: Mapping[str, str]) -> Json:
        """Call once. Raises ``Refused``, ``Throttled`` or ``Unknown``."""
        request = self._request(service, action, parameters)
        try:
            answer = self._client.do_action_with_exception(request)
            decoded = json.loads(answer)
        except ServerException as error:
            raise _translated(action, error) from error
        except (ClientException, OSError, ValueError) as error:
            raise Unknown(f"{action}: no answer that can be read: {error}") from error
        if not isinstance(decoded, dict):
            raise Unknown(f"{action}: the answer is no object")
        return decoded

    def _request(self, service: Service, action: str, parameters: Mapping[str, str]) -> Any:
        split = urlsplit(service.endpoint if "://" in service.endpoint else f"https://{service.endpoint}")
        request = CommonRequest(domain=split.netloc, version=service.version, action_name=action)
        request.set_protocol_type(split.scheme)
        request.set_method("POST")
        request.set_accept_format("JSON")
        request.add_query_param("RegionId", self._region)
        for name, value in parameters.items():
            request.add_body_params(name, value)
        return request


class RetryPolicy:
    """Which calls are repeated. How often and after how long is the rule of ``ports/retry``."""

    def __init__(self, rule: RetryRule = PROVISIONING) -> None:
        self._retry = Retry(rule, SystemClock(), SystemRandomness())

    def repeat(self, call: Callable[[], Json]) -> Json:
        """Call until it succeeds or is refused. Only for calls whose repeat changes nothing."""
        return self._retry.call(call, on=(Throttled, Unknown))

    def insist(self, call: Callable[[], Json]) -> Json:
        """Call until it succeeds, is refused, or ends unknown. For calls that change something."""
        return self._retry.call(call, on=(Throttled,))


def _credential(environment: Mapping[str, str]) -> Any:
    """The access key of the environment; nothing else is read, so that no other key is used by mistake."""
    key_id = environment.get("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
    secret = environment.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")
    token = environment.get("ALIBABA_CLOUD_SECURITY_TOKEN", "")
    if not key_id or not secret:
        raise CallError(
            "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET to a RAM user's access key"
        )
    return StsTokenCredential(key_id, secret, token) if token else AccessKeyCredential(key_id, secret)


def _translated(action: str, error: ServerException) -> CallError:
    code = str(error.get_error_code())
    if code.startswith("Throttling") or code == "ServiceUnavailable.Throttling":
        return Throttled(f"{action}: {code}")
    if error.get_http_status() >= _HTTP_ERRORS_FROM:
        return Unknown(f"{action}: HTTP {error.get_http_status()} {code} (request {error.get_request_id()})")
    return Refused(action, code, str(error.get_error_msg()), str(error.get_request_id()))
