"""The page about nginx, with a real nginx: its configuration is taken from the page, only addresses are changed."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest

from sluice.client import Client
from sluice.proto import export_pb2 as pb
from sluice.proto import export_pb2_grpc
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.programs import skip_without
from tests.support.running_service import ServiceProcess, eventually

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
COLUMNS = [{"name": "id", "type": "number"}, {"name": "text"}]
ROWS = 40_000


@contextmanager
def nginx(folder: Path, *, path: str = "/", env: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Run it as the page says before a service of its own; yields its address and the service's gRPC port.

    ``env`` are settings of the service in place of its ``public_url``.
    """
    skip_without("nginx")
    port, grpc_port = free_ports()
    url = f"http://127.0.0.1:{port}{path.rstrip('/')}"
    trusted = {"SLUICE_SERVER_TRUSTED_PROXIES": "127.0.0.1"}
    service = ServiceProcess(folder / "data", env={"SLUICE_SERVER_PUBLIC_URL": url, **trusted} if env is None else env)
    try:
        page = (ROOT / "docs/behind-nginx.md").read_text()
        found = re.search(r"<!-- tested: nginx -->\n```nginx\n(.*?)```", page, re.DOTALL)
        assert found is not None
        site = found[1]
        for old, new in (
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{port};\n    listen 127.0.0.1:{grpc_port} http2;"),
            ("127.0.0.1:9091", f"127.0.0.1:{service.http_port}{'/' if path != '/' else ''}"),
            ("127.0.0.1:9090", f"127.0.0.1:{service.grpc_port}"),
            ("location / {", f"location {path} {{"),
        ):
            assert old in site
            site = site.replace(old, new)
        site = re.sub(r" *ssl_certificate.*\n", "", site)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;"
            f"events {{}} http {{ access_log off; {temporary} {site} }}"
        )
        with subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(url)
                yield url, grpc_port
            finally:
                process.terminate()
                process.wait(30)
    finally:
        service.stop()


def free_ports() -> tuple[int, int]:
    """For HTTP, and for gRPC without TLS: nginx 1.22 serves only one of them at a port."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def wait_for(url: str) -> None:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            if CALLER.get(f"{url}/openapi.json").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/", "/exports/"])
def test_an_export_goes_through_nginx_from_its_stream_to_its_link(path: str, tmp_path: Path) -> None:
    with nginx(tmp_path, path=path) as (url, _):
        lines = ("id,text", *(f"{number},text {number}" for number in range(ROWS)))
        body = (f"{line}\n".encode() for line in lines)  # chunked, of unknown length
        answer = CALLER.post(
            f"{url}/v1/exports/stream?format=csv&filename=orders&columns=id:number,text",
            content=body,
            headers={"Content-Type": "text/csv"},
            timeout=60,
        )
        assert answer.status_code in {200, 201, 202}, answer.text
        with Client(url) as client:
            export = client.export(answer.json()["task_id"])
            export.wait(60)
            with CALLER.stream("GET", f"{url}/v1/exports/{export.id}/events", timeout=60) as events:
                assert events.headers["Content-Type"].startswith("text/event-stream")
                assert any("completed" in line for line in events.iter_lines())
            link = CALLER.get(f"{url}/v1/exports/{export.id}/file?redirect=false").json()["url"]
            assert link.startswith(url)
            whole = CALLER.get(link)
            assert whole.text.count("\n") == ROWS + 1
            part = CALLER.get(link, headers={"Range": "bytes=100-199"})
            assert (part.status_code, part.content) == (206, whole.content[100:200])
            stranger = CALLER.get(f"{url}/v1/exports", headers={"Host": "elsewhere.example"})
            assert stranger.status_code >= 400
            assert urlsplit(link).netloc == urlsplit(url).netloc


def finished_link(url: str, headers: dict[str, str]) -> str:
    with Client(url) as client:
        export = client.open(format="csv", filename="a", columns=COLUMNS)
        export.put(1, [[1, "a"]])
        export.close()
        export.wait(60)
    answer = CALLER.get(f"{url}/v1/exports/{export.id}/file?redirect=false", headers=headers)
    return str(answer.json()["url"])


FORGED = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}


def test_without_a_public_url_links_lead_to_where_nginx_was_called(tmp_path: Path) -> None:
    """Whatever the caller says of itself: nginx sets what it sends on."""
    with nginx(tmp_path, env={"SLUICE_SERVER_TRUSTED_PROXIES": "127.0.0.1"}) as (url, _):
        link = finished_link(url, FORGED)
        assert link.startswith(f"{url}/v1/files/")
        assert CALLER.get(link).text.endswith("1,a\r\n")
    assert '"ForwardedHeaderIgnored"' not in (tmp_path / "data.log").read_text()


def test_of_a_proxy_that_is_not_trusted_nothing_counts_and_one_line_says_so(tmp_path: Path) -> None:
    with nginx(tmp_path, env={}) as (url, _):
        assert not finished_link(url, FORGED).startswith(url)
    log = [json.loads(line) for line in (tmp_path / "data.log").read_text().splitlines() if line.startswith("{")]
    (warning,) = [line for line in log if line["event"] == "ForwardedHeaderIgnored"]
    assert warning["level"] == "WARN"
    assert "server.trusted_proxies" in warning["fields"]["note"]


def test_the_log_names_the_address_of_a_caller_that_was_not_let_in(tmp_path: Path) -> None:
    with nginx(tmp_path, env={"SLUICE_SERVER_TRUSTED_PROXIES": "127.0.0.1"}) as (url, _):
        sluice("keys", "add", "acme", "--yes", "--data", tmp_path / "data")
        eventually(lambda: CALLER.get(f"{url}/v1/exports", headers=FORGED).status_code == 401)
    log = [json.loads(line) for line in (tmp_path / "data.log").read_text().splitlines() if line.startswith("{")]
    clients = {line["fields"]["client"] for line in log if line["event"] == "AuthenticationFailed"}
    assert clients == {"192.0.2.9"}  # 127.0.0.1, who called nginx, is trusted here, so its word counts


def test_a_grpc_stream_goes_through_nginx(tmp_path: Path) -> None:
    def requests() -> Iterator[pb.ExportRequest]:
        columns = [pb.ColumnDefinition(name="id"), pb.ColumnDefinition(name="text")]
        yield pb.ExportRequest(
            metadata=pb.ExportMetadata(format=pb.FORMAT_CSV, filename="a", columns=columns, ack_batches=True)
        )
        for sequence in range(1, 21):
            records = [pb.Record(values=[str(row), "x" * 1_000]) for row in range(200)]
            yield pb.ExportRequest(batch=pb.DataBatch(records=records, batch_sequence=sequence))

    with nginx(tmp_path) as (_, grpc_port), grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub = export_pb2_grpc.ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        responses = list(stub.StreamExport(requests(), timeout=100))
    assert responses[-1].status == pb.TASK_STATUS_COMPLETED
    assert sum(response.HasField("batch_ack") for response in responses) == 20
