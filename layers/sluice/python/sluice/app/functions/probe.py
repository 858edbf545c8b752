"""What a function finds around it: asked by the check after a deployment, where documents leave the answer open."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from sluice.app.functions.function_process import FunctionProcess
from sluice.app.secrets import find_secret
from sluice.domain.dataset import DefinitionsError, MysqlConnection, PostgresqlConnection
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, manifest_key, result_key
from sluice.ports.source import SourceError
from sluice.ports.store_errors import NoSuchObject, StoreError

PROBE = "probe"
"""The payload that asks for this."""
CONNECT_S = 3.0
TABLESTORE_DOMAINS = ("ots-internal.aliyuncs.com", "vpc.tablestore.aliyuncs.com")
"""Of the classic network and of VPCs; which one a function is in is not documented."""
HTTPS_PORT = 443
FINE = "fine"
_NOWHERE = TaskRef(TenantId("probe"), TaskId("a" * 26))
"""A task that there is not."""


class _Asked(msgspec.Struct):
    payload: str = ""


def is_probe(event: bytes) -> bool:
    """Whether the event asks for this. A long event is none, and is not read."""
    if len(event) > 1_000:  # noqa: PLR2004 - a probe is a few words; a bucket's event may be long
        return False
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):
        return msgspec.json.decode(event, type=_Asked).payload == PROBE
    return False


def probe(function: FunctionProcess) -> dict[str, object]:
    """Try each thing once and say what came of it: ``FINE``, or what is wrong. Writes nothing."""
    ports, settings = function.ports, function.settings
    found: dict[str, object] = {
        "tablestore_addresses": dict(_addresses(settings.tablestore.endpoint)),
        "tablestore": _outcome(lambda: ports.tasks.read(_NOWHERE)),
        "missing_input": _outcome(lambda: ports.objects.head(manifest_key(_NOWHERE, "0" * 32))),
    }
    if settings.functions.invoker == "none":  # the composer, which may read results; the sweeper may not
        missing = result_key(_NOWHERE, epoch=0, nonce="none", extension="none")
        found["missing_result"] = _outcome(lambda: ports.objects.head(missing))
    else:  # a call that names a task that there is not: the composer drops it
        found["call_of_composer"] = _outcome(lambda: ports.invoker.invoke(ManifestRef(_NOWHERE, "0" * 32), epoch=0))
    return {PROBE: found}


def probe_reader(function: FunctionProcess) -> dict[str, object]:
    """As ``probe``, of a function that reads tables: whether it reaches each server, and has each password."""
    from sluice.app.definitions import load_definitions  # noqa: PLC0415  # for this check alone

    settings = function.settings
    found: dict[str, object] = {
        "tablestore_addresses": dict(_addresses(settings.tablestore.endpoint)),
        "tablestore": _outcome(lambda: function.ports.tasks.read(_NOWHERE)),
    }
    if not settings.datasets.definitions:
        return {PROBE: found}
    try:
        connections = load_definitions(Path(settings.datasets.definitions)).connections
    except DefinitionsError as error:
        return {PROBE: {**found, "definitions": str(error)}}
    for name, connection in connections.items():
        if isinstance(connection, PostgresqlConnection | MysqlConnection):
            found[f"connection_{name}"] = _reached(connection)
    return {PROBE: found}


def _reached(connection: PostgresqlConnection | MysqlConnection) -> str:
    """Whether there is a password for it, and whether its address answers; nothing is said to it."""
    try:
        find_secret(connection.password)
        socket.create_connection((connection.host, connection.port), timeout=CONNECT_S).close()
    except SourceError as error:
        return str(error)
    except OSError as error:
        return f"not reached: {type(error).__name__}"
    return FINE


def _outcome(attempt: Callable[[], object]) -> str:
    """What came of it. That there is no such object is an answer as it should be."""
    try:
        attempt()
    except NoSuchObject:
        return FINE
    except StoreError as error:
        return str(error)
    return FINE


def _addresses(endpoint: str) -> Iterator[tuple[str, str]]:
    """Whether a connection is made to each address that the instance may have from here."""
    host, port = urlsplit(endpoint).hostname or endpoint, urlsplit(endpoint).port or HTTPS_PORT
    own = next((domain for domain in TABLESTORE_DOMAINS if host.endswith(f".{domain}")), "")
    for domain in TABLESTORE_DOMAINS if own else ("",):
        name = host.removesuffix(own) + domain
        try:
            socket.create_connection((name, port), timeout=CONNECT_S).close()
        except OSError as error:
            yield name, f"not reached: {type(error).__name__}"
        else:
            yield name, FINE
