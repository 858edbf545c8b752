"""The strict checks find nothing in s.yaml, and find each mistake that is made on purpose."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from infra.serverless_devs.checks import problems
from infra.serverless_devs.description import EXAMPLE_ENV, PROD_YAML, ROOT, S_YAML, read_description, read_variables
from sluice.app.settings.validation import settings_from
from tests.support.deployment_copy import DeploymentCopy

VARIABLES = read_variables(EXAMPLE_ENV)
OFFICIAL_SCHEMA = "SLUICE_FC3_SCHEMA"
"""Names a file with the schema of the component fc3, which is not ours to keep here."""

PAGES_OF_SENDERS = {
    page: (ROOT / page).read_text(encoding="utf-8")
    for page in ("infra/runbooks/from-an-empty-account-to-the-first-export.md", "infra/serverless_devs/README.md")
}

MISTAKES = [
    # what the trigger hears
    ("prefix: in/v1/", "prefix: in/v2/", "the trigger's filter is not in/v1/"),
    ("suffix: .manifest.json", "suffix: .json", "the trigger's filter is not in/v1/"),
    ("- oss:ObjectCreated:PutObject", "- oss:ObjectCreated:PutObjct", "must hear oss:ObjectCreated:PutObject"),
    ("- oss:ObjectCreated:PutObject", "- oss:ObjectCreated:PutSymlink", "must hear oss:ObjectCreated:PutObject"),
    (":${env('SLUICE_OSS_BUCKET')}\n", ":${env('SLUICE_OSS_RESULT_BUCKET')}\n",
     "not on the input bucket"),
    ("invocationRole: ${env('DEPLOY_TRIGGER_ROLE_ARN')}", "invocationRole: ${env('DEPLOY_COMPOSE_ROLE_ARN')}",
     "not as the trigger's role"),
    # what runs
    ("handler: compose.handler", "handler: compose.handle", "defines no handle()"),
    ("handler: sweep.handler", "handler: sweeper.handler", "there is no"),
    ("handler: compose.handler", "handler: handler", "does not match"),
    ("command: [python3, query.py]", "command: [python3, queries.py]", "there is no queries.py"),
    ("command: [python3, query.py]", "command: [python, query.py]", "starts with python"),
    ("code: ${path('./functions/sweep')}", "code: ${path('./functions/swept')}", "there is no"),
    ("- ${resources.layer_deps.output.arn}", "", "its layers are not the two"),
    ("/build/layers/deps.zip", "/build/layers/dependencies.zip", "is not what is built"),
    ("runtime: custom.debian11", "runtime: custom.debian12", "is not one of"),
    ("        - custom.debian11\n", "", "the functions run on"),
    # as whom
    ("role: ${env('DEPLOY_COMPOSE_ROLE_ARN')}", "role: ${env('DEPLOY_SWEEP_ROLE_ARN')}", "compose: runs as"),
    ("role: ${env('DEPLOY_QUERY_ROLE_ARN')}", "role: ${env('DEPLOY_GRPC_ROLE_ARN')}", "query: runs as"),
    ("role: ${env('DEPLOY_SWEEP_ROLE_ARN')}\n", "\n", "'role' is a required property"),
    ("role: ${env('DEPLOY_SWEEP_ROLE_ARN')}", "role: AliyunFCDefaultRole", "does not match"),
    # spelling
    ("timeout: 1800", "timeOut: 1800", "Additional properties are not allowed ('timeOut' was unexpected)"),
    ("enable: true", "enabled: true", "'enabled' was unexpected"),
    ("maxAsyncRetryAttempts: 1", "maxAsyncRetryAttempt: 1", "'maxAsyncRetryAttempt' was unexpected"),
    ("triggerType: timer", "triggerType: http", "'authType' is a required property"),
    ("triggerType: oss", "triggerType: timer", "False schema does not allow"),
    ("    component: fc3-domain", "    component: fc3-domains", "were unexpected"),
    ("SLUICE_OSS_BUCKET: ", "SLUICE_OSS_BUKET: ", "SLUICE_OSS_BUKET: is no setting"),
    ('SLUICE_CONCURRENCY_LEASE_S: "45"', "SLUICE_CONCURRENCY_LEASE_S: 45", "45 is not of type 'string'"),
    ('SLUICE_CONCURRENCY_LEASE_S: "45"', 'SLUICE_CONCURRENCY_LEASE_S: "forty"', "SLUICE_CONCURRENCY_LEASE_S"),
    ("name: server\n", "name: servant\n", "extends the template servant"),
    ("${vars.stage}-compose", "${vars.state}-compose", "${vars.state} leads nowhere"),
    ("${env('DEPLOY_LOGSTORE')}", "${env('DEPLOY_LOG_STORE')}", "the variable DEPLOY_LOG_STORE is not set"),
    # what the code believes
    ('SLUICE_CONCURRENCY_LEASE_S: "45"', 'SLUICE_CONCURRENCY_LEASE_S: "30"', "lease_s is not that of domain/limits.py"),
    ('SLUICE_CONCURRENCY_LEASE_S: "45"', 'SLUICE_PERFORMANCE_MAX_BATCH_BYTES: "33554432"',
     "max_batch_bytes is more than the 32000000 that one request may have"),
    ("MALLOC_ARENA_MAX", "MALLOC_ARENAS_MAX", "MALLOC_ARENA_MAX is not 2"),
    ("PATH: /var/fc/lang/python3.12/bin:", "PATH: ", "PATH does not lead to Python 3.12"),
    ("PYTHONPATH: /opt/python:/code", "PYTHONPATH: /code", "PYTHONPATH does not lead to the layers"),
    ("port: 8089", "port: 9000", "looks for it at 9000, not at 8089"),
    ("port: 8089\n", "port: 8089\n        healthCheckConfig: {httpGetUrl: /health}\n", "speak HTTP, which it does not"),
    ("timeout: 60\n", "timeout: 20\n", "is stopped before server.shutdown_grace_s is over"),
    ("path: /openapi.json\n            functionName: ${resources.relay_http.props.functionName}",
     "path: /export.ExportService/*\n            functionName: ${resources.relay_grpc.props.functionName}",
     "gRPC at /export.ExportService/* needs a domain with HTTPS"),
    ("payload: reconcile", "payload: reconcyle", "its timers say"),
    ('"@every 1m"', '"@every 5m"', "wait for longer than a minute"),
    ("enable: true", "enable: false", "a timer is off"),
    ("sluice-${vars.stage}-compose/invocations", "sluice-compose/invocations", "does not ring compose"),
    ("maxAsyncRetryAttempts: 1", "maxAsyncRetryAttempts: 3", "tried once more by the platform"),
    ("asyncTask: true", "asyncTask: false", "the ids of the sweeper's calls mean nothing"),
    ("timeout: 3600\n      triggers", "timeout: 1800\n      triggers", "cuts off an attempt"),
    ("reservedConcurrency: ${json(env('SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS', '10'))}", "reservedConcurrency: 20",
     "20 instances are reserved, not concurrency.max_concurrent_tasks"),
    ("${json(env('SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS', '10'))}",
     "${json(env('SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS', 'ten'))}", "which is no JSON"),
    # who reads tables
    ("sluice-${vars.stage}-extract/invocations", "sluice-extract/invocations", "sweep: does not ring extract"),
    ("sluice-${vars.stage}-extract/invocations", "sluice-extract/invocations", "relay_http: does not ring extract"),
    ("SLUICE_DATASETS_DEFINITIONS: /opt/definitions", "SLUICE_DATASETS_DEFINITIONS: /opt/tables",
     "must be /opt/definitions"),
    ("vpcConfig: *vpc\n      environmentVariables: *definitions", "environmentVariables: *definitions",
     "relay_http: counts rows in another network"),
    ('SLUICE_DATASETS_WAIT_MAX_S: "480"', 'SLUICE_DATASETS_WAIT_MAX_S: "580"',
     "relay_http: is ended while a call waits"),
    ("concurrencyConfig:\n        reservedConcurrency: ${json(env('DEPLOY_READERS_MAX', '4'))}\n", "\n",
     "as many connections"),
    ("timeout: 7200", "timeout: 1800", "extract: its time limit cuts off an attempt"),
    # what Function Compute takes
    ("memorySize: 1024 # the least", "memorySize: 512 # the least", "GiB of memory for each CPU"),
    ("memorySize: 512", "memorySize: 500", "is not a multiple of 64"),
    ("timeout: 3600", "timeout: 86401", "greater than the maximum"),
    ("path: /docs\n", "path: /v1/*\n", "/v1/* leads to more than one function"),
    ("methods: [GET, HEAD, OPTIONS]\n            dis", "methods: [GET]\n            dis", "lets HEAD through"),
    ("functionName: ${resources.query.props.functionName}", "functionName: ${resources.sweep.props.functionName}",
     "answers no HTTP"),
]  # fmt: skip


@pytest.mark.parametrize("file", [S_YAML, PROD_YAML], ids=lambda file: file.name)
def test_the_description_has_no_mistakes(file: Path) -> None:
    assert problems(file, VARIABLES) == []


def test_an_unbroken_copy_has_no_mistakes(tmp_path: Path) -> None:
    copy = DeploymentCopy(tmp_path)
    assert problems(copy.s_yaml, VARIABLES) + problems(copy.prod_yaml, VARIABLES) == []


@pytest.mark.parametrize(("before", "after", "said"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_found(tmp_path: Path, before: str, after: str, said: str) -> None:
    copy = DeploymentCopy(tmp_path)
    copy.break_s_yaml(before, after)
    found = problems(copy.s_yaml, VARIABLES)
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("vpc", "is_whole"),
    [
        ({"DEPLOY_VPC_ID": "vpc-1", "DEPLOY_VSWITCH_IDS": '["vsw-1"]', "DEPLOY_SECURITY_GROUP_ID": "sg-1"}, True),
        ({"DEPLOY_VPC_ID": "vpc-1"}, False),
        ({"DEPLOY_VSWITCH_IDS": '["vsw-1"]'}, False),
        ({"DEPLOY_VPC_ID": "vpc-1", "DEPLOY_VSWITCH_IDS": '["vsw-1"]'}, False),
    ],
)
def test_a_network_of_tables_is_given_whole_or_not_at_all(vpc: dict[str, str], *, is_whole: bool) -> None:
    found = problems(S_YAML, VARIABLES | vpc)
    assert (found == []) == is_whole, found
    if is_whole:
        described = read_description(S_YAML, VARIABLES | vpc).functions()
        networks = {one.name for one in described if one.props.get("vpcConfig", {}).get("vpcId") == "vpc-1"}
        assert networks == {"relay_grpc", "relay_http", "extract"}


def test_a_grpc_route_that_no_client_calls_is_a_mistake_of_a_stage_for_work(tmp_path: Path) -> None:
    copy = DeploymentCopy(tmp_path)
    copy.prod_yaml.write_text(copy.prod_yaml.read_text().replace("/export.ExportService/*", "/export.Export/*"))
    found = problems(copy.prod_yaml, VARIABLES)
    assert found == ["api_domain: no route leads from /export.ExportService/* to relay_grpc"]


def test_grpc_has_a_route_only_where_there_is_tls() -> None:
    for file, expected in ((S_YAML, []), (PROD_YAML, ["/export.ExportService/*"])):
        [senders, _] = read_description(file, VARIABLES).domains()
        routes = senders.props["routeConfig"]["routes"]
        assert [route["path"] for route in routes if route["functionName"] == "sluice-dev-relay-grpc"] == expected
        assert len(routes) == (6 if expected else 4)  # and that of watch addresses
    assert [path for path, text in PAGES_OF_SENDERS.items() if ".fcapp.run:8089" not in text] == []


def test_one_setting_drives_how_many_composers_there_are_and_how_many_instances_are_reserved() -> None:
    for variables, expected in ((VARIABLES, 10), (VARIABLES | {"SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "40"}, 40)):
        description = read_description(S_YAML, variables)
        compose = description.resources["compose"].props
        assert compose["concurrencyConfig"] == {"reservedConcurrency": expected}
        assert settings_from(compose["environmentVariables"], None).concurrency.max_concurrent_tasks == expected
        assert problems(S_YAML, variables) == []


def test_no_function_gets_a_variable_that_is_empty() -> None:
    for file in (S_YAML, PROD_YAML):
        for function in read_description(file, VARIABLES).functions():
            assert [name for name, value in function.props["environmentVariables"].items() if not value] == []


def test_a_removed_handler_is_found(tmp_path: Path) -> None:
    copy = DeploymentCopy(tmp_path)
    (copy.folder / "functions/compose/compose.py").write_text("def handler(event): return event\n")
    assert [
        problem for problem in problems(copy.s_yaml, VARIABLES) if "does not take an event and a context" in problem
    ]
    (copy.folder / "functions/compose/compose.py").unlink()
    assert [problem for problem in problems(copy.s_yaml, VARIABLES) if "there is no" in problem]


@pytest.mark.parametrize("name", ["DEPLOY_API_DOMAIN", "DEPLOY_CERTIFICATE_ID"])
def test_a_stage_for_work_needs_names_and_a_certificate(name: str) -> None:
    variables = {known: value for known, value in VARIABLES.items() if known != name}
    assert problems(S_YAML, variables) == []
    assert problems(PROD_YAML, variables) == [f"the variable {name} is not set"]


def test_only_a_stage_for_work_keeps_instances() -> None:
    trial, work = (read_description(file, VARIABLES) for file in (S_YAML, PROD_YAML))
    assert [one.name for one in trial.functions() if "provisionConfig" in one.props] == []
    assert [one.name for one in work.functions() if "provisionConfig" in one.props] == ["relay_grpc", "relay_http"]
    assert [one.props["protocol"] for one in work.domains()] == ["HTTPS", "HTTPS"]


def test_only_a_stage_for_work_has_an_address_to_watch_exports_at_and_its_reader_answers_there() -> None:
    trial, work = (read_description(file, VARIABLES) for file in (S_YAML, PROD_YAML))
    watched = {"SLUICE_SERVER_PUBLIC_URL", "SLUICE_SECURITY_WATCH_SECRET"}
    for stage, expected in ((trial, []), (work, ["query", "relay_http"])):
        functions = [one for one in stage.functions() if watched & one.props["environmentVariables"].keys()]
        assert sorted(one.name for one in functions) == expected
        assert all(watched < one.props["environmentVariables"].keys() for one in functions)
        assert all("SLUICE_OSS_BUCKET" in one.props["environmentVariables"] for one in functions)
    (routes,) = (one.props["routeConfig"]["routes"] for one in work.domains() if one.name == "api_domain")
    (route,) = (one for one in routes if one["path"] == "/v1/watch/*")
    assert (route["functionName"], route["methods"]) == ("sluice-dev-query", ["GET", "HEAD", "OPTIONS"])


def strict(node: Any) -> Any:
    """The schema with unknown keys forbidden wherever it names keys."""
    if isinstance(node, list):
        return [strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {key: strict(value) for key, value in node.items()}
    if node.get("type") == "object" and node.get("properties") and "additionalProperties" not in node:
        closed["additionalProperties"] = False
    return closed


@pytest.mark.skipif(OFFICIAL_SCHEMA not in os.environ, reason=f"{OFFICIAL_SCHEMA} names no file")
@pytest.mark.parametrize("file", [S_YAML, PROD_YAML], ids=lambda file: file.name)
def test_the_components_own_schema_takes_every_function(file: Path) -> None:
    schema = strict(json.loads(Path(os.environ[OFFICIAL_SCHEMA]).read_text()))
    configs = {"oss": "IOssTriggerConfig", "timer": "ITimerTriggerConfig", "http": "IHttpTriggerConfig"}
    schema["definitions"]["ITrigger"]["properties"]["triggerConfig"] = {}
    schema["definitions"]["ITrigger"]["allOf"] = [
        {
            "if": {"properties": {"triggerType": {"const": kind}}},
            "then": {"properties": {"triggerConfig": {"$ref": f"#/definitions/{config}"}}},
        }
        for kind, config in configs.items()
    ]
    validator = Draft7Validator(schema)
    for function in read_description(file, VARIABLES).functions():
        assert [error.message for error in validator.iter_errors(function.props)] == []
