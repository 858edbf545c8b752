"""Whether the metrics that alarms name exist: by the published table here, and by CloudMonitor itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from infra.provision.rpc_calls import RetryPolicy, RpcCalls, Service

PUBLISHED_FILE = Path(__file__).parents[1] / "ros" / "published_metrics.yaml"
CLOUD_MONITOR_VERSION = "2019-01-01"
RULE = "ALIYUN::CMS::ResourceMetricRule"

Json = dict[str, Any]


class Metric(NamedTuple):
    """One metric as CloudMonitor's pages describe it."""

    dimensions: frozenset[str]
    statistics: frozenset[str]


@cache
def published_metrics() -> dict[tuple[str, str], Metric]:
    """Every line of the table, by namespace and name."""
    table = yaml.safe_load(PUBLISHED_FILE.read_text(encoding="utf-8"))
    return {
        (namespace, name): Metric(frozenset(line["dimensions"]), frozenset(line["statistics"]))
        for namespace, lines in table.items()
        for name, line in lines.items()
    }


def unpublished(rule: Mapping[str, Any]) -> Iterator[str]:
    """Say what in an alarm's properties is not a line of the table."""
    name = (str(rule.get("Namespace")), str(rule.get("MetricName")))
    metric = published_metrics().get(name)
    if metric is None:
        yield f"{name[0]} publishes no metric {name[1]}"
        return
    for series in rule["Resources"]:
        if series.keys() != metric.dimensions:
            yield f"{name[1]} has the dimensions {_listed(metric.dimensions)}, not {_listed(series)}"
    for escalation in rule["Escalations"].values():
        if escalation.get("Statistics") not in metric.statistics:
            yield f"{name[1]} has the statistics {_listed(metric.statistics)}, not {escalation.get('Statistics')}"


class CloudMonitor:
    """Asks the region's CloudMonitor."""

    def __init__(self, calls: RpcCalls, endpoint: str, retry: RetryPolicy) -> None:
        self._calls = calls
        self._service = Service(endpoint, CLOUD_MONITOR_VERSION)
        self._retry = retry

    def complaints(self, template: Json) -> list[str]:
        """What CloudMonitor says otherwise than the alarms of ``template``; empty when each has a metric to watch."""
        rules = [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == RULE]
        distinct = {(rule["Namespace"], rule["MetricName"]): rule for rule in rules}
        return [complaint for rule in distinct.values() for complaint in self._compared(rule)]

    def silent(self, template: Json, names: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The alarms whose series has a point, and those that have none yet. ``names`` fill the template in."""
        rules = {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == RULE}
        seen = {name: self._has_point(_filled(rule, names)) for name, rule in rules.items()}
        return [name for name in seen if seen[name]], [name for name in seen if not seen[name]]

    def _has_point(self, rule: Json) -> bool:
        """Whether there is a point for exactly the series that the alarm watches."""
        parameters = {
            "Namespace": rule["Namespace"],
            "MetricName": rule["MetricName"],
            "Period": str(rule["Period"]),
            "Dimensions": json.dumps(rule["Resources"]),
        }
        answer = self._ask("DescribeMetricLast", parameters)
        return bool(json.loads(answer.get("Datapoints") or "[]"))

    def _compared(self, rule: Json) -> Iterator[str]:
        name = f"{rule['Namespace']} {rule['MetricName']}"
        asked = {"Namespace": rule["Namespace"], "MetricName": rule["MetricName"], "PageSize": "100"}
        listed = self._ask("DescribeMetricMetaList", asked).get("Resources", {}).get("Resource", [])
        known = next((one for one in listed if one["MetricName"] == rule["MetricName"]), None)
        if known is None:
            yield f"CloudMonitor has no metric {name}"
            return
        dimensions = set(known["Dimensions"].split(","))
        for series in rule["Resources"]:
            # A key with an empty value is one that pages and lists leave out as they please.
            filled = {key for key, value in series.items() if value != ""}
            if not filled <= dimensions <= filled | series.keys():
                yield f"CloudMonitor's dimensions of {name} are {_listed(dimensions)}, the alarm's {_listed(series)}"
        for escalation in rule["Escalations"].values():
            if escalation["Statistics"] not in known["Statistics"].split(","):
                yield f"CloudMonitor's statistics of {name} are {known['Statistics']}, not {escalation['Statistics']}"

    def _ask(self, action: str, parameters: Mapping[str, str]) -> Json:
        return self._retry.repeat(lambda: self._calls.call(self._service, action, parameters))


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case {"Ref": str(name), **rest} if not rest:
            return names.get(name, value)
        case {"Fn::Sub": str(text), **rest} if not rest:
            return re.sub(r"\$\{([^}]+)\}", lambda found: names[found[1]], text)
        case dict():
            return {key: _filled(item, names) for key, item in value.items()}
        case list():
            return [_filled(item, names) for item in value]
        case _:
            return value


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
