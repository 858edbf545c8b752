"""Finds what is wrong with s.yaml before anything is deployed: `python -m infra.serverless_devs.checks`."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jsonschema import Draft7Validator

from infra.serverless_devs.description import (
    EXAMPLE_ENV,
    PROD_YAML,
    S_YAML,
    Description,
    DescriptionError,
    Resource,
    read_description,
    read_variables,
)
from infra.serverless_devs.protocol_checks import broken_protocol

INTERPRETER = "python3"


def broken_code(description: Description) -> Iterator[str]:
    """Say which function has no code that can be started. Whether it runs is tried by the tests of the layers."""
    for function in description.functions():
        folder = Path(function.props["code"])
        if not folder.is_dir():
            yield f"{function.name}: there is no folder {folder}"
        elif "handler" in function.props:
            yield from _wrong_handler(function, folder)
        else:
            yield from _wrong_command(function, folder)


def _wrong_handler(function: Resource, folder: Path) -> Iterator[str]:
    module, _, name = function.props["handler"].partition(".")
    file = folder / f"{module}.py"
    if not file.is_file():
        yield f"{function.name}: there is no {file} for the handler {function.props['handler']}"
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not defined:
        yield f"{function.name}: {file} defines no {name}()"
    elif len(defined[0].args.args) != len(("event", "context")):
        yield f"{function.name}: {name}() does not take an event and a context"


def _wrong_command(function: Resource, folder: Path) -> Iterator[str]:
    command: list[str] = function.props["customRuntimeConfig"]["command"]
    interpreter, script = command[0], command[1] if len(command) > 1 else ""
    if interpreter != INTERPRETER:
        yield f"{function.name}: starts with {interpreter}, not with the {INTERPRETER} that PATH leads to"
    if not (folder / script).is_file():
        yield f"{function.name}: there is no {script or 'script'} in {folder}"


SCHEMA = Path(__file__).with_name("s.schema.json")
ROLES = {
    "relay_grpc": "grpc",
    "relay_http": "grpc",
    "query": "query",
    "compose": "compose",
    "extract": "extract",
    "sweep": "sweep",
}
"""Which role each function runs as; infra/ros says what each may do."""
MEMORY_PER_CPU_GIB = (1, 4)
"""Function Compute takes from 1 to 4 GiB of memory with each CPU."""
GIB_IN_MB = 1024


def problems(file: Path, environment: Mapping[str, str]) -> list[str]:
    """Say what is wrong with ``file``, a sentence each; nothing when it can be deployed."""
    try:
        description = read_description(file, environment)
    except DescriptionError as error:
        return [str(error)]
    found = list(_broken_schema(description))
    if found:
        return found  # the other checks count on the shape
    checks: tuple[Callable[[Description], Iterator[str]], ...] = (
        _wrong_roles,
        _wrong_sizes,
        _wrong_layers,
        _wrong_routes,
        broken_protocol,
        broken_code,
    )
    return [problem for check in checks for problem in check(description)]


def _broken_schema(description: Description) -> Iterator[str]:
    for error in Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).iter_errors(description.document):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


def _wrong_roles(description: Description) -> Iterator[str]:
    names = {function.name for function in description.functions()}
    if names != ROLES.keys():
        yield f"there are the functions {', '.join(sorted(names))}; roles are known for {', '.join(sorted(ROLES))}"
    variables = description.document["vars"]
    for function in description.functions():
        role = f"acs:ram::{variables['account']}:role/sluice-{variables['stage']}-{ROLES.get(function.name, '?')}"
        if function.props["role"] != role:
            yield f"{function.name}: runs as {function.props['role']}, not as {role}"


def _wrong_sizes(description: Description) -> Iterator[str]:
    least, most = MEMORY_PER_CPU_GIB
    for function in description.functions():
        gib_per_cpu = function.props["memorySize"] / GIB_IN_MB / function.props["cpu"]
        if not least <= gib_per_cpu <= most:
            yield f"{function.name}: {gib_per_cpu:.2f} GiB of memory for each CPU; {least} to {most} can be had"


def _wrong_layers(description: Description) -> Iterator[str]:
    """Our code comes first, so that no package of the other layer can take its place."""
    ours, theirs = "${resources.layer_sluice.output.arn}", "${resources.layer_deps.output.arn}"
    for function in description.functions():
        if function.props["layers"] != [ours, theirs]:
            yield f"{function.name}: its layers are not the two that are built"
    zips = {"layer_sluice": "sluice.zip", "layer_deps": "deps.zip"}
    for layer in description.layers():
        built = f"/build/layers/{zips.get(layer.name, '?')}"
        if not layer.props["code"].endswith(built):
            yield f"{layer.name}: {layer.props['code']} is not what is built; {built} is"
        used = {function.props["runtime"] for function in description.functions()}
        if set(layer.props["compatibleRuntime"]) != used:
            yield f"{layer.name}: is for {layer.props['compatibleRuntime']}; the functions run on {sorted(used)}"


def _wrong_routes(description: Description) -> Iterator[str]:
    """Function Compute picks a route by its path alone."""
    methods = {
        function.props["functionName"]: {
            method
            for trigger in function.props.get("triggers", ())
            if trigger["triggerType"] == "http"
            for method in trigger["triggerConfig"]["methods"]
        }
        for function in description.functions()
    }
    for domain in description.domains():
        routes = domain.props["routeConfig"]["routes"]
        twice = [path for path, count in Counter(route["path"] for route in routes).items() if count > 1]
        if twice:
            yield f"{domain.name}: {', '.join(twice)} leads to more than one function"
        for route in routes:
            if not methods.get(route["functionName"]):
                yield f"{domain.name}: {route['path']} leads to {route['functionName']}, which answers no HTTP"
            elif extra := set(route["methods"]) - methods[route["functionName"]]:
                yield f"{domain.name}: {route['path']} lets {', '.join(sorted(extra))} through, the function does not"


def main() -> int:
    """Check both stages; with .env beside s.yaml that one counts, else the example's values."""
    own = S_YAML.with_name(".env")
    variables = read_variables(own if own.exists() else EXAMPLE_ENV) | dict(os.environ)
    found = [f"{file.name}: {problem}" for file in (S_YAML, PROD_YAML) for problem in problems(file, variables)]
    print("\n".join(found) if found else "s.yaml and prod.yaml have no mistakes")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
