"""Messages of possible lengths reach the driver as they came; an impossible one never does."""

from __future__ import annotations

import asyncio
import struct

from hypothesis import given
from hypothesis import strategies as st

from sluice.adapters.databases.postgresql_guard import MESSAGE_BYTES_MAX, MessageGuard


class Seen(asyncio.Transport):
    """A transport, and the driver behind the guard."""

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def connection_made(self, transport: object) -> None:
        assert transport is self

    def data_received(self, data: bytes) -> None:
        self.received += data


def guarded(data: bytes, cut: int) -> Seen:
    seen = Seen()
    guard = MessageGuard(seen)
    guard.connection_made(seen)
    for at in range(0, len(data), cut):
        if not seen.is_aborted:
            guard.data_received(data[at : at + cut])
    return seen


BODIES = st.lists(st.binary(max_size=9), max_size=6)


@given(BODIES, st.integers(1, 12), st.sampled_from([0, 1, 2, 3, -1, -4, MESSAGE_BYTES_MAX + 1, 2**31 - 1]))
def test_the_first_message_of_impossible_length_ends_the_connection(bodies: list[bytes], cut: int, length: int) -> None:
    sound = b"".join(b"d" + struct.pack("!i", len(body) + 4) + body for body in bodies)
    seen = guarded(sound, cut)
    assert seen.received == sound
    assert not seen.is_aborted
    seen = guarded(sound + b"\0" + struct.pack("!i", length) + bytes(40), cut)
    assert seen.is_aborted
    assert len(seen.received) < len(sound) + 5
