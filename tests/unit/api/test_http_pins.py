"""`server/connection.py` extends a class that promises nothing to subclasses: an upgrade of its library fails here.

To upgrade: read uvicorn's `h11_impl.py` again, run the security tests, then move the pins and what is listed here.
"""

from __future__ import annotations

import asyncio
import tomllib
from asyncio import selector_events
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import h11
import pytest
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http import h11_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from sluice.api.http.server.connection import connection_factory
from sluice.api.http.server.connection_rules import ConnectionRules

ROOT = Path(__file__).resolve().parents[3]

PARAMETERS: dict[Callable[..., object], list[str]] = {
    h11_impl.H11Protocol.__init__: ["self", "config", "server_state", "app_state", "_loop"],
    h11_impl.H11Protocol.connection_made: ["self", "transport"],
    h11_impl.H11Protocol.connection_lost: ["self", "exc"],
    h11_impl.H11Protocol.data_received: ["self", "data"],
    h11_impl.H11Protocol.handle_events: ["self"],
    h11_impl.H11Protocol.on_response_complete: ["self"],
    h11_impl.H11Protocol.pause_writing: ["self"],
    h11_impl.H11Protocol.resume_writing: ["self"],
    h11_impl.H11Protocol.send_400_response: ["self", "msg"],
    h11.Connection.__init__: ["self", "our_role", "max_incomplete_event_size"],
    h11.Connection.send: ["self", "event"],
    h11.Connection.next_event: ["self"],
    FlowControl.__init__: ["self", "transport"],
    FlowControl.pause_reading: ["self"],
    FlowControl.resume_reading: ["self"],
    SSLProtocol.__init__: [
        "self",
        "loop",
        "app_protocol",
        "sslcontext",
        "waiter",
        "server_side",
        "server_hostname",
        "call_connection_made",
        "ssl_handshake_timeout",
        "ssl_shutdown_timeout",
    ],
    SSLProtocol.connection_made: ["self", "transport"],
    SSLProtocol.connection_lost: ["self", "exc"],
    ProxyHeadersMiddleware.__init__: ["self", "app", "trusted_hosts"],
    ProxyHeadersMiddleware.__call__: ["self", "scope", "receive", "send"],
}
"""What is overridden or called, and with which parameters."""


def pins() -> dict[str, str]:
    """The dependencies that `pyproject.toml` holds to one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    exact = (dependency.partition("==") for dependency in project["dependencies"] if "==" in dependency)
    return {name: pinned for name, _, pinned in exact}


@pytest.mark.parametrize("name", ["uvicorn", "h11"])
def test_what_is_installed_is_what_was_read(name: str) -> None:
    assert pins()[name] == version(name)


@pytest.mark.parametrize("member", PARAMETERS, ids=lambda member: member.__qualname__)
def test_what_is_overridden_or_called_takes_what_it_took(member: Callable[..., object]) -> None:
    assert list(signature(member).parameters) == PARAMETERS[member]


def test_every_method_that_is_overridden_is_listed() -> None:
    """A method of ours that uvicorn no longer calls would be dead, and its attack open again."""
    rules = ConnectionRules(
        idle_s=1, connections_max=1, strangers_max=1, stranger_s=1, stranger_answer_s=1, new_request_id=lambda: "id"
    )
    factory: Any = connection_factory(rules)
    own = {name for name, member in vars(factory.func).items() if callable(member)}
    inherited = {name for name in own if hasattr(h11_impl.H11Protocol, name)}
    listed = {member.__name__ for member in PARAMETERS if member.__qualname__.startswith("H11Protocol.")}
    assert inherited == listed


def test_the_attributes_that_are_read_are_there() -> None:
    async def made() -> h11_impl.H11Protocol:
        config = Config(lambda: None, http=h11_impl.H11Protocol, ws="none", log_config=None)
        return h11_impl.H11Protocol(config, ServerState(), {})

    protocol = asyncio.run(made())
    state = vars(protocol)
    assert {"app", "loop", "conn", "cycle", "transport", "connections"} <= state.keys()
    assert state["cycle"] is None
    assert (protocol.conn.our_state, protocol.conn.their_state) == (h11.IDLE, h11.IDLE)
    assert protocol.conn.trailing_data == (b"", False)
    assert "response_complete" in h11_impl.RequestResponseCycle.__init__.__code__.co_names
    assert SSLProtocol.max_size == vars(selector_events)["_SelectorTransport"].max_size == 256 * 1024
    assert {"SEND_BODY", "SEND_RESPONSE", "MUST_CLOSE", "CLOSED", "ERROR", "NEED_DATA"} <= vars(h11).keys()
    transport = asyncio.Transport()
    assert vars(FlowControl(transport)).items() >= {"_transport": transport, "read_paused": False}.items()
