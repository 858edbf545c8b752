"""A link on which every byte travels for a while, in each direction, however many there are.

python -m tests.support.slow_link PORT SECONDS    # forwards to PORT of this machine, prints its own port
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BLOCK_BYTES = 1 << 18


@contextmanager
def slow_link(port: int, each_way_s: float) -> Iterator[int]:
    """Forward in a process of its own to ``port``; gives the port to call."""
    command = [sys.executable, "-m", "tests.support.slow_link", str(port), str(each_way_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def forward(port: int, each_way_s: float) -> None:
    """Serve until the process ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, far_writer, each_way_s), carry(far_reader, writer, each_way_s))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, each_way_s: float) -> None:
    """Hand on every block ``each_way_s`` after it came. Nothing holds the sender back: the link is long, not narrow."""
    loop = asyncio.get_running_loop()
    block = b"."
    while block:
        try:
            block = await reader.read(BLOCK_BYTES)
        except ConnectionError:
            block = b""
        if block:
            loop.call_later(each_way_s, writer.write, block)
    await asyncio.sleep(each_way_s)
    writer.close()


if __name__ == "__main__":
    asyncio.run(forward(int(sys.argv[1]), float(sys.argv[2])))
