"""From a request to its answer: who asks, what is asked, which trouble it meets, and the record of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from infra.emulators import faults as server_faults
from infra.emulators.oss import faults
from infra.emulators.oss.answer import Answer, error_answer
from infra.emulators.oss.key_ring import Caller
from infra.emulators.oss.object_reads import RENAMEABLE
from infra.emulators.oss.operations import Operation, find_operation
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request, check_key
from infra.emulators.oss.request_body import ConnectionLost
from infra.emulators.oss.signatures import authenticate
from infra.emulators.oss.storage import Bucket
from infra.emulators.oss.store import Store

READS = {"GetObject", "HeadObject"}


class Call(NamedTuple):
    """One request; recorded before its answer leaves, so that a caller with the answer finds the record."""

    operation: str
    bucket: str
    key: str
    status: int
    """What the store decided, heard or not; 0 when a fault kept it from deciding anything."""
    code: str = ""
    """Of an error."""
    fault: str = ""
    """The action the request met, by its class's name."""
    request_id: str = ""


class Outcome(NamedTuple):
    answer: Answer
    action: faults.Action | None
    """What is still to be done to the answer on its way out."""


class Exchange:
    """Shared by all connections."""

    def __init__(self, store: Store, *, stopping: threading.Event, on_defect: Callable[[BaseException], None]) -> None:
        self.faults = faults.Faults()
        self.calls: list[Call] = []
        self._store = store
        self._stopping = stopping
        self._on_defect = on_defect

    def serve(self, request: Request, hang_up: Callable[[], None]) -> Outcome:
        """Do what is asked. Raises ConnectionLost when the caller is to get no answer."""
        try:
            operation = find_operation(request)
        except OssError as error:
            return Outcome(self._recorded("Unknown", request, error_answer(error, request)), None)
        try:
            self._check_caller(operation, request)
        except OssError as error:
            return Outcome(self._recorded(operation.name, request, error_answer(error, request)), None)
        action = self.faults.take(operation.name, request.bucket, request.key)
        if action is None:
            return Outcome(self._recorded(operation.name, request, self._perform(operation, request)), None)
        return self._serve_in_trouble(operation, request, action, hang_up)

    def _serve_in_trouble(
        self, operation: Operation, request: Request, action: faults.Action, hang_up: Callable[[], None]
    ) -> Outcome:
        kind = type(action).__name__
        answer = self._met_before(request, action, hang_up)
        if answer is None and isinstance(action, server_faults.DropBefore | faults.CutRequest):
            self.calls.append(Call(operation.name, request.bucket, request.key, 0, "", kind, request.id))
            raise ConnectionLost
        answer = self._recorded(operation.name, request, answer or self._perform(operation, request), kind)
        self._met_after(answer, action)
        return Outcome(answer, action)

    def _met_before(self, request: Request, action: faults.Action, hang_up: Callable[[], None]) -> Answer | None:
        """Meet the faults before the operation; an answer when it is not to be done."""
        folder = self._store.storage.folder
        match action:
            case faults.Refuse(status, code):
                return error_answer(OssError(code, status=status), request)
            case faults.Throttle(delay_ms, code):
                headers = {"x-oss-qos-delay-time": str(delay_ms)}
                return error_answer(OssError(code, "Please slow down.", status=503, headers=headers), request)
            case server_faults.DropBefore():
                request.body.drain()
            case faults.CutRequest(after_bytes):
                request.body.read_until(after_bytes)
            case faults.CorruptRequest(at_byte):
                request.body.corrupt(at_byte)
            case server_faults.Delay(seconds, before=True):
                request.body.take_in(folder)
                self._stopping.wait(seconds)
            case server_faults.Hold(before=True):
                request.body.take_in(folder)
                action.reach()
            case server_faults.DoLater():
                request.body.take_in(folder)
                hang_up()
                action.reach()
        return None

    def _met_after(self, answer: Answer, action: faults.Action) -> None:
        match action:
            case server_faults.Delay(seconds, before=False):
                self._stopping.wait(seconds)
            case server_faults.Hold(before=False):
                action.reach()
        if isinstance(action, server_faults.Hold | server_faults.DoLater):
            action.finish()
        if isinstance(action, server_faults.DropAnswer | server_faults.DoLater):
            answer.close()
            raise ConnectionLost

    def _perform(self, operation: Operation, request: Request) -> Answer:
        try:
            return operation.perform(self._store, request)
        except OssError as error:
            return error_answer(error, request)
        except (ConnectionLost, ConnectionError):
            raise
        except Exception as defect:  # noqa: BLE001 - raised at the end of the test; the caller gets its answer
            self._on_defect(defect)
            return error_answer(OssError("InternalError"), request)

    def _recorded(self, operation: str, request: Request, answer: Answer, fault: str = "") -> Answer:
        call = Call(operation, request.bucket, request.key, answer.status, answer.code, fault, request.id)
        self.calls.append(call)
        return answer

    def _check_caller(self, operation: Operation, request: Request) -> None:
        """Raise OssError unless the caller is known, may do this and names a possible key."""
        check_key(request)
        store = self._store
        bucket = store.storage.buckets.get(request.bucket)
        if bucket is not None and bucket.tls_only and not request.is_secure:
            raise OssError("AccessDenied", "The bucket's policy denies requests without TLS.")
        caller = authenticate(request, store.keys, now=store.clock.now(), region=store.region)
        if caller is None:
            self._check_public(operation, request)
        else:
            caller.check_may(operation.name, request.bucket, request.key)
            if operation.name in READS and bucket is not None and bucket.hides_missing:
                self._check_visible(bucket, request.key, caller)

    def _check_visible(self, bucket: Bucket, key: str, caller: Caller) -> None:
        if key not in bucket.objects:
            caller.check_may("ListObjects", bucket.name, "")

    def _check_public(self, operation: Operation, request: Request) -> None:
        if RENAMEABLE & request.query.keys():
            raise OssError("InvalidRequest", "response-* parameters need a signature.")
        bucket = self._store.storage.buckets.get(request.bucket)
        stored = bucket.objects.get(request.key) if bucket else None
        acl = "private" if bucket is None or stored is None else stored.acl
        is_public = (bucket.acl if bucket and acl == "default" else acl).startswith("public-read")
        if operation.name not in READS or not is_public:
            raise OssError("AccessDenied", "You have no right to access this object because of bucket acl.")
