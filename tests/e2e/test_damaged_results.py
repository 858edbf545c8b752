"""A finished file that lost bytes, has others, is another's or is gone: never a clean answer with wrong bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sluice.adapters.directory.object_file import BLOCK_BYTES, CHECKED_BYTES_MAX, Label, read_verified
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemRandomness
from sluice.domain.limits import MIB
from sluice.domain.task import State
from sluice.ports.store_errors import DamagedObject
from tests.support.http_client import ApiClient, HttpRelay, code_of, http_relay


class Files:
    """A relay over a directory, and the file of one task of several parts."""

    def __init__(self, relay: HttpRelay, data: Path) -> None:
        self.relay = relay
        self.data = data
        self.client: ApiClient = relay.client()
        self.task_id, self.path = self.make()
        self.bytes = relay.memory.ports.objects.get(relay.memory.row(self.task_id).result_key)
        self.url = self.link(self.task_id)

    def make(self, text: str = "x") -> tuple[str, Path]:
        made = self.client.open(columns=[{"name": "a"}])
        for sequence in range(1, 4):
            self.client.put_rows(made, sequence, [[text * 1_000 + str(row)] for row in range(1_200)])
        self.client.finish(made)
        return made, self.data / "objects" / f"{self.relay.memory.row(made).result_key}@"

    def link(self, task_id: str) -> str:
        return str(self.client.get(f"/v1/exports/{task_id}/file?redirect=false").json()["url"])

    def get(self, span: str = "") -> httpx.Response:
        return self.relay.stranger().get(self.url, headers={"Range": f"bytes={span}"} if span else {})

    def download(self, blocks: list[bytes]) -> None:
        with self.relay.stranger().stream("GET", self.url) as answer:
            for block in answer.iter_raw():
                blocks.append(block)  # noqa: PERF402 - what came before an error counts

    def flip(self, at: int) -> None:
        flip(self.path, at)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    data = tmp_path / "data"
    with http_relay(tmp_path, objects=lambda _: DirectoryStore(data, randomness=SystemRandomness())) as relay:
        made = Files(relay, data)
        assert len(made.bytes) > 3 * MIB
        assert made.get().content == made.bytes
        yield made


def test_a_byte_that_changed_in_the_first_part_is_an_error(files: Files) -> None:
    files.flip(1_000)
    for span in ("", "0-9", "500-1999999"):
        answer = files.get(span)
        assert (answer.status_code, code_of(answer)) == (500, "RESULT_DAMAGED")
        assert answer.json()["who"] == "operator"


def test_a_byte_that_changed_further_on_breaks_the_download_off_before_it(files: Files) -> None:
    files.flip(2 * MIB + 5)
    blocks: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError):
        files.download(blocks)
    received = b"".join(blocks)
    assert received
    assert files.bytes.startswith(received)
    assert len(received) <= 2 * MIB


def test_a_range_of_parts_that_are_whole_is_served(files: Files) -> None:
    files.flip(2 * MIB + 5)
    assert files.get("100-1048675").content == files.bytes[100:1_048_676]


def test_another_task_s_file_is_not_served(files: Files) -> None:
    _, other = files.make("y")
    files.path.write_bytes(other.read_bytes())
    answer = files.get()
    assert (answer.status_code, code_of(answer)) == (500, "RESULT_DAMAGED")


@pytest.mark.parametrize("how", ["deleted", "cut", "emptied"])
def test_a_file_that_is_gone_or_cut_is_missing(files: Files, how: str) -> None:
    if how == "deleted":
        files.path.unlink()
    else:
        files.path.write_bytes(b"" if how == "emptied" else files.path.read_bytes()[:-4_096])
    answer = files.get()
    assert (answer.status_code, code_of(answer)) == (500, "RESULT_MISSING")
    assert answer.json()["who"] == "operator"


def test_the_file_of_a_task_that_was_deleted_is_past_its_time(files: Files) -> None:
    assert files.client.delete(f"/v1/exports/{files.task_id}").status_code == 204
    files.path.unlink()
    answer = files.get()
    assert (answer.status_code, code_of(answer)) == (410, "EXPIRED")


def test_a_damaged_file_is_no_other_export_s_file_and_is_made_again_from_its_rows(files: Files) -> None:
    files.flip(2 * MIB + 5)
    again = files.client.post(f"/v1/exports/{files.task_id}/render", json={}).json()["task_id"]
    repeated, _ = files.make()
    for made in (again, repeated):
        row = files.relay.memory.row(made)
        assert (row.state, row.result_of == files.task_id) == (State.COMPLETED, False)
        assert files.relay.stranger().get(files.link(made)).content == files.bytes


BLOCKS = CHECKED_BYTES_MAX // BLOCK_BYTES + 2


@pytest.mark.parametrize("at", [0, 5 * BLOCK_BYTES, BLOCKS * BLOCK_BYTES - 1])
def test_a_part_too_large_to_be_read_twice_ends_before_its_last_block(tmp_path: Path, at: int) -> None:
    """As a release before wrote files: without a checksum for each part."""
    store = DirectoryStore(tmp_path, randomness=SystemRandomness(), sync=lambda _: None)
    data = bytes(BLOCKS * BLOCK_BYTES)
    store.put("a", data)
    label = Label(len(data), int(store.head("a").crc64), {})
    path = tmp_path / "objects/a@"
    with path.open("rb") as file:
        assert sum(map(len, read_verified(file, label, 0, len(data)))) == len(data)
    flip(path, at)
    with path.open("rb") as file:
        blocks = read_verified(file, label, 0, len(data))
        assert [len(next(blocks)) for _ in range(BLOCKS - 1)] == [BLOCK_BYTES] * (BLOCKS - 1)
        with pytest.raises(DamagedObject):
            next(blocks)


@pytest.mark.parametrize(("start", "end"), [(0, 10 * BLOCK_BYTES), (BLOCK_BYTES - 9, 9 * BLOCK_BYTES + 9)])
@pytest.mark.parametrize("how", ["changed", "cut"])
def test_a_part_that_changes_while_it_is_sent_ends_before_its_last_block(
    tmp_path: Path, start: int, end: int, how: str
) -> None:
    """It was right when it was checked, before its first block."""
    store = DirectoryStore(tmp_path, randomness=SystemRandomness(), sync=lambda _: None)
    store.put("a", bytes(10 * BLOCK_BYTES))
    path = tmp_path / "objects/a@"
    blocks = store.read_range("a", start, end)
    sent = [len(next(blocks))]
    if how == "changed":
        flip(path, 5 * BLOCK_BYTES)
    else:
        os.truncate(path, 5 * BLOCK_BYTES)
    with pytest.raises(DamagedObject):
        sent.extend(map(len, blocks))
    assert 0 < sum(sent) < end - start


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
