"""Reads a Serverless Devs file for what it deploys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.local.deployment import (
    DEFAULT_AGE_S,
    DEFAULT_MEMORY_MB,
    DEFAULT_PORT,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT_S,
    AsyncConfig,
    Deployment,
    FunctionSpec,
    Hook,
    HttpTrigger,
    OssTrigger,
    Route,
    TimerTrigger,
)
from infra.local.variables import DeploymentError, Variables


def load_deployment(file: Path, env: Mapping[str, str]) -> Deployment:
    """Read ``file``; ``env`` is what its ${env(…)} see. Raises DeploymentError."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    resources = {name: _with_template(document, resource) for name, resource in document["resources"].items()}
    scope = {"vars": document.get("vars", {}), "resources": resources}
    rendered = {
        name: Variables(file.parent, env, {**scope, "this": resource}).render(resource.get("props", {}))
        for name, resource in resources.items()
    }
    functions = {name: props for name, props in rendered.items() if "functionName" in props}
    return Deployment(
        region=next((props["region"] for props in rendered.values() if "region" in props), ""),
        functions={name: _function(name, props, file.parent) for name, props in functions.items()},
        domains={
            name: tuple(map(_route, props["routeConfig"]["routes"]))
            for name, props in rendered.items()
            if "routeConfig" in props
        },
        layers=_layers(rendered, functions, file.parent),
    )


def _layers(rendered: Mapping[str, Any], functions: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    orders = {tuple(props.get("layers") or ()) for props in functions.values()}
    if len(orders) > 1:
        raise DeploymentError("functions with different layers cannot be run here")
    (order,) = orders or {()}
    owners = [layer.split(".")[1] for layer in order if layer.startswith("resources.")]
    return tuple((folder / rendered[owner]["code"]).resolve() for owner in owners)


def _with_template(document: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    extend = resource.get("extend")
    if not extend:
        return dict(resource)
    template = document.get("template", {}).get(extend["name"])
    if template is None:
        raise DeploymentError(f"there is no template {extend['name']}")
    kept = {name: value for name, value in template.items() if name not in extend.get("ignoreProps", ())}
    return {**resource, "props": _merged(kept, resource.get("props", {}))}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


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
        role=props.get("role", ""),
        environment={name: str(value) for name, value in (props.get("environmentVariables") or {}).items()},
        initializer=_hook(hooks.get("initializer")),
        pre_stop=_hook(hooks.get("preStop")),
        asynchronous=_async_config(props.get("asyncInvokeConfig") or {}),
        oss_triggers=tuple(_oss_trigger(one) for one in triggers if one["triggerType"] == "oss"),
        timer_triggers=tuple(_timer_trigger(one) for one in triggers if one["triggerType"] == "timer"),
        http_triggers=tuple(_http_trigger(one) for one in triggers if one["triggerType"] == "http"),
    )


def _code_folder(code: Any) -> str:
    if isinstance(code, str):
        return code
    raise DeploymentError("only code in a folder can be run here")


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


def _http_trigger(trigger: Mapping[str, Any]) -> HttpTrigger:
    config = trigger["triggerConfig"]
    return HttpTrigger(trigger["triggerName"], tuple(config.get("methods", ())), config.get("authType", "anonymous"))


def _route(route: Mapping[str, Any]) -> Route:
    return Route(route["path"], tuple(route.get("methods") or ()), route["functionName"])
