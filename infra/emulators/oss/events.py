"""Events of objects, passed to listeners in the form of Function Compute's OSS trigger."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

from infra.emulators.oss.request import Request
from infra.emulators.oss.server_clock import iso_date

Event = dict[str, Any]
Listener = Callable[[Event], None]
KeyForm = Literal["quoted", "quoted-slashes", "plain"]
ACCOUNT_ID = "1000000000000001"


class Events:
    """Delivers events one after the other, in a thread of its own, as the cloud delivers beside the call."""

    def __init__(self, region: str, on_defect: Callable[[BaseException], None]) -> None:
        self.key_form: KeyForm = "quoted"
        """How keys are written; whether the cloud quotes them is not certain, so a receiver takes every form."""
        self._region = region
        self._on_defect = on_defect
        self._listeners: list[Listener] = []
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._deliver, name="oss-events", daemon=True)
        self._thread.start()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def settle(self, timeout_s: float) -> None:
        """Wait until every event so far has been delivered. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while self._queue.unfinished_tasks:
            if time.monotonic() > deadline:
                raise TimeoutError("a listener has not returned")
            time.sleep(0.002)

    def publish(self, name: str, request: Request, *, size: int, delta: int, etag: str, key: str, at: float) -> None:
        if not self._listeners:
            return
        bucket = {
            "arn": f"acs:oss:{self._region}:{ACCOUNT_ID}:{request.bucket}",
            "name": request.bucket,
            "ownerIdentity": ACCOUNT_ID,
            "virtualBucket": "",
        }
        event = {
            "eventName": name,
            "eventSource": "acs:oss",
            "eventTime": iso_date(at),
            "eventVersion": "1.0",
            "oss": {
                "bucket": bucket,
                "object": {"deltaSize": delta, "eTag": etag, "key": self._written(key), "size": size},
                "ossSchemaVersion": "1.0",
                "ruleId": "stand-in-rule",
            },
            "region": self._region,
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"requestId": request.id},
            "userIdentity": {"principalId": ACCOUNT_ID},
        }
        self._queue.put({"events": [event]})

    def close(self) -> None:
        """Deliver what is in the queue and stop."""
        self._queue.put(None)
        self._thread.join()

    def _written(self, key: str) -> str:
        match self.key_form:
            case "plain":
                return key
            case "quoted":
                return quote(key, safe="/")
            case "quoted-slashes":
                return quote(key, safe="")

    def _deliver(self) -> None:
        while (event := self._queue.get()) is not None:
            for listener in list(self._listeners):
                try:
                    listener(event)
                except Exception as defect:  # noqa: BLE001 - raised at the end of the test, not lost in a thread
                    self._on_defect(defect)
            self._queue.task_done()
        self._queue.task_done()
