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
    """The whole template, as ROS sees it; the caller's own."""
    return copy.deepcopy(_built())


@cache
def _built() -> Json:
    template: Json = {
        "ROSTemplateFormatVersion": "2015-09-01",
        "Description": "Sluice: buckets, task table, roles, queue, logs and alarms of one stage.",
        "Parameters": {},
        "Resources": {},
        "Outputs": {},
    }
    for part in (*(read_yaml(path) for path in sorted(PARTS.glob("*.yaml"))), _watched_part()):
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


def _watched_part() -> Json:
    return {
        "Resources": {
            **alert_resources(read_yaml(WATCHED / "alerts.yaml")),
            **alarm_resources(read_yaml(WATCHED / "alarms.yaml")),
            **dashboard_resource(read_yaml(WATCHED / "dashboard.yaml")),
        }
    }


def _add_all(section: Json, added: Json, name: str) -> None:
    twice = section.keys() & added.keys()
    if twice:
        raise TemplateError(f"{name} defined twice: {', '.join(sorted(twice))}")
    section.update(added)
