"""What the function host reads from a deployment file."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.emulators.function_compute.deployment import Route
from infra.emulators.function_compute.deployment_file import load_deployment
from infra.emulators.function_compute.environment import Place, function_environment
from infra.emulators.function_compute.front_door import find_route
from infra.emulators.function_compute.interpreter import ROOT, source_tree
from infra.serverless_devs.description import DescriptionError
from tests.functions.tiny_functions import write_tiny


def test_variables_templates_and_references_are_resolved(tmp_path: Path) -> None:
    deployment = load_deployment(write_tiny(tmp_path), {"STAGE": "prod"})
    work = deployment.functions["work"]
    assert deployment.region == "cn-hangzhou"
    assert (work.name, work.runtime, work.handler, work.timeout_s, work.memory_mb) == (
        "tiny-work",
        "python3.12",
        "work.handler",
        20,
        256,
    )
    assert work.environment == {"STAGE": "prod"}
    assert work.code == tmp_path / "code"
    assert work.asynchronous.retries_max == 2
    assert work.asynchronous.is_task
    assert work.asynchronous.failure_destination == "acs:mns:cn-hangzhou:1:/queues/failed/messages"


def test_triggers_hooks_and_routes_are_read(tmp_path: Path) -> None:
    deployment = load_deployment(write_tiny(tmp_path), {})
    work, web = deployment.functions["work"], deployment.functions["web"]
    (trigger,), (timer,) = work.oss_triggers, work.timer_triggers
    assert trigger == ("bell", "tiny-in", ("oss:ObjectCreated:PutObject",), "in/", ".bell")
    assert timer == ("minutely", "@every 1m", "round", True)
    assert web.is_custom
    assert web.command == ("python3", "web.py")
    assert web.initializer is not None
    assert web.pre_stop is not None
    assert web.environment == {"STAGE": "dev", "PYTHONPATH": "/opt/python:/code"}
    assert deployment.domains == {
        "domain": (Route("/api/*", ("GET", "POST"), "tiny-web"), Route("/hidden", (), "tiny-hidden"))
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"${vars.bucket}": "${vars.bucked}"},
        {"${env('REGION', 'cn-hangzhou')}": "${env('REGION_THAT_NOBODY_SET')}"},
        {"${env('REGION', 'cn-hangzhou')}": "${vars.region}"},
        {"${env('REGION', 'cn-hangzhou')}": "${guess('x')}"},
        {"extend: {name: function}": "extend: {name: funktion}"},
    ],
)
def test_what_cannot_be_resolved_is_an_error(tmp_path: Path, broken: dict[str, str]) -> None:
    with pytest.raises(DescriptionError):
        load_deployment(write_tiny(tmp_path, broken), {})


ROUTES = (
    Route("/v1/exports/*", ("GET",), "query"),
    Route("/v1/*", (), "relay"),
    Route("/v1/exports/special", ("POST",), "special"),
)


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("GET", "/v1/exports/x", "query"),
        ("POST", "/v1/exports/x", "relay"),
        ("POST", "/v1/exports/special", "special"),
        ("GET", "/v1/exports", "query"),
        ("GET", "/v1/other", "relay"),
        ("GET", "/v2", None),
    ],
)
def test_the_most_telling_route_wins(method: str, path: str, function: str | None) -> None:
    route = find_route(ROUTES, method=method, path=path)
    assert (route and route.function) == function


def test_the_layers_are_found_in_the_order_of_the_functions(tmp_path: Path) -> None:
    layers = """
  one: {component: ./layer, props: {region: r, layerName: a, code: "${path('.')}/build/one.zip"}}
  two: {component: ./layer, props: {region: r, layerName: b, code: build/two.zip}}
  domain:
"""
    edits = {
        "\n  domain:\n": layers,
        "    memorySize: 256\n": "    memorySize: 256\n"
        "    layers: ['${resources.two.output.arn}', '${resources.one.output.arn}']\n",
    }
    deployment = load_deployment(write_tiny(tmp_path, edits), {})
    assert deployment.layers == (tmp_path / "build" / "two.zip", tmp_path / "build" / "one.zip")


def test_an_override_changes_only_what_a_function_has(tmp_path: Path) -> None:
    spec = load_deployment(write_tiny(tmp_path), {}).functions["work"]
    place = Place("r", source_tree(), {"STAGE": "other", "NEW": "x"})
    variables = function_environment(spec, place)
    assert variables["STAGE"] == "other"
    assert "NEW" not in variables


def test_the_products_own_deployment_file_is_read_whole() -> None:
    names = ["DEPLOY_STAGE", "DEPLOY_ACCOUNT_ID", "DEPLOY_LOG_PROJECT", "DEPLOY_LOGSTORE", "DEPLOY_FAILURE_QUEUE_ARN"]
    names += (f"DEPLOY_{role}_ROLE_ARN" for role in ("GRPC", "QUERY", "COMPOSE", "EXTRACT", "SWEEP", "TRIGGER"))
    names += (f"SLUICE_OSS_{name}" for name in ("ENDPOINT", "REGION", "BUCKET", "RESULT_BUCKET", "DOWNLOAD_DOMAIN"))
    names += ("SLUICE_TABLESTORE_ENDPOINT", "SLUICE_TABLESTORE_INSTANCE", "SLUICE_SECURITY_JWT_SECRET")
    env = {name: name.lower() for name in names} | {"DEPLOY_REGION": "cn-hangzhou"}
    deployment = load_deployment(ROOT / "s.yaml", env)
    assert set(deployment.functions) == {"relay_grpc", "relay_http", "query", "compose", "extract", "sweep"}
    assert [layer.name for layer in deployment.layers] == ["sluice.zip", "deps.zip"]
    assert deployment.functions["compose"].oss_triggers[0].bucket == "sluice_oss_bucket"
    deployed = {spec.name for spec in deployment.functions.values()}
    assert {route.function for routes in deployment.domains.values() for route in routes} <= deployed
