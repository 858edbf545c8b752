"""A server on this machine that answers like ROS and STS, and checks each call's signature by the public rules.

Its stacks move on each time they are looked at. It can refuse or throttle a call, or drop it before or after doing it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import yaml

ACCESS_KEY_ID, ACCESS_KEY_SECRET = "LTAI-test-key", "test-secret-of-thirty-characters"
ACCOUNT_ID = "1234567890123456"
CLOCK_MINUTES_MAX = 15
REGION = "cn-hangzhou"
STEPS_AT_ONCE = 64
METRICS = Path(__file__).parents[2] / "infra" / "ros" / "published_metrics.yaml"

Json = dict[str, Any]


class Fault(NamedTuple):
    """What happens to the next call of ``action``: ``busy``, ``throttle``, ``drop before`` or ``drop after``."""

    action: str
    kind: str


class Denied(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(code)


class StandInStack:
    def __init__(self, stack_id: str, name: str) -> None:
        self.stack_id, self.name = stack_id, name
        self.status = ""
        self.reason = ""
        self.steps: list[Json] = []
        """Events still to come."""
        self.then: Callable[[], None] = lambda: None
        self.events: list[Json] = []
        """Newest first."""
        self.template: Json = {}
        self.parameters: dict[str, str] = {}
        self.resources: dict[str, str] = {}

    def move(self) -> None:
        """Take a few steps, and the last thing after the last step."""
        if self.steps:
            for step in self.steps[:STEPS_AT_ONCE]:
                self.note(step)
            del self.steps[:STEPS_AT_ONCE]
        elif self.status.endswith("_IN_PROGRESS"):
            self.then()

    def note(self, event: Json) -> None:
        name = str(event["LogicalResourceId"])
        self.resources[name] = str(event["Status"])
        full = {"ResourceType": self.template["Resources"].get(name, {}).get("Type", "ALIYUN::ROS::Stack"), **event}
        self.events.insert(0, {"EventId": f"e{len(self.events)}", "StatusReason": "", **full})


class RosStandIn:
    """The service's state; ``handle`` is one call."""

    def __init__(self) -> None:
        self.stacks: list[StandInStack] = []
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, Json]] = []
        self.failing: dict[str, str] = {}
        """Resource: why it cannot be made."""
        self.contacts_pending = False
        """Nobody confirmed the address for alarms yet, and rules for such contacts are refused."""
        self.metrics = published_metrics_file()
        """What CloudMonitor has: namespace, metric, its line."""
        self.points: set[str] = set()
        """Series that have a point: the JSON of their dimensions, keys in order."""
        self.full_buckets: set[str] = set()
        self.refuses: dict[str, Denied] = {}
        """By action."""
        self._nonces: set[str] = set()
        self._answers: dict[str, Json] = {}
        """By client token: a repeat is answered like the first."""

    def actions(self) -> list[str]:
        return [action for action, _ in self.calls]

    def handle(self, method: str, target: str, form: str) -> Json | Denied | None:
        """The answer; None to drop the connection without one."""
        parameters = _read_parameters(target, form)
        action = parameters.get("Action", "")
        self.calls.append((action, parameters))
        fault = next((fault for fault in self.faults if fault.action == action), None)
        if fault is not None:
            self.faults.remove(fault)
        try:
            self._check_signed(method, parameters)
            if fault is not None and fault.kind != "drop after":
                return _broken(fault)
            answer = self._answer(action, parameters)
        except Denied as denied:
            return denied
        return None if fault is not None else {"RequestId": "r-1", **answer}

    def _answer(self, action: str, parameters: Json) -> Json:
        if action in self.refuses:
            raise self.refuses[action]
        token = parameters.get("ClientToken", "")
        if token in self._answers:
            return self._answers[token]
        answer: Json = getattr(self, f"_do_{action}")(parameters)
        if token:
            self._answers[token] = answer
        return answer

    def _check_signed(self, method: str, parameters: Json) -> None:
        """Signature version 1.0: the parameters in order, percent-encoded, under HMAC-SHA1."""
        given = parameters.get("Signature", "")
        signed = sorted((name, value) for name, value in parameters.items() if name != "Signature")
        query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in signed)
        text = f"{method}&{_encoded('/')}&{_encoded(query)}"
        digest = hmac.new(f"{ACCESS_KEY_SECRET}&".encode(), text.encode(), hashlib.sha1).digest()
        if parameters.get("AccessKeyId") != ACCESS_KEY_ID:
            raise Denied(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if not hmac.compare_digest(given, base64.b64encode(digest).decode()):
            message = f"Specified signature is not matched with our calculation. server string to sign is:{text}"
            raise Denied(400, "SignatureDoesNotMatch", message)
        sent_at = datetime.strptime(parameters["Timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - sent_at).total_seconds()) > CLOCK_MINUTES_MAX * 60:
            raise Denied(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if parameters["SignatureNonce"] in self._nonces:
            raise Denied(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces.add(parameters["SignatureNonce"])
        if (parameters["SignatureMethod"], parameters["SignatureVersion"]) != ("HMAC-SHA1", "1.0"):
            raise Denied(400, "InvalidSignatureMethod", "Not a method this stand-in knows.")

    def _do_GetCallerIdentity(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        assert parameters["Version"] == "2015-04-01"
        return {"AccountId": ACCOUNT_ID, "IdentityType": "RAMUser"}

    def _do_ValidateTemplate(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        return {"Description": _template(parameters)["Description"]}

    def _do_PreviewStack(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        action = "Modify" if "StackId" in parameters else "Add"
        resources = _template(parameters)["Resources"].items()
        return {
            "Stack": {
                "Resources": [
                    {"LogicalResourceId": name, "ResourceType": resource["Type"], "Action": action}
                    for name, resource in resources
                ]
            }
        }

    def _do_CreateStack(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        name = parameters["StackName"]
        if any(stack.name == name and stack.status != "DELETE_COMPLETE" for stack in self.stacks):
            raise Denied(409, "StackExists", f"The Stack ({name}) already exists.")
        stack = StandInStack(f"id-{len(self.stacks)}", name)
        self.stacks.append(stack)
        self._fill(stack, parameters, "CREATE")
        return {"StackId": stack.stack_id}

    def _do_UpdateStack(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        stack = self._stack(parameters)
        if stack.status.endswith("_IN_PROGRESS"):
            raise Denied(409, "ActionInProgress", f"Stack {stack.name} already has an action in progress.")
        if stack.status.startswith(("CREATE_ROLLBACK", "DELETE")):
            raise Denied(409, "NotSupported", f"Stack {stack.name} cannot be updated as it is.")
        if (_template(parameters), _parameters(parameters)) == (stack.template, stack.parameters):
            raise Denied(400, "NotSupported", "Update the completely same stack is not supported.")
        self._fill(stack, parameters, "UPDATE")
        return {"StackId": stack.stack_id}

    def _do_DeleteStack(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        stack = self._stack(parameters)
        kept = {value for name, value in parameters.items() if name.startswith("RetainResources.")}
        forced = stack.parameters.get("EmptyBuckets") == "true"
        stuck = {
            name for name in self.full_buckets & stack.template["Resources"].keys() if name not in kept and not forced
        }
        stack.status = "DELETE_IN_PROGRESS"
        stack.steps = [
            {
                "LogicalResourceId": name,
                "Status": "DELETE_FAILED" if name in stuck else "DELETE_COMPLETE",
                "StatusReason": "BucketNotEmpty" if name in stuck else "",
            }
            for name in stack.template["Resources"]
            if name not in kept
        ]
        stack.then = lambda: self._end(stack, "DELETE_FAILED" if stuck else "DELETE_COMPLETE")
        return {}

    def _do_ListStacks(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        name = parameters["StackName.1"]
        return {
            "Stacks": [
                {"StackName": stack.name, "StackId": stack.stack_id, "Status": stack.status}
                for stack in self.stacks
                if stack.name.startswith(name)
            ]
        }

    def _do_GetStack(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        stack = self._stack(parameters)
        stack.move()
        done = stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "ROLLBACK_COMPLETE")
        return {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "Status": stack.status,
            "StatusReason": stack.reason,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in {**stack.parameters, "ALIYUN::Region": REGION}.items()
            ],
            "Outputs": [
                {"OutputKey": name, "OutputValue": f"{name}-of-{stack.name}"} for name in stack.template["Outputs"]
            ]
            if done
            else None,
        }

    def _do_ListStackEvents(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        return {"Events": self._stack(parameters).events[: int(parameters["PageSize"])]}

    def _do_ListStackResources(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        resources = self._stack(parameters).resources.items()
        return {"Resources": [{"LogicalResourceId": name, "Status": status} for name, status in resources]}

    def _stack(self, parameters: Json) -> StandInStack:
        for stack in self.stacks:
            if stack.stack_id == parameters["StackId"]:
                return stack
        raise Denied(404, "StackNotFound", "The Stack could not be found.")

    def _fill(self, stack: StandInStack, parameters: Json, verb: str) -> None:
        """Begin to make every resource, up to one that cannot be made."""
        before = (stack.template, stack.parameters)
        stack.template, stack.parameters = _template(parameters), _parameters(parameters)
        stack.status = f"{verb}_IN_PROGRESS"
        stack.steps = []
        kept = parameters.get("DisableRollback") == "true"
        for name, resource in stack.template["Resources"].items():
            if reason := self.failing.get(name) or self._refusal(resource):
                stack.steps.append({"LogicalResourceId": name, "Status": f"{verb}_FAILED", "StatusReason": reason})
                stack.then = lambda: (
                    self._end(stack, f"{verb}_FAILED") if kept else self._roll_back(stack, verb, before)
                )
                return
            stack.steps.append({"LogicalResourceId": name, "Status": f"{verb}_COMPLETE"})
        stack.then = lambda: self._end(stack, f"{verb}_COMPLETE")

    def _refusal(self, resource: Json) -> str:
        """Why the resource's own service does not make it; empty when it does."""
        if resource["Type"] != "ALIYUN::CMS::ResourceMetricRule":
            return ""
        rule = resource["Properties"]
        metric = self.metrics.get(rule["Namespace"], {}).get(rule["MetricName"])
        if metric is None:
            return "ParameterInvalid: The metric is not found."
        if any(set(series) != set(metric["dimensions"]) for series in rule["Resources"]):
            return "ParameterInvalid: The dimensions of the metric are wrong."
        return "ContactNotActive: The contact group has no active contact." if self.contacts_pending else ""

    def _do_DescribeMetricMetaList(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        assert parameters["Version"] == "2019-01-01"
        metric = self.metrics.get(parameters["Namespace"], {}).get(parameters["MetricName"])
        if metric is None:
            return {"Resources": {"Resource": []}}
        lists = {"Dimensions": ",".join(metric["dimensions"]), "Statistics": ",".join(metric["statistics"])}
        return {"Resources": {"Resource": [{"MetricName": parameters["MetricName"], **lists}]}}

    def _do_DescribeMetricLast(self, parameters: Json) -> Json:  # noqa: N802  # the action's name
        [series] = json.loads(parameters["Dimensions"])
        known = json.dumps(series, sort_keys=True) in self.points
        return {"Datapoints": json.dumps([{**series, "Value": 1}] if known else [])}

    def _roll_back(self, stack: StandInStack, verb: str, before: tuple[Json, dict[str, str]]) -> None:
        """A creation leaves nothing; an update leaves what was there before."""
        if verb == "UPDATE":
            stack.template, stack.parameters = before
        self._end(stack, "CREATE_ROLLBACK_COMPLETE" if verb == "CREATE" else "ROLLBACK_COMPLETE")

    def _end(self, stack: StandInStack, status: str) -> None:
        stack.status = status
        stack.reason = "" if status.endswith("_COMPLETE") and "ROLLBACK" not in status else "Resource failed"


def published_metrics_file() -> dict[str, dict[str, Json]]:
    """The table beside the template, read as it is written."""
    table: dict[str, dict[str, Json]] = yaml.safe_load(METRICS.read_text(encoding="utf-8"))
    return table


@contextmanager
def serving_ros() -> Iterator[tuple[RosStandIn, str]]:
    """The stand-in and its address."""
    ros = RosStandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            answer = ros.handle("POST", self.path, form)
            if answer is None:
                self.close_connection = True
                return
            status, body = 200, answer
            if isinstance(answer, Denied):
                status, body = answer.status, {"Code": answer.code, "Message": answer.message, "RequestId": "r-2"}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield ros, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _broken(fault: Fault) -> Denied | None:
    match fault.kind:
        case "busy":
            return Denied(503, "ServiceUnavailable", "The request has failed due to a temporary failure.")
        case "throttle":
            return Denied(400, "Throttling.User", "Request was denied due to user flow control.")
        case _:
            return None


def _read_parameters(target: str, form: str) -> dict[str, str]:
    in_query = parse_qsl(urlsplit(target).query, keep_blank_values=True, strict_parsing=True)
    return dict([*in_query, *parse_qsl(form, keep_blank_values=True)])


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _template(parameters: Json) -> Json:
    template: Json = json.loads(parameters["TemplateBody"])
    if template.get("ROSTemplateFormatVersion") != "2015-09-01":
        raise Denied(400, "InvalidTemplate", "Not a template.")
    return template


def _parameters(parameters: Json) -> dict[str, str]:
    found: dict[str, str] = {}
    number = 1
    while f"Parameters.{number}.ParameterKey" in parameters:
        found[parameters[f"Parameters.{number}.ParameterKey"]] = parameters[f"Parameters.{number}.ParameterValue"]
        number += 1
    return found
