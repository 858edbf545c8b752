"""What the real `s` of Serverless Devs makes of s.yaml, without a network and with stand-ins for its components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.serverless_devs.checks import SCHEMA
from infra.serverless_devs.description import EXAMPLE_ENV, PROD_YAML, ROOT, S_YAML, read_description, read_variables
from tests.support.deployment_copy import DeploymentCopy
from tests.support.serverless_devs import ACCOUNT, FOLDER, LAYER_VERSION, Done, OfflineCli, install_cli

pytestmark = [pytest.mark.slow, pytest.mark.tools]
LAYERS = [
    f"acs:fc:cn-hangzhou:{ACCOUNT}:layers/sluice-dev-{name}/versions/{LAYER_VERSION}" for name in ("code", "deps")
]


def schema_of(name: str) -> dict[str, Any]:
    """One definition of our schema, with all that it refers to."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    return {"definitions": schema["definitions"], "allOf": [{"$ref": f"#/definitions/{name}"}]}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> OfflineCli:
    install_cli()
    schemas = {"fc3": schema_of("function"), "fc3-domain": schema_of("domain")}
    return OfflineCli(tmp_path_factory.mktemp("home"), schemas)


@pytest.fixture
def copy(tmp_path: Path) -> DeploymentCopy:
    return DeploymentCopy(tmp_path)


@pytest.mark.parametrize("file", [S_YAML, PROD_YAML], ids=lambda file: file.name)
def test_preview_reads_the_file_as_we_do(cli: OfflineCli, file: Path) -> None:
    document = cli.preview("-t", str(file), folder=ROOT)
    ours = read_description(file, read_variables(EXAMPLE_ENV) | {"DEPLOY_PYTHON": "echo would-run"})
    assert list(document["resources"]) == list(ours.resources)
    for name, resource in document["resources"].items():
        assert resource["props"] == ours.resources[name].props, name
        assert resource["component"] == ours.resources[name].component, name
        assert resource.get("actions", {}) == ours.resources[name].actions, name


def test_the_number_of_composers_comes_from_one_variable(cli: OfflineCli, copy: DeploymentCopy) -> None:
    for name in ("deps", "sluice"):
        (copy.folder / f"build/layers/{name}.zip").write_bytes(b"PK")
    done = cli.run("deploy", "-y", folder=copy.folder, variables={"SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "40"})
    [compose] = [one for one in deployed(done, "fc3") if one["functionName"] == "sluice-dev-compose"]
    assert compose["concurrencyConfig"] == {"reservedConcurrency": 40}
    assert compose["environmentVariables"]["SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS"] == "40"


@pytest.mark.parametrize("file", [S_YAML, PROD_YAML], ids=lambda file: file.name)
def test_verify_accepts_the_file(cli: OfflineCli, file: Path) -> None:
    done = cli.run("verify", "-t", str(file), folder=ROOT)
    assert (done.code, "passed" in done.output) == (0, True), done.output


MISTAKES = {
    "a function without a name": (
        "functionName: sluice-${vars.stage}-compose",
        "name: sluice-${vars.stage}-compose",
        "compose/props must have required property 'functionName'",
    ),
    "an unknown key": (
        "asyncTask: true",
        "asyncTasks: true",
        "compose/props/asyncInvokeConfig must NOT have additional properties",
    ),
    "a layer without a region": (
        "region: ${vars.region}\n      layerName",
        "layerName",
        "layer_deps/props must have required property 'region'",
    ),
    "an unknown protocol": (
        "protocol: HTTP\n",
        "protocol: FTP\n",
        "api_domain/props/protocol must be equal to one of the allowed values",
    ),
}


def test_verify_refuses_every_mistake(cli: OfflineCli, copy: DeploymentCopy) -> None:
    for before, after, _ in MISTAKES.values():
        copy.break_s_yaml(before, after)
    done = cli.run("verify", folder=copy.folder)
    assert done.code != 0
    assert [mistake for mistake, (_, _, said) in MISTAKES.items() if said not in done.output] == [], done.output


def test_preview_names_a_variable_that_is_not_set(cli: OfflineCli, copy: DeploymentCopy) -> None:
    done = cli.run("preview", folder=copy.folder, variables={"DEPLOY_STAGE": ""})
    assert (done.code != 0, "DEPLOY_STAGE" in done.output) == (True, True), done.output


def deployed(done: Done, component: str) -> list[dict[str, Any]]:
    return [call["props"] for call in done.calls if (call["command"], call["component"]) == ("deploy", component)]


def test_deploying_builds_and_publishes_the_layers_and_then_names_them_to_the_functions(
    cli: OfflineCli, copy: DeploymentCopy
) -> None:
    for name in ("deps", "sluice"):
        (copy.folder / f"build/layers/{name}.zip").write_bytes(b"PK")
    done = cli.run("deploy", "-y", folder=copy.folder)
    assert done.code == 0, done.output
    published = [call["args"] for call in done.calls if call["command"] == "layer"]
    assert [call["command"] for call in done.calls[:2]] == ["layer", "layer"]
    assert [args[args.index("--code") + 1] for args in published] == [
        str(copy.folder / "build/layers/deps.zip"),
        str(copy.folder / "build/layers/sluice.zip"),
    ]
    assert all("python3.12,custom.debian11" in args for args in published)
    assert "would-run -m infra.build_layers deps" in done.output
    assert "would-run -m infra.build_layers sluice" in done.output
    assert done.output.count("would-run -m infra.post_deploy") == 1
    functions = deployed(done, "fc3")
    assert [one["functionName"] for one in functions] == [
        f"sluice-dev-{name}" for name in ("relay-grpc", "relay-http", "query", "compose", "extract", "sweep")
    ]
    assert all(one["layers"] == LAYERS for one in functions)
    assert [one["domainName"] for one in deployed(done, "fc3-domain")] == ["api.example.com", "query.example.com"]


@pytest.mark.parametrize("stage", ["s.yaml", "infra/serverless_devs/prod.yaml"])
def test_a_deployment_that_does_not_work_ends_as_a_failure(cli: OfflineCli, copy: DeploymentCopy, stage: str) -> None:
    for name in ("deps", "sluice"):
        (copy.folder / f"build/layers/{name}.zip").write_bytes(b"PK")
    only_the_check_fails = copy.folder / "python"
    only_the_check_fails.write_text('#!/bin/sh\ncase "$*" in *post_deploy*) echo WRONG; exit 1;; esac\n')
    only_the_check_fails.chmod(0o755)
    done = cli.run(
        "deploy", "-y", "-t", stage, folder=copy.folder, variables={"DEPLOY_PYTHON": str(only_the_check_fails)}
    )
    assert len(deployed(done, "fc3")) == 6
    assert (done.code != 0, "WRONG" in done.output) == (True, True), done.output


def test_nothing_is_deployed_when_a_layer_was_not_built(cli: OfflineCli, copy: DeploymentCopy) -> None:
    done = cli.run("deploy", "-y", folder=copy.folder)
    assert (done.code != 0, deployed(done, "fc3")) == (True, [])
    assert "deps.zip is not there" in done.output


def test_a_layer_that_is_not_published_stops_the_deployment(cli: OfflineCli, copy: DeploymentCopy) -> None:
    for name in ("deps", "sluice"):
        (copy.folder / f"build/layers/{name}.zip").write_bytes(b"PK")
    # The layer's component asks for a component that has no such command.
    layer = copy.folder / "infra/serverless_devs/layer/index.js"
    layer.write_text(layer.read_text().replace('"fc3", "layer"', '"fc3", "no-such-command"'))
    done = cli.run("deploy", "-y", folder=copy.folder)
    assert (done.code != 0, deployed(done, "fc3")) == (True, []), done.output


def test_removing_takes_the_layers_away_too(cli: OfflineCli, copy: DeploymentCopy) -> None:
    done = cli.run("remove", "-y", folder=copy.folder)
    assert done.code == 0, done.output
    removed = [call["args"] for call in done.calls if call["command"] == "layer"]
    assert {args[args.index("--layer-name") + 1] for args in removed} == {"sluice-dev-code", "sluice-dev-deps"}
    assert all(
        args[0] == "remove" and "-y" in args and args[args.index("--access") + 1] == "default" for args in removed
    )
    assert len([call for call in done.calls if (call["command"], call["component"]) == ("remove", "fc3")]) == 6


def test_asking_how_things_are_changes_nothing(cli: OfflineCli, copy: DeploymentCopy) -> None:
    done = cli.run("info", folder=copy.folder)
    assert done.code == 0, done.output
    assert {call["command"] for call in done.calls} == {"layer", "info"}
    assert {call["args"][0] for call in done.calls if call["command"] == "layer"} == {"versions"}
    asked = [call["props"]["layers"] for call in done.calls if (call["command"], call["component"]) == ("info", "fc3")]
    assert asked == [LAYERS] * 6


def test_the_tool_is_pinned_and_its_lock_names_no_host() -> None:
    manifest = json.loads((FOLDER / "package.json").read_text())
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name.removeprefix("node_modules/"): one for name, one in lock["packages"].items() if name}
    assert {name: one["version"] for name, one in packages.items()} == manifest["dependencies"]
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert [name for name, one in packages.items() if "resolved" in one] == []
