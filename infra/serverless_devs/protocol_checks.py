"""Whether s.yaml says what the code believes: keys, ports, payloads, settings, waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.serverless_devs.description import Description, Resource
from sluice.app.settings.validation import Settings, SettingsError, settings_from
from sluice.domain.keys import INPUT_PREFIX, MANIFEST_SUFFIX
from sluice.domain.limits import Timings
from sluice.proto import export_pb2

PUT = ["oss:ObjectCreated:PutObject"]
GRPC_PORT, HTTP_PORT = 8089, 9000
"""Where the functions listen, see app/functions; the gateway knows gRPC by its port."""
PORTS = {"relay_grpc": GRPC_PORT, "relay_http": HTTP_PORT, "query": HTTP_PORT}
PAYLOADS = {"sweep", "reconcile"}
"""What the sweeper's timers say; app/functions/sweep.py tells them apart."""
GRPC_PATH = f"/{export_pb2.DESCRIPTOR.services_by_name['ExportService'].full_name}/*"
REQUEST_BYTES_MAX = 32_000_000
"""Of a request that the gateway lets through."""
SENDERS_DOMAIN = "api_domain"
SHARED_WAITS = ("lease_s", "heartbeat_s", "clock_skew_s", "trigger_grace_s")
"""Settings whose defaults are those of one machine."""
WORKER_MEMORY_MB_MIN = 256
"""A composer and a reader use less than 100 MB each; what is more is for the runtime, and to be safe."""
DEFINITIONS = "/opt/definitions"
ANSWER_S = 60
"""To count rows, and to send a file."""


def broken_protocol(description: Description) -> Iterator[str]:
    """Say what does not agree with the code."""
    found = list(_wrong_settings(description))
    if found:
        yield from found  # the other checks count on settings that can be read
        return
    yield from _wrong_trigger(description)
    yield from _wrong_compose(description)
    yield from _wrong_extract(description)
    yield from _wrong_sweep(description)
    yield from _wrong_servers(description)


def _settings(function: Resource) -> Settings:
    return settings_from(function.props["environmentVariables"], None)


def _wrong_settings(description: Description) -> Iterator[str]:
    for function in description.functions():
        try:
            settings = _settings(function)
        except SettingsError as error:
            yield f"{function.name}: {error}"
            continue
        timings, expected = settings.timings(), Timings()
        waits = {"clock_skew_s": "skew_s"}
        for name in SHARED_WAITS:
            field = waits.get(name, name)
            if getattr(timings, field) != getattr(expected, field):
                yield f"{function.name}: concurrency.{name} is not that of domain/limits.py"
        if settings.performance.max_batch_bytes > REQUEST_BYTES_MAX:
            most = f"the {REQUEST_BYTES_MAX} that one request may have"
            yield f"{function.name}: performance.max_batch_bytes is more than {most}"
        if function.props["environmentVariables"].get("MALLOC_ARENA_MAX") != "2":
            yield f"{function.name}: MALLOC_ARENA_MAX is not 2"


def _triggers(description: Description, kind: str) -> list[tuple[Resource, dict[str, Any]]]:
    return [
        (function, trigger)
        for function in description.functions()
        for trigger in function.props.get("triggers", ())
        if trigger["triggerType"] == kind
    ]


def _wrong_trigger(description: Description) -> Iterator[str]:
    triggers = _triggers(description, "oss")
    if [function.name for function, _ in triggers] != ["compose"]:
        yield "there must be one trigger on a bucket, and it must be compose's"
    for function, trigger in triggers:
        config, variables = trigger["triggerConfig"], description.document["vars"]
        key = config["filter"]["key"]
        if (key["prefix"], key["suffix"]) != (INPUT_PREFIX, MANIFEST_SUFFIX):
            yield f"{function.name}: the trigger's filter is not {INPUT_PREFIX}…{MANIFEST_SUFFIX} of domain/keys.py"
        if config["events"] != PUT:
            yield f"{function.name}: the trigger must hear {PUT[0]} and nothing else"
        bucket = function.props["environmentVariables"]["SLUICE_OSS_BUCKET"]
        if trigger["sourceArn"] != f"acs:oss:{variables['region']}:{variables['account']}:{bucket}":
            yield f"{function.name}: the trigger is not on the input bucket"
        if not trigger["invocationRole"].endswith(f":role/sluice-{variables['stage']}-trigger"):
            yield f"{function.name}: the trigger calls as {trigger['invocationRole']}, not as the trigger's role"


def _wrong_compose(description: Description) -> Iterator[str]:
    yield from _wrong_worker(description.resources["compose"])
    compose = description.resources["compose"].props
    settings = _settings(description.resources["compose"])
    reserved = compose.get("concurrencyConfig", {}).get("reservedConcurrency")
    if reserved != settings.concurrency.max_concurrent_tasks:
        yield f"compose: {reserved} instances are reserved, not concurrency.max_concurrent_tasks"


def _wrong_worker(function: Resource) -> Iterator[str]:
    """Of a function that works under a lease, and is asked for asynchronously."""
    name, props = function.name, function.props
    calls = props.get("asyncInvokeConfig", {})
    if calls.get("maxAsyncRetryAttempts") != 1:
        yield f"{name}: an event is tried once more by the platform, the sweeper does the rest"
    if not calls.get("asyncTask"):
        yield f"{name}: without asyncTask the ids of the sweeper's calls mean nothing"
    if not calls.get("destinationConfig"):
        yield f"{name}: events that failed go nowhere"
    if props["memorySize"] < WORKER_MEMORY_MB_MIN:
        yield f"{name}: {props['memorySize']} MB leave no room above what it uses"
    settings = _settings(function)
    if props["timeout"] < settings.performance.upload_timeout_s + settings.functions.stop_margin_s:
        yield f"{name}: its time limit cuts off an attempt that performance.upload_timeout_s allows"


def _wrong_extract(description: Description) -> Iterator[str]:
    """Those who are asked for tables, and the one that reads them, have the same definitions and the same network."""
    extract = description.resources["extract"]
    yield from _wrong_worker(extract)
    if not extract.props.get("concurrencyConfig", {}).get("reservedConcurrency"):
        yield "extract: databases have as many connections from it as there are users who ask"
    definitions = _settings(extract).datasets.definitions
    for name in ("relay_grpc", "relay_http"):
        relay = description.resources[name]
        settings = _settings(relay)
        if settings.datasets.definitions != definitions or definitions != DEFINITIONS:
            yield f"{name}, extract: datasets.definitions must be {DEFINITIONS}, where the layer has them"
        if relay.props.get("vpcConfig") != extract.props.get("vpcConfig"):
            yield f"{name}: counts rows in another network than extract reads them in"
        if settings.functions.extract_url != _call_of(description, "extract"):
            yield f"{name}: does not ring extract by {_call_of(description, 'extract')}"
        if settings.datasets.wait_max_s + ANSWER_S > relay.props["timeout"]:
            yield f"{name}: is ended while a call waits for as long as datasets.wait_max_s says"


def _call_of(description: Description, name: str) -> str:
    """The address of the interface's own call of a function."""
    function = description.resources[name].props["functionName"]
    region, account = description.document["vars"]["region"], description.document["vars"]["account"]
    return f"https://{account}.{region}.fc.aliyuncs.com/2023-03-30/functions/{function}/invocations"


def _wrong_sweep(description: Description) -> Iterator[str]:
    timers = _triggers(description, "timer")
    if {function.name for function, _ in timers} != {"sweep"}:
        yield "the timers must be sweep's"
    payloads = sorted(trigger["triggerConfig"]["payload"] for _, trigger in timers)
    if payloads != sorted(PAYLOADS):
        yield f"sweep: its timers say {payloads}, not {sorted(PAYLOADS)}"
    if not all(trigger["triggerConfig"]["enable"] for _, trigger in timers):
        yield "sweep: a timer is off, and what is lost stays lost"
    every = [t["triggerConfig"]["cronExpression"] for _, t in timers if t["triggerConfig"]["payload"] == "sweep"]
    if every != ["@every 1m"]:
        yield "sweep: lost exports wait for longer than a minute"
    functions = _settings(description.resources["sweep"]).functions
    if (functions.invoker, functions.compose_url) != ("http", call := _call_of(description, "compose")):
        yield f"sweep: does not ring compose by {call}"
    if functions.extract_url != (call := _call_of(description, "extract")):
        yield f"sweep: does not ring extract by {call}"


def _wrong_servers(description: Description) -> Iterator[str]:
    servers = {one.name: one for one in description.functions() if one.props["runtime"] == "custom.debian11"}
    if servers.keys() != PORTS.keys():
        yield f"the functions with a port must be {', '.join(PORTS)}"
    for name, function in servers.items():
        props = function.props
        port = props["customRuntimeConfig"]["port"]
        if port != PORTS.get(name):
            yield f"{name}: the platform looks for it at {port}, not at {PORTS.get(name)}"
        variables = props["environmentVariables"]
        if not variables.get("PATH", "").startswith("/var/fc/lang/python3.12/bin:"):
            yield f"{name}: PATH does not lead to Python 3.12 first"
        if variables.get("PYTHONPATH") != "/opt/python:/code":
            yield f"{name}: PYTHONPATH does not lead to the layers"
        yield from _wrong_hooks(function)
    yield from _wrong_grpc_routes(description)


def _wrong_grpc_routes(description: Description) -> Iterator[str]:
    """The gateway serves gRPC to clients with TLS only, so its route is on the senders' domain if that has HTTPS."""
    relay = description.resources["relay_grpc"].props["functionName"]
    for domain in description.domains():
        routes = {route["path"]: route["functionName"] for route in domain.props["routeConfig"]["routes"]}
        leads = {path for path, function in routes.items() if function == relay}
        has_tls = "HTTPS" in domain.props["protocol"]
        if leads and not has_tls:
            yield f"{domain.name}: gRPC at {', '.join(sorted(leads))} needs a domain with HTTPS"
        if leads - {GRPC_PATH} or (has_tls and domain.name == SENDERS_DOMAIN and not leads):
            yield f"{domain.name}: no route leads from {GRPC_PATH} to relay_grpc"


def _wrong_hooks(function: Resource) -> Iterator[str]:
    """The hooks are HTTP requests; a server of gRPC alone cannot answer them."""
    hooks = function.props.get("instanceLifecycleConfig", {})
    if function.props["customRuntimeConfig"]["port"] == GRPC_PORT:
        if hooks or "healthCheckConfig" in function.props["customRuntimeConfig"]:
            yield f"{function.name}: hooks and health checks speak HTTP, which it does not"
        return
    if hooks.keys() != {"initializer", "preStop"}:
        yield f"{function.name}: needs both hooks"
    elif hooks["preStop"]["timeout"] <= _settings(function).server.shutdown_grace_s:
        yield f"{function.name}: is stopped before server.shutdown_grace_s is over"
