"""Whether the files and handlers that s.yaml names are there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from infra.serverless_devs.description import Description, Resource

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
