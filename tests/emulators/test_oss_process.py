"""The stand-in as a whole: flat memory, no threads and no files left, and a process of its own."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import oss2
import psutil
import pytest

from infra.emulators.oss import OssServer, serving_oss
from tests.emulators.oss_callers import bucket_of, drained, link

BLOCK = os.urandom(1 << 20)
BLOCKS = 128
GROWTH_BYTES_MAX = 24 << 20


@contextmanager
def stand_alone(folder: Path) -> Iterator[tuple[OssServer, subprocess.Popen[str]]]:
    """The stand-in in a process, and what its one line of output says of it."""
    command = [sys.executable, "-W", "error", "-m", "infra.emulators.oss", "--folder", str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [*command, "--bucket", "sluice-in"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        endpoint, region, key_id, secret = process.stdout.readline().split()
        port = int(endpoint.rpartition(":")[2])
        said = SimpleNamespace(
            endpoint=endpoint, region=region, access_key_id=key_id, access_key_secret=secret, port=port
        )
        try:
            yield cast(OssServer, said), process
        finally:
            process.terminate()
            process.wait(20)


def peak_bytes(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def put_big(oss: OssServer, target: str) -> None:
    """128 MiB without holding them here either."""
    connection = http.client.HTTPConnection("127.0.0.1", oss.port, timeout=60)
    try:
        connection.request(
            "PUT",
            target.removeprefix(oss.endpoint),
            body=(BLOCK for _ in range(BLOCKS)),
            headers={"Content-Length": str(len(BLOCK) * BLOCKS)},
        )
        assert connection.getresponse().status == 200
    finally:
        connection.close()


@pytest.mark.memory
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read where Linux tells it")
def test_memory_does_not_grow_with_the_objects(tmp_path: Path) -> None:
    with stand_alone(tmp_path) as (oss, process), bucket_of(oss) as bucket:
        bucket.enable_crc = False
        bucket.put_object("warm", BLOCK)
        assert bucket.get_object("warm").read() == BLOCK
        before = peak_bytes(process)
        put_big(oss, link(bucket, "whole", "PUT"))
        upload_id = bucket.init_multipart_upload("joined").upload_id
        put_big(oss, link(bucket, "joined", "PUT", uploadId=upload_id, partNumber="1"))
        etag = bucket.list_parts("joined", upload_id).parts[0].etag
        drained(bucket.complete_multipart_upload("joined", upload_id, [oss2.models.PartInfo(1, etag)]))
        for key in ("whole", "joined"):
            sizes = [len(block) for block in bucket.get_object(key)]
            assert sum(sizes) == len(BLOCK) * BLOCKS
        assert peak_bytes(process) - before < GROWTH_BYTES_MAX


def test_the_process_says_one_line_and_ends_quietly_when_told(tmp_path: Path) -> None:
    with stand_alone(tmp_path) as (oss, process), bucket_of(oss) as bucket:
        bucket.put_object("a", b"1")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")


def test_no_thread_connection_or_file_outlives_the_server() -> None:
    own = psutil.Process()
    threads, descriptors = set(threading.enumerate()), own.num_fds()
    with serving_oss() as oss, bucket_of(oss) as bucket:
        folder = oss.store.storage.folder
        bucket.put_object("a", b"1" * 200_000)
        upload_id = bucket.init_multipart_upload("a").upload_id
        bucket.upload_part("a", upload_id, 1, b"1")
        unread = bucket.get_object("a")
        assert len(set(threading.enumerate()) - threads) >= 3
    unread.resp.response.close()
    assert set(threading.enumerate()) <= threads
    assert not folder.exists()
    assert own.num_fds() <= descriptors


def test_a_defect_of_the_stand_in_fails_the_test_that_met_it(tmp_path: Path) -> None:
    def scenario() -> None:
        with serving_oss(folder=tmp_path) as oss, bucket_of(oss) as bucket:
            bucket.put_object("a", b"1")
            next((tmp_path / "oss").iterdir()).unlink()
            with pytest.raises(oss2.exceptions.ServerError) as refused:
                bucket.get_object("a")
            assert (refused.value.status, refused.value.code) == (500, "InternalError")

    with pytest.raises(ExceptionGroup) as seen:
        scenario()
    assert seen.value.subgroup(FileNotFoundError)


def test_two_servers_at_once_know_nothing_of_each_other() -> None:
    with serving_oss() as one, serving_oss() as other, bucket_of(one) as bucket:
        bucket.put_object("a", b"1")
        assert other.keys("sluice-in") == []
        assert other.requests == []
