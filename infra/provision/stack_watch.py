"""Reads one stack of ROS: found by its name, reported on, watched until it stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from infra.provision.rpc_calls import Json, Refused, RetryPolicy, RpcCalls, Service

ROS_VERSION = "2019-09-10"
EVENTS_PAGE = 50
GONE = "DELETE_COMPLETE"


class StackError(Exception):
    """The stack is not where it should be, with what ROS says about it."""


class Stack(NamedTuple):
    """What ROS tells of a stack."""

    stack_id: str
    status: str
    reason: str
    outputs: dict[str, str]
    parameters: dict[str, str]

    @property
    def moving(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")


class StackWatch:
    """The stack called ``name``. Says how far it is through ``report``, one line at a time."""

    def __init__(
        self,
        calls: RpcCalls,
        name: str,
        *,
        endpoint: str,
        report: Callable[[str], None],
        retry: RetryPolicy | None = None,
        poll_s: float = 5.0,
        wait_max_s: float = 3_600.0,
    ) -> None:
        self.name = name
        self._calls = calls
        self._service = Service(endpoint, ROS_VERSION)
        self.report = report
        self.retry = retry or RetryPolicy()
        self._poll_s = poll_s
        self._wait_max_s = wait_max_s

    def find(self) -> Stack | None:
        """The stack as of now; None when there is none, or it was deleted."""
        page = self.read("ListStacks", {"StackName.1": self.name, "PageSize": "50"})
        for listed in page.get("Stacks", []):
            if listed["StackName"] == self.name and listed["Status"] != GONE:
                return self.get(str(listed["StackId"]))
        return None

    def get(self, stack_id: str) -> Stack | None:
        """The stack with this id; None when it is gone."""
        try:
            found = self.read("GetStack", {"StackId": stack_id})
        except Refused as error:
            if error.code == "StackNotFound":
                return None
            raise
        if found["Status"] == GONE:
            return None
        return Stack(
            stack_id=stack_id,
            status=str(found["Status"]),
            reason=str(found.get("StatusReason") or ""),
            outputs={str(item["OutputKey"]): str(item["OutputValue"]) for item in found.get("Outputs") or []},
            parameters={
                str(item["ParameterKey"]): str(item["ParameterValue"]) for item in found.get("Parameters") or []
            },
        )

    def failures(self, stack: Stack) -> list[str]:
        """What went wrong with which resource, in the order it did, as far as ROS remembers."""
        return [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('StatusReason') or 'no reason given'}"
            for event in reversed(self._events(stack.stack_id))
            if str(event["Status"]).endswith("FAILED") and event["LogicalResourceId"] != self.name
        ]

    def wait(self, stack_id: str) -> Stack | None:
        """Tell every event until the stack stands still."""
        until = time.monotonic() + self._wait_max_s
        reported: set[str] = set()
        while True:
            stack = self.get(stack_id)
            if stack is not None:
                self._report_events(stack_id, reported)
            if stack is None or not stack.moving:
                return stack
            if time.monotonic() > until:
                raise StackError(f"{self.name} is still {stack.status}; look again with `outputs`")
            time.sleep(self._poll_s)

    def undeletable(self, stack_id: str) -> tuple[str, ...]:
        """The resources that ROS could not delete."""
        resources = self.read("ListStackResources", {"StackId": stack_id}).get("Resources") or []
        return tuple(str(item["LogicalResourceId"]) for item in resources if item["Status"] == "DELETE_FAILED")

    def _report_events(self, stack_id: str, reported: set[str]) -> None:
        for event in reversed(self._events(stack_id)):
            if event["EventId"] not in reported:
                reported.add(str(event["EventId"]))
                reason = str(event.get("StatusReason") or "") if str(event["Status"]).endswith("FAILED") else ""
                self.report(f"  {event['Status']:<20} {event['LogicalResourceId']} {reason}".rstrip())

    def _events(self, stack_id: str) -> list[Json]:
        """The newest events, newest first."""
        page = self.read("ListStackEvents", {"StackId": stack_id, "PageSize": str(EVENTS_PAGE)})
        events: list[Json] = page.get("Events") or []
        return events

    def read(self, action: str, parameters: Mapping[str, str]) -> Json:
        """Make a call that changes nothing, as often as it takes."""
        return self.retry.repeat(lambda: self.call(action, parameters))

    def call(self, action: str, parameters: Mapping[str, str]) -> Any:
        """Make a call once."""
        return self._calls.call(self._service, action, parameters)
