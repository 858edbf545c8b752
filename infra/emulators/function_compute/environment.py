"""The environment that Function Compute gives a function's process, and nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from infra.emulators.function_compute.deployment import FunctionSpec
from infra.emulators.function_compute.interpreter import Interpreter

ACCOUNT_ID = "1000000000000001"
CALLERS_PATH = "/http-invoke"
"""The control path of what callers send; a hook has its own."""
PATH = "/usr/local/bin:/usr/bin:/bin"


class RoleKey(NamedTuple):
    """The temporary credentials of a function's role."""

    access_key_id: str
    access_key_secret: str
    security_token: str


class Place(NamedTuple):
    """Where functions run, instead of in the cloud."""

    region: str
    interpreter: Interpreter
    overrides: Mapping[str, str] = {}
    """Other values for variables that a function has. Read at each start."""


def function_environment(spec: FunctionSpec, place: Place) -> dict[str, str]:
    """Variables of any function. What the file says of /opt/python and /code is said of the folders here."""
    given = {name: place.overrides.get(name, value) for name, value in spec.environment.items()}
    own = {name: _moved(value, spec, place.interpreter) for name, value in given.items()}
    return {
        "PATH": PATH,
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **own,
        "FC_ACCOUNT_ID": ACCOUNT_ID,
        "FC_FUNC_CODE_PATH": str(spec.code),
        "FC_FUNCTION_HANDLER": spec.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "FC_FUNCTION_NAME": spec.name,
        "FC_REGION": place.region,
    }


def key_variables(key: RoleKey) -> dict[str, str]:
    """The credentials, where a built-in runtime of today puts them."""
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.access_key_secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": key.security_token,
    }


def request_headers(
    spec: FunctionSpec, key: RoleKey, *, region: str, request_id: str, control_path: str = CALLERS_PATH
) -> dict[str, str]:
    """The headers that a custom runtime gets with every request."""
    return {
        "x-fc-request-id": request_id,
        "x-fc-access-key-id": key.access_key_id,
        "x-fc-access-key-secret": key.access_key_secret,
        "x-fc-security-token": key.security_token,
        "x-fc-function-name": spec.name,
        "x-fc-function-handler": spec.handler,
        "x-fc-function-memory": str(spec.memory_mb),
        "x-fc-region": region,
        "x-fc-account-id": ACCOUNT_ID,
        "x-fc-qualifier": "LATEST",
        "x-fc-version-id": "LATEST",
        "x-fc-control-path": control_path,
    }


def python_path(variables: Mapping[str, str], spec: FunctionSpec, place: Place) -> str:
    """Where a built-in runtime looks for modules: the code, the layers, what the function adds."""
    parts = [str(spec.code), place.interpreter.opt_path, variables.get("PYTHONPATH", "")]
    return ":".join(part for part in parts if part)


def _moved(value: str, spec: FunctionSpec, interpreter: Interpreter) -> str:
    return value.replace("/opt/python", interpreter.opt_path).replace("/code", str(spec.code))
