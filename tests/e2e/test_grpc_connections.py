"""Connections to gRPC that call nothing take no room from callers, and those of one tenant none from another's."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from sluice.api.grpc import connections
from sluice.api.grpc.connections import CallerConnections, read_peer
from sluice.api.grpc.server import GrpcLimits
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import GrpcClient, serving
from tests.support.memory_service import MemoryService

WAIT_S = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SAID = pytest.mark.parametrize("said", [b"", PREFACE])


def is_open(mute: socket.socket) -> bool:
    """Whether the other side has not ended it. Takes what has come."""
    mute.setblocking(False)
    try:
        while mute.recv(4_096):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False


def served(port: int) -> int:
    """Connections that this process has at its port."""
    own = psutil.Process().net_connections("tcp")
    return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in own)


@SAID
def test_a_thousand_connections_to_grpc_that_call_nothing_leave_room_for_callers(tmp_path: Path, said: bytes) -> None:
    limits = GrpcLimits(handshake_timeout_s=WAIT_S, idle_timeout_s=WAIT_S)
    memory = MemoryService(tmp_path)
    with serving(memory, limits=limits) as target, ExitStack() as stack:
        port = int(target.rpartition(":")[2])
        for _ in range(1_100):
            mute = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=WAIT_S))
            mute.sendall(said)
            mute.settimeout(WAIT_S)
        if said:
            assert mute.recv(1)  # the last of them is served as well
        client = stack.enter_context(closing(GrpcClient(target, memory.token())))
        client.call("ListTasks", pb.ListTasksRequest())


@SAID
def test_any_number_of_connections_that_call_nothing_make_room_for_each_other_and_for_callers(
    tmp_path: Path, said: bytes
) -> None:
    """The core's bound is reached many times over; without room it would turn the next caller away."""
    limits = GrpcLimits(
        connections_max=100, strangers_max=20, handshake_timeout_s=5 * WAIT_S, idle_timeout_s=5 * WAIT_S
    )
    memory = MemoryService(tmp_path)
    with serving(memory, limits=limits) as target, ExitStack() as stack:
        port = int(target.rpartition(":")[2])
        known = stack.enter_context(closing(GrpcClient(target, memory.token())))
        known.call("ListTasks", pb.ListTasksRequest())
        under_way = known.open_stream(timeout_s=5 * WAIT_S)
        mutes: list[socket.socket] = []
        for _ in range(10):
            for _ in range(30):
                mutes.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)))
                mutes[-1].sendall(said)
            give_up_at = time.monotonic() + WAIT_S
            while sum(map(is_open, mutes)) > limits.strangers_max:
                assert time.monotonic() < give_up_at
                time.sleep(0.01)
        assert any(map(is_open, mutes[-30:]))
        assert not any(map(is_open, mutes[:-60]))  # those that came first went first
        newcomer = stack.enter_context(closing(GrpcClient(target, memory.token())))
        newcomer.call("ListTasks", pb.ListTasksRequest())
        assert under_way.call.is_active()
        known.call("ListTasks", pb.ListTasksRequest())
        under_way.cancel()


@pytest.mark.parametrize(
    ("host", "family", "to", "peer"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1", "ipv4:127.0.0.1:%d"),
        ("::", socket.AF_INET6, "127.0.0.1", "ipv4:127.0.0.1:%d"),
        ("::1", socket.AF_INET6, "::1", "ipv6:%%5B::1%%5D:%d"),
    ],
)
def test_the_oldest_end_first_and_neither_new_ones_nor_known_ones_nor_those_of_other_ports(
    monkeypatch: pytest.MonkeyPatch, host: str, family: socket.AddressFamily, to: str, peer: str
) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 3_600)  # the test looks itself
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::"))
            for _ in range(2)
        ]

        def connect(listener: socket.socket, times: int) -> list[socket.socket]:
            made = []
            for _ in range(times):
                made.append(stack.enter_context(socket.create_connection((to, listener.getsockname()[1]), WAIT_S)))
                stack.enter_context(listener.accept()[0])
            return made

        watching = CallerConnections(strangers_max=3, callers_max=3)
        watching.start(listeners[0].getsockname()[1])
        stack.callback(watching.stop)
        first, elsewhere = connect(listeners[0], 5), connect(listeners[1], 5)
        assert watching.look() == 0
        watching.let_in(peer % first[2].getsockname()[1], "shop")
        second = connect(listeners[0], 2)
        assert watching.look() == 3
        assert [sum(map(is_open, some)) for some in (first, second, elsewhere)] == [2, 2, 5]
        assert is_open(first[2])
        assert watching.look() == 0
        third = connect(listeners[0], 9)
        assert watching.look() == 3  # all that are older
        assert [sum(map(is_open, some)) for some in (first, second, third)] == [1, 0, 9]


def test_connections_of_one_tenant_leave_room_for_another_and_its_calls_under_way_go_on(tmp_path: Path) -> None:
    """Each of its connections made a call, so none is a stranger's; without room the core turns the next away."""
    limits = GrpcLimits(
        connections_max=50, strangers_max=10, callers_max=10, idle_timeout_s=5 * WAIT_S, connection_age_s=60 * WAIT_S
    )
    memory = MemoryService(tmp_path)
    greedy, other = memory.token("greedy"), memory.token("other")
    with serving(memory, limits=limits) as target, ExitStack() as stack:
        port = int(target.rpartition(":")[2])
        known = stack.enter_context(closing(GrpcClient(target, other)))
        known.call("ListTasks", pb.ListTasksRequest())
        under_way = stack.enter_context(closing(GrpcClient(target, greedy))).open_stream(timeout_s=5 * WAIT_S)
        for _ in range(4):
            for _ in range(20):
                client = stack.enter_context(closing(GrpcClient(target, greedy)))
                client.call("ListTasks", pb.ListTasksRequest())
            give_up_at = time.monotonic() + WAIT_S
            while served(port) > limits.callers_max + limits.strangers_max:
                assert time.monotonic() < give_up_at
                time.sleep(0.01)
        newcomer = stack.enter_context(closing(GrpcClient(target, other)))
        newcomer.call("ListTasks", pb.ListTasksRequest())
        known.call("ListTasks", pb.ListTasksRequest())
        assert under_way.call.is_active()
        under_way.cancel()


def test_the_tenant_with_most_connections_loses_those_that_were_used_longest_ago_and_have_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 3_600)  # the test looks itself
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        watching = CallerConnections(strangers_max=2, callers_max=6)
        watching.start(listener.getsockname()[1])
        stack.callback(watching.stop)

        def connect() -> socket.socket:
            made = stack.enter_context(socket.create_connection(listener.getsockname(), WAIT_S))
            stack.enter_context(listener.accept()[0])
            return made

        def call(made: socket.socket, tenant: str) -> Callable[[], None]:
            return watching.let_in(f"ipv4:127.0.0.1:{made.getsockname()[1]}", tenant)

        greedy, modest = [connect() for _ in range(6)], [connect() for _ in range(2)]
        for made in modest:
            call(made, "modest")()
        call(greedy[0], "greedy")  # goes on
        for made in (*greedy[2:], greedy[1]):
            call(made, "greedy")()
        assert watching.look() == 2
        assert [is_open(made) for made in greedy] == [True, True, False, False, True, True]
        assert all(map(is_open, modest))
        assert watching.look() == 0


@pytest.mark.parametrize("peer", ["", "unix:", "unix:/a/b:1", "ipv4:1.2.3.4:x", "ipv4:1.2.3.4:99999"])
def test_what_is_no_address_is_the_peer_of_no_connection(peer: str) -> None:
    assert read_peer(peer) is None
