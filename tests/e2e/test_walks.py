"""How many of our files a request enters. A bound, so that following one does not become harder unnoticed.

Counted are the files of the API, the use cases and the tables; not values (`domain`), contracts (`ports`) and
stores (`adapters`), which are opened when the question is about them.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.http_process import serving_face
from tests.support.walk import Walk, watched_threads

EXPORTS = "/v1/exports"
BATCH_FILES_MAX = 19
STATUS_FILES_MAX = 8
"""Of API and use cases; the ending of the file's name is the format's, which enters two more."""


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    with watched_threads() as watched:
        yield watched


@pytest.fixture(scope="module")
def client(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    del walk  # watched before the server's threads begin
    with (
        serving_face(tmp_path_factory.mktemp("served"), "embedded") as port,
        httpx.Client(verify=False, base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as calls,
    ):
        yield calls


@pytest.fixture(scope="module")
def task_path(client: httpx.Client) -> str:
    """An export with a batch, so that what is done once for each process or task is done."""
    opened = client.post(
        EXPORTS, json={"format": "csv", "columns": [{"name": "id", "type": "number"}, {"name": "name"}]}
    )
    path = f"{EXPORTS}/{opened.json()['task_id']}"
    put_batch(client, path, 1)
    return path


def put_batch(client: httpx.Client, path: str, sequence: int) -> None:
    assert client.put(f"{path}/batches/{sequence}", json=[[sequence, "a"]]).status_code == 200


def counted(entered: list[str], *folders: str) -> list[str]:
    return [name for name in entered if name.startswith(folders)]


def test_a_batch_enters_few_files_between_its_socket_and_its_claim(
    walk: Walk, client: httpx.Client, task_path: str
) -> None:
    entered = walk.of(lambda: put_batch(client, task_path, 2))
    files = counted(entered, "api/", "usecases/", "tables/")
    assert {"api/http/server/connection.py", "usecases/sending/put_batch.py", "tables/chunk_codec.py"} <= set(files)
    assert len(files) <= BATCH_FILES_MAX, files


def test_a_status_query_enters_few_files(walk: Walk, client: httpx.Client, task_path: str) -> None:
    entered = walk.of(lambda: client.get(task_path).raise_for_status())
    files = counted(entered, "api/", "usecases/")
    assert {"api/http/server/connection.py", "usecases/reading/read_task.py", "api/task_view.py"} <= set(files)
    assert len(files) <= STATUS_FILES_MAX, files
