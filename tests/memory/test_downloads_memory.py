"""What downloads take that are begun and not read: a few blocks for each connection, whatever the parts' size."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from sluice.domain.limits import KIB, MIB
from tests.support.running_service import ServiceProcess, eventually, serving

pytestmark = [
    pytest.mark.memory,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the size of a socket's buffers is Linux's"),
]
DOWNLOADS = 60
WAIT_S = 60
FILE_BYTES = 16 * MIB
"""More than the system itself takes of an answer that is not read."""
EACH_MAX = 512 * KIB


@pytest.mark.parametrize("part_bytes", [MIB, 10 * MIB])
def test_downloads_that_are_not_read_take_a_bounded_memory_each(tmp_path: Path, part_bytes: int) -> None:
    env = {"SLUICE_PERFORMANCE_PART_BYTES": str(part_bytes)}
    with (
        serving(tmp_path / "data", env=env, anew=True) as service,
        httpx.Client(verify=False, base_url=service.url, timeout=WAIT_S) as client,
    ):
        url = link_of(client)
        size = len(client.get(url).content)
        assert size > FILE_BYTES
        before = psutil.Process(service.process.pid).memory_info().rss
        with ExitStack() as connections:
            for _ in range(DOWNLOADS):
                unread = connections.enter_context(begun(service, url))
                assert unread.recv(12) == b"HTTP/1.1 200"
            assert len(client.get(url).content) == size  # the service has gone on meanwhile
            taken = psutil.Process(service.process.pid).memory_info().rss - before
        print(f"parts of {part_bytes // KIB} KiB: {taken / DOWNLOADS / KIB:.0f} KiB for each download")
        assert taken < DOWNLOADS * EACH_MAX


def link_of(client: httpx.Client) -> str:
    """The link to a new file."""
    task_id = client.post("/v1/exports", json={"format": "csv", "columns": [{"name": "a"}]}).json()["task_id"]
    path, rows = f"/v1/exports/{task_id}", [["x" * 1_000 + str(row)] for row in range(4_000)]
    for sequence in range(1, FILE_BYTES // 4_000_000 + 2):
        assert client.put(f"{path}/batches/{sequence}", json=rows).status_code == 200
    assert client.post(f"{path}/close").status_code == 202
    eventually(lambda: client.get(path).json()["state"] == "completed")
    return str(client.get(f"{path}/file?redirect=false").json()["url"])


def begun(service: ServiceProcess, url: str) -> socket.socket:
    """A connection over which a download was asked for."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
    connection.settimeout(WAIT_S)
    connection.connect(("127.0.0.1", service.http_port))
    connection.sendall(f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return connection
