"""Reads a Serverless Devs file for what it deploys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.emulators.function_compute.deployment import (
    DEFAULT_AGE_S,
    DEFAULT_MEMORY_MB,
    DEFAULT_PORT,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT_S,
    AsyncConfig,
    Deployment,
    FunctionSpec,
    Hook,
    OssTrigger,
    Route,
    TimerTrigger,
)
from infra.serverless_devs.description import DescriptionError, read_description


def load_deployment(file: Path, env: Mapping[str, str]) -> Deployment:
    """Read ``file``; ``env`` is what its ${env(…)} see. Raises ``DescriptionError``."""
    description = read_description(file, env)
    props = {name: resource.props for name, resource in description.resources.items()}
    functions = {name: one for name, one in props.items() if "functionName" in one}
    return Deployment(
        region=next((one["region"] for one in props.values() if "region" in one), ""),
        functions={name: _function(name, one, file.parent) for name, one in functions.items()},
        domains={
            name: tuple(map(_route, one["routeConfig"]["routes"]))
            for name, one in props.items()
            if "routeConfig" in one
        },
        layers=_layers(props, functions, file.parent),
    )


def _layers(rendered: Mapping[str, Any], functions: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    orders = {tuple(props.get("layers") or ()) for props in functions.values()}
    if len(orders) > 1:
        raise DescriptionError("functions with different layers cannot be run here")
    (order,) = orders or {()}
    owners = [layer.split(".")[1] for layer in order if layer.startswith("${resources.")]
    return tuple((folder / rendered[owner]["code"]).resolve() for owner in owners)


def _function(resource: str, props: Mapping[str, Any], folder: Path) -> FunctionSpec:
    custom = props.get("customRuntimeConfig") or {}
    hooks = props.get("instanceLifecycleConfig") or {}
    triggers = props.get("triggers") or []
    return FunctionSpec(
        name=props["functionName"],
        resource=resource,
        runtime=props["runtime"],
        handler=props.get("handler", ""),
        code=(folder / _code_folder(props["code"])).resolve(),
        command=(*custom.get("command", ()), *custom.get("args", ())),
        port=int(custom.get("port", DEFAULT_PORT)),
        timeout_s=float(props.get("timeout", DEFAULT_TIMEOUT_S)),
        memory_mb=int(props.get("memorySize", DEFAULT_MEMORY_MB)),
        concurrency=int(props.get("instanceConcurrency", 1)),
        instances_max=int((props.get("concurrencyConfig") or {}).get("reservedConcurrency", 0)),
        role=props.get("role", ""),
        environment={name: str(value) for name, value in (props.get("environmentVariables") or {}).items()},
        initializer=_hook(hooks.get("initializer")),
        pre_stop=_hook(hooks.get("preStop")),
        asynchronous=_async_config(props.get("asyncInvokeConfig") or {}),
        oss_triggers=tuple(_oss_trigger(one) for one in triggers if one["triggerType"] == "oss"),
        timer_triggers=tuple(_timer_trigger(one) for one in triggers if one["triggerType"] == "timer"),
    )


def _code_folder(code: Any) -> str:
    if isinstance(code, str):
        return code
    raise DescriptionError("only code in a folder can be run here")


def _hook(props: Mapping[str, Any] | None) -> Hook | None:
    return Hook(float(props.get("timeout", DEFAULT_TIMEOUT_S))) if props else None


def _async_config(props: Mapping[str, Any]) -> AsyncConfig:
    destination = ((props.get("destinationConfig") or {}).get("onFailure") or {}).get("destination", "")
    return AsyncConfig(
        retries_max=int(props.get("maxAsyncRetryAttempts", DEFAULT_RETRIES)),
        age_max_s=float(props.get("maxAsyncEventAgeInSeconds", DEFAULT_AGE_S)),
        failure_destination=destination,
        is_task=bool(props.get("asyncTask", False)),
    )


def _oss_trigger(trigger: Mapping[str, Any]) -> OssTrigger:
    config = trigger["triggerConfig"]
    key = config["filter"]["key"]
    bucket = trigger["sourceArn"].rpartition(":")[2]
    return OssTrigger(trigger["triggerName"], bucket, tuple(config["events"]), key["prefix"], key["suffix"])


def _timer_trigger(trigger: Mapping[str, Any]) -> TimerTrigger:
    config = trigger["triggerConfig"]
    return TimerTrigger(
        trigger["triggerName"], config["cronExpression"], config.get("payload", ""), bool(config["enable"])
    )


def _route(route: Mapping[str, Any]) -> Route:
    return Route(route["path"], tuple(route.get("methods") or ()), route["functionName"])
