"""Makes room at the gRPC port: ends connections without a known caller, and idle ones of callers, beyond a number."""

from __future__ import annotations

import ctypes
import os
import socket
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import unquote

LOOK_S = 0.25
"""Between two looks."""
CROWD_LOOK_S = 0.025
"""The same while each finds too many: thousands can come in a second."""

_DESCRIPTORS = Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd")
_LIBC = ctypes.PyDLL(None)
"""Its calls keep the interpreter's lock: each of thousands would otherwise wait to have it back from a busy thread."""
_IPV4_BYTES, _IPV6_BYTES = 16, 28
"""The sizes of a ``sockaddr``, which tell the kinds apart; both have the port at 2, and the address at 4 or 8."""
_MAPPED = bytes(10) + b"\xff\xff"
"""Begins an IPv4 address at a port that serves both kinds."""
_NOT_LOOKED_AT = 0


@dataclass(slots=True)
class _Known:
    """A connection on which a caller was let in."""

    tenant: str
    calls: int = 0
    """Under way."""
    used: int = 0
    """The number of the last call: the higher, the later."""


class CallerConnections:
    """Keeps those without a known caller below a number, the oldest end first, and those of callers below another.

    Of callers' connections the tenant that has most of them loses one without a call, the one that was used longest
    ago; its client opens another when it needs one. gRPC's core bounds all connections by turning the newest away,
    and does not know callers. Its sockets are this process's: they are found among its descriptors, and shut down by
    a duplicate, so that the core, which sees an end as if it came from the other side, closes its own.
    """

    def __init__(self, *, strangers_max: int, callers_max: int) -> None:
        self._strangers_max = strangers_max
        self._callers_max = callers_max
        self._port = b""
        self._lock = Lock()
        self._known: dict[bytes, _Known] = {}
        self._calls = count(1)
        self._since: dict[tuple[int, bytes], int] = {}
        """By descriptor and peer, the look that saw a connection first; ``_NOT_LOOKED_AT`` if other or ended."""
        self._look_number = _NOT_LOOKED_AT
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="grpc-connections", daemon=True)

    def start(self, port: int) -> None:
        """Watch the connections to ``port`` of this process."""
        self._port = port.to_bytes(2)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def let_in(self, peer: str, tenant: str) -> Callable[[], None]:
        """A caller was let in on the connection of ``peer``, as gRPC writes it; call what this returns at the end.

        The connection stays known until it is gone.
        """
        address = read_peer(peer)
        if address is None:
            return lambda: None
        with self._lock:
            known = self._known.setdefault(address, _Known(tenant))
            known.tenant = tenant
            known.calls += 1
            known.used = next(self._calls)

        def leave() -> None:
            with self._lock:
                known.calls -= 1

        return leave

    def look(self) -> int:
        """End what is too many now, and return the number. Those that came since the last look are left alone."""
        with self._lock:
            known = frozenset(self._known)
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208  # names alone, of thousands
        if max(len(names), len(known)) <= min(self._strangers_max, self._callers_max):
            return 0
        self._look_number += 1
        since: dict[tuple[int, bytes], int] = {}
        for descriptor in map(int, names):
            peer = _end_of(_LIBC.getpeername, descriptor)
            if peer is not None:
                seen = self._since.get((descriptor, peer))
                since[descriptor, peer] = self._first_look_at(descriptor) if seen is None else seen
        self._since = since
        ours = {one: look for one, look in since.items() if look != _NOT_LOOKED_AT}
        strangers = sorted((one for one in ours if one[1] not in known), key=ours.__getitem__)
        too_many = strangers[: max(len(strangers) - self._strangers_max, 0)]
        ended = [one for one in too_many if ours[one] < self._look_number]
        idle = self._forget(known - {peer for _, peer in ours})
        ended += [one for one in ours if one[1] in idle]
        for descriptor, peer in ended:
            self._since[descriptor, peer] = _NOT_LOOKED_AT
            _shut_down(descriptor, peer)
        return len(ended)

    def _forget(self, gone: Collection[bytes]) -> set[bytes]:
        """Forget the peers that are gone, and those of callers whose connections are too many; return the latter."""
        with self._lock:
            for peer in gone:
                del self._known[peer]
            too_many = len(self._known) - self._callers_max
            if too_many <= 0:
                return set()
            of_tenant = Counter(known.tenant for known in self._known.values())
            idle: dict[str, list[bytes]] = {}
            for peer, known in sorted(self._known.items(), key=lambda item: -item[1].used):
                if not known.calls:
                    idle.setdefault(known.tenant, []).append(peer)
            chosen: set[bytes] = set()
            while len(chosen) < too_many and idle:
                tenant = max(idle, key=of_tenant.__getitem__)
                peer = idle[tenant].pop()  # the one that was used longest ago
                if not idle[tenant]:
                    del idle[tenant]
                of_tenant[tenant] -= 1
                chosen.add(peer)
                del self._known[peer]
            return chosen

    def _first_look_at(self, descriptor: int) -> int:
        own = _end_of(_LIBC.getsockname, descriptor)
        return self._look_number if own is not None and own[:2] == self._port else _NOT_LOOKED_AT

    def _watch(self) -> None:
        wait_s = LOOK_S
        while not self._stopping.wait(wait_s):
            with suppress(OSError):  # no descriptor is left to look with: the next look is soon
                wait_s = CROWD_LOOK_S if self.look() else LOOK_S


def _end_of(call: Any, descriptor: int) -> bytes | None:
    """Port and address of one end of a TCP connection; None for any other descriptor."""
    address, size = ctypes.create_string_buffer(_IPV6_BYTES), ctypes.c_uint32(_IPV6_BYTES)
    if call(descriptor, address, ctypes.byref(size)) != 0:
        return None
    raw = address.raw
    if size.value == _IPV4_BYTES:
        return raw[2:8]
    if size.value == _IPV6_BYTES:
        return raw[2:4] + raw[8:24].removeprefix(_MAPPED)
    return None


def _shut_down(descriptor: int, peer: bytes) -> None:
    """End a connection, unless its descriptor is another's by now."""
    duplicate = _LIBC.dup(descriptor)
    if duplicate >= 0:
        if _end_of(_LIBC.getpeername, duplicate) == peer:
            _LIBC.shutdown(duplicate, socket.SHUT_RDWR)
        _LIBC.close(duplicate)


def address_of(peer: str) -> str | None:
    """The address of a peer, as gRPC writes it; None where it has none."""
    read = read_peer(peer)
    return None if read is None else str(ip_address(read[2:]))


def read_peer(peer: str) -> bytes | None:
    """Read ``ipv4:1.2.3.4:567`` or ``ipv6:%5B::1%5D:567`` as port and address; None for what is neither."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return int(port).to_bytes(2) + (mapped or address).packed
    except (ValueError, OverflowError):
        return None
