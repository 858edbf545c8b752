"""How s.yaml is read, and that it agrees with the code and with what is provisioned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from infra.provision.environment_file import MADE_ONCE
from infra.provision.environment_file import VARIABLES as PROVISIONED
from infra.provision.template import build_template
from infra.serverless_devs.checks import ROLES
from infra.serverless_devs.description import (
    EXAMPLE_ENV,
    PROD_YAML,
    S_YAML,
    DescriptionError,
    read_description,
    read_variables,
)
from infra.serverless_devs.protocol_checks import GRPC_PORT, HTTP_PORT, PAYLOADS
from sluice.app.functions import grpc_function, http_function
from sluice.app.functions.http_function import HOOKS, LIVE
from sluice.app.functions.sweep import RECONCILE

_NEEDED = re.compile(r"env\('(\w+)'\)")


def written(folder: Path, text: str, name: str = "s.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


DOCUMENT = """
vars: {stage: dev, count: 3}
template:
  small: {size: "${vars.count}", tags: {a: 1, b: "${env('B', 'two')}"}}
resources:
  one:
    component: fc3
    extend: {name: small}
    props:
      name: x-${vars.stage}-${env('B', 'b')}
      here: ${path('.')}
      tags: {b: 2, c: "${resources.two.props.c}"}
      later: ${resources.two.output.arn}
      flags: ["${env('FLAG', true)}", "${env('NUMBER', 2.5)}"]
  two:
    component: fc3
    props: {c: see}
"""


def test_expressions_and_templates_are_worked_out(tmp_path: Path) -> None:
    one = read_description(written(tmp_path, DOCUMENT), {}).resources["one"]
    assert one.props == {
        "size": 3,
        "tags": {"a": 1, "b": 2, "c": "see"},
        "name": "x-dev-b",
        "here": str(tmp_path),
        "later": "${resources.two.output.arn}",
        "flags": [True, 2.5],
    }


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    one = read_description(written(tmp_path, DOCUMENT), {"B": ""}).resources["one"]
    assert one.props["name"] == "x-dev-b"


def test_a_file_that_extends_another_changes_what_it_names(tmp_path: Path) -> None:
    written(tmp_path, DOCUMENT)
    (tmp_path / "sub").mkdir()
    above = written(
        tmp_path / "sub",
        "extend: ../s.yaml\nvars: {stage: prod}\nresources: {one: {props: {more: 1, flags: [false]}}}\n",
    )
    one = read_description(above, {}).resources["one"]
    assert (one.props["name"], one.props["more"], one.props["flags"]) == ("x-prod-b", 1, [False, 2.5])
    assert one.props["here"] == str(tmp_path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${env('NOT_THERE')}", "the variable NOT_THERE is not set"),
        ("${vars.nothing}", "leads nowhere"),
        ("${path('./nothing')}", "there is no"),
        ("${json(file('x'))}", "is not read here"),
        ("${1 + 1}", "is not read here"),
        ("${env(NAME)}", "has an argument that is not read here"),
    ],
)
def test_what_cannot_be_worked_out_is_an_error(tmp_path: Path, value: str, said: str) -> None:
    document = {"vars": {}, "resources": {"one": {"component": "fc3", "props": {"x": value}}}}
    with pytest.raises(DescriptionError, match=re.escape(said)):
        read_description(written(tmp_path, yaml.safe_dump(document)), {})


@pytest.mark.parametrize("text", ["resources: [1, 2", "nothing: here", "[]"])
def test_what_describes_nothing_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DescriptionError):
        read_description(written(tmp_path, text), {})


def test_variables_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = written(tmp_path, "# a comment\nA=1\nexport B=two=2\n\n C = x \n", ".env")
    assert read_variables(file) == {"A": "1", "B": "two=2", "C": "x"}


def test_provisioning_writes_every_variable_that_a_stage_needs() -> None:
    assert (
        set(_NEEDED.findall(S_YAML.read_text())) - PROVISIONED.keys()
        == {"SLUICE_SECURITY_JWT_SECRET"}
        <= set(MADE_ONCE)
    )


def test_the_example_names_what_is_needed_and_nothing_else() -> None:
    read = re.compile(r"env\('(\w+)'")
    used = set(read.findall(S_YAML.read_text() + PROD_YAML.read_text()))
    example = read_variables(EXAMPLE_ENV).keys()
    assert example - used == set()
    assert set(_NEEDED.findall(S_YAML.read_text() + PROD_YAML.read_text())) - example == set()


def test_every_role_is_provisioned() -> None:
    resources = build_template()["Resources"].values()
    names = {
        one["Properties"]["RoleName"]["Fn::Sub"].removeprefix("sluice-${Stage}-")
        for one in resources
        if one["Type"] == "ALIYUN::RAM::Role"
    }
    assert {*ROLES.values(), "trigger"} - names == set()


def test_the_checks_know_what_the_functions_do() -> None:
    description = read_description(S_YAML, read_variables(EXAMPLE_ENV))
    assert (grpc_function.PORT, http_function.PORT) == (GRPC_PORT, HTTP_PORT)
    assert RECONCILE in PAYLOADS
    assert {("POST", "/initialize"), ("GET", "/pre-stop")} == HOOKS
    asked = {
        function.props["customRuntimeConfig"].get("healthCheckConfig", {}).get("httpGetUrl")
        for function in description.functions()
        if "customRuntimeConfig" in function.props
    }
    assert asked == {LIVE, None}
