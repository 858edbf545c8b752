"""Puts the parts of the ROS template together and gives it as one body."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.provision.alerts import alarm_resources, alert_resources, dashboard_resource

PARTS = Path(__file__).parents[1] / "ros" / "parts"
WATCHED = Path(__file__).parents[1] / "ros" / "watched"
BODY_BYTES_MAX = 524_288
"""ROS takes no longer template body."""

Json = dict[str, Any]


class TemplateError(Exception):
    """The parts do not make one template."""


def build_template() -> Json:
    """The stage's template, as ROS sees it; the caller's own."""
    return copy.deepcopy(_built_stage())


def build_watch_template() -> Json:
    """The template of what watches the stage; the caller's own.

    A stack of its own: ROS takes a whole stack back when one resource is
    refused, and no alarm may take buckets and tables with it.
    """
    return copy.deepcopy(_built_watch())


@cache
def _built_stage() -> Json:
    parts = [read_yaml(path) for path in sorted(PARTS.glob("*.yaml"))]
    return _put_together("Sluice: buckets, task table, roles, queue and logs of one stage.", parts)


@cache
def _built_watch() -> Json:
    parts = [read_yaml(WATCHED / name) for name in ("parameters.yaml", "contacts.yaml")]
    watched = {
        **alert_resources(read_yaml(WATCHED / "alerts.yaml")),
        **alarm_resources(read_yaml(WATCHED / "alarms.yaml")),
        **dashboard_resource(read_yaml(WATCHED / "dashboard.yaml")),
    }
    return _put_together("Sluice: alarms, alerts and dashboard of one stage.", [*parts, {"Resources": watched}])


def _put_together(description: str, parts: list[Json]) -> Json:
    template: Json = {
        "ROSTemplateFormatVersion": "2015-09-01",
        "Description": description,
        "Parameters": {},
        "Resources": {},
        "Outputs": {},
    }
    for part in parts:
        for section in ("Parameters", "Resources", "Outputs"):
            _add_all(template[section], part.get(section, {}), section)
    return template


def template_body(template: Json) -> str:
    """The template as the text that is sent. Raises ``TemplateError`` when it is too long for ROS."""
    body = json.dumps(template, ensure_ascii=False, separators=(",", ":"))
    size = len(body.encode())
    if size > BODY_BYTES_MAX:
        raise TemplateError(f"the template is {size} bytes long; ROS takes {BODY_BYTES_MAX}")
    return body


def read_yaml(path: Path) -> Any:
    """What a YAML file of ours holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _add_all(section: Json, added: Json, name: str) -> None:
    twice = section.keys() & added.keys()
    if twice:
        raise TemplateError(f"{name} defined twice: {', '.join(sorted(twice))}")
    section.update(added)
