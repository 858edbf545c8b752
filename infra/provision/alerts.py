"""Makes ROS resources of the short lists of alerts, alarms and charts."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SEVERITIES = {"page": 10, "ticket": 6}
CHARTS_IN_A_ROW = 2
CHART_WIDTH, CHART_HEIGHT = 5, 6
_PROJECT = {"Fn::Sub": "sluice-${Stage}-${ALIYUN::TenantId}"}
"""By name: the logs are of the stage's stack, what watches them of the next one."""
_LOGSTORE = "functions"


def alert_resources(alerts: list[Json]) -> Json:
    """An alert rule of Simple Log Service for each entry."""
    return {f"Alert{alert['name']}": _alert(alert) for alert in alerts}


def alarm_resources(alarms: list[Json]) -> Json:
    """An alarm of CloudMonitor for each entry."""
    return {f"Alarm{alarm['name']}": _alarm(alarm) for alarm in alarms}


def dashboard_resource(dashboard: Json) -> Json:
    """The dashboard, its charts laid out in rows in their order."""
    charts = [_chart(chart, place) for place, chart in enumerate(dashboard["charts"])]
    properties = {
        "ProjectName": _PROJECT,
        "DashboardName": {"Fn::Sub": "sluice-${Stage}"},
        "DisplayName": {"Fn::Sub": "Sluice ${Stage}"},
        "Description": dashboard["description"],
        "Charts": charts,
    }
    return {"Dashboard": {"Type": "ALIYUN::SLS::Dashboard", "Properties": properties}}


def _alert(alert: Json) -> Json:
    severity = SEVERITIES[alert["severity"]]
    configuration: Json = {
        "Version": "2.0",
        "Type": "default",
        "Dashboard": "internal-alert-analysis",
        "QueryList": [_alert_query(alert)],
        "GroupConfiguration": {"Type": "no_group", "Fields": []},
        "JoinConfigurations": [{"Type": "no_join", "Condition": ""}],
        "SeverityConfigurations": [
            {"Severity": severity, "EvalCondition": {"Condition": alert["fires_when"], "CountCondition": ""}}
        ],
        "Labels": [{"Key": "product", "Value": "sluice"}, {"Key": "stage", "Value": {"Ref": "Stage"}}],
        "Annotations": [
            {"Key": "title", "Value": {"Fn::Sub": f"Sluice ${{Stage}}: {alert['name']}"}},
            {"Key": "desc", "Value": f"{alert['meaning']} See {alert['name']} in infra/runbooks/on-call.md."},
        ],
        "AutoAnnotation": True,
        "SendResolved": True,
        "Threshold": 1,
        "NoDataFire": alert.get("fires_on_silence", False),
        "NoDataSeverity": severity,
        "PolicyConfiguration": {
            "AlertPolicyId": "sls.builtin.dynamic",
            "ActionPolicyId": {"Ref": "ActionPolicy"},
            "RepeatInterval": alert.get("repeat", "1h"),
            "UseDefault": False,
        },
    }
    detail = {
        "Name": {"Fn::Sub": f"sluice-${{Stage}}-{_dashed(alert['name'])}"},
        "DisplayName": {"Fn::Sub": f"Sluice ${{Stage}}: {alert['name']}"},
        "Description": alert["meaning"],
        "State": "Enabled",
        "Schedule": {"Type": "FixedRate", "Interval": alert["every"]},
        "Configuration": configuration,
    }
    return {
        "Type": "ALIYUN::SLS::Alert",
        "Properties": {"Project": _PROJECT, "Detail": detail},
    }


def _alert_query(alert: Json) -> Json:
    return {
        "StoreType": "log",
        "Region": {"Ref": "ALIYUN::Region"},
        "Project": _PROJECT,
        "Store": _LOGSTORE,
        "Query": alert["query"],
        "TimeSpanType": "Relative",
        "Start": f"-{alert['over']}",
        "End": "now",
        "PowerSqlMode": "auto",
    }


def _alarm(alarm: Json) -> Json:
    level = {"page": "Critical", "ticket": "Warn"}[alarm["severity"]]
    dimensions = {
        name: {"Fn::Sub": value} if "${" in value else value for name, value in alarm.get("dimensions", {}).items()
    }
    escalation = {
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Statistics": alarm.get("statistics", "Value"),
        "Threshold": alarm["at_least"],
        "Times": alarm.get("times", 1),
    }
    properties = {
        "RuleId": {"Fn::Sub": f"sluice-${{Stage}}-{_dashed(alarm['name'])}"},
        "RuleName": {"Fn::Sub": f"Sluice ${{Stage}}: {alarm['name']}"},
        "EmailSubject": {"Fn::Sub": f"Sluice ${{Stage}}: {alarm['name']}, see infra/runbooks/on-call.md"},
        "Namespace": alarm["namespace"],
        "MetricName": alarm["metric"],
        "Resources": [
            {"userId": {"Ref": "ALIYUN::TenantId"}, "region": {"Ref": "ALIYUN::Region"}, **dimensions},
        ],
        "Period": alarm.get("period_s", 60),
        "Interval": 60,
        "SilenceTime": 3600,
        "NoDataPolicy": "OK",
        "ContactGroups": [{"Fn::GetAtt": ["ContactGroup", "ContactGroupName"]}],
        "Escalations": {level: escalation},
        "DeletionForce": True,
    }
    return {"Type": "ALIYUN::CMS::ResourceMetricRule", "Properties": properties}


def chart_query(chart: Json) -> str:
    """The query of a chart as it is written, or the one that counts its ``events``."""
    if "events" not in chart:
        return str(chart["query"])
    search = " or ".join(f"message.event: {event}" for event in chart["events"])
    return (
        f"{search} | SELECT date_trunc('minute', __time__) AS minute, \"message.event\" AS event, count(*) AS entries"
        " GROUP BY minute, event ORDER BY minute LIMIT 10000"
    )


def _chart(chart: Json, place: int) -> Json:
    if "events" in chart:
        chart = {**chart, "xAxis": ["minute"], "yAxis": ["entries"]}
    row, column = divmod(place, CHARTS_IN_A_ROW)
    display: Json = {
        "displayName": chart["title"],
        "xPos": column * CHART_WIDTH,
        "yPos": row * CHART_HEIGHT,
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
    }
    display |= {axis: chart[axis] for axis in ("xAxis", "yAxis") if axis in chart}
    return {
        "title": f"chart-{place + 1}",
        "type": chart["type"],
        "action": {},
        "search": {
            "logstore": _LOGSTORE,
            "topic": "",
            "query": chart_query(chart),
            "start": f"-{chart.get('over', '86400s')}",
            "end": "now",
        },
        "display": display,
    }


def _dashed(name: str) -> str:
    """``TaskStuck`` as ``task-stuck``: identifiers of the console are lower case."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
