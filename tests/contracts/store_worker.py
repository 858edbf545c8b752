"""A process that uses a store until it is done or killed; started by ``worker_processes``."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from pathlib import Path

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemRandomness
from sluice.domain.keys import TaskRef, TenantId, task_id_from_key
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import NoSuchUpload

TENANT = TenantId("acme")
REF = TaskRef(TENANT, task_id_from_key(TENANT, "worked on by processes"))


def open_objects(root: str) -> ObjectStore:
    """A directory, or a URL of S3 at the endpoint that the environment names."""
    if root.startswith("s3:"):
        from sluice.adapters.s3.bucket import S3Place  # noqa: PLC0415  # the others start sooner without
        from sluice.adapters.s3.store import S3Store  # noqa: PLC0415  # the others start sooner without

        return S3Store(S3Place(url=root, endpoint=os.environ["SLUICE_S3_ENDPOINT"]), randomness=SystemRandomness())
    return DirectoryStore(Path(root), randomness=SystemRandomness(), sync=lambda _: None)


def open_tasks(path: str) -> SqliteTasks:
    return SqliteTasks(Path(path), synchronous="NORMAL", busy_timeout_s=30)


def new_task(name: str) -> Task:
    params = ExportParams(format=ExportFormat.CSV, filename=name)
    return Task(**REF._asdict(), state=State.OPEN, params_sha="", params=params, created_at=1.0, due_at=1.0)


def await_start() -> None:
    """Say that we are ready, and wait until all others are."""
    print("ready", flush=True)
    sys.stdin.readline()


def write_objects(root: str) -> None:
    """Put and upload for ever. Every object says in its metadata what its content must be."""
    store, chance = open_objects(root), random.Random(os.getpid())
    print("ready", flush=True)
    while True:
        key = f"folder/{chance.randrange(3)}/object-{chance.randrange(3)}"
        parts = [chance.randbytes(chance.choice([30_000, 30_000, 70_000, 5])) for _ in range(chance.randrange(1, 5))]
        metadata = {"sha256": hashlib.sha256(b"".join(parts)).hexdigest()}
        if chance.random() < 0.4:
            store.put(key, b"".join(parts), metadata=metadata)
        elif chance.random() < 0.8:
            upload = store.begin_upload(key, metadata=metadata)
            numbers = chance.sample(range(len(parts)), len(parts))
            receipts = {number: store.put_part(upload, number + 1, parts[number]) for number in numbers}
            store.complete_upload(upload, [receipts[number] for number in range(len(parts))])
        else:
            store.delete([key])


def claim_batches(path: str) -> None:
    """Claim for ever, and say what was acknowledged after it was."""
    tasks = open_tasks(path)
    tasks.create(new_task("claims"))
    held = tasks.read_claims(REF)
    assert held is not None
    sequence = max(held.claims, default=0)
    print("ready", flush=True)
    while True:
        sequence += 1
        if tasks.claim(REF, Claim(sequence, "a" * 32, sequence, 10), at=2.0, due_at=3.0):
            print(sequence, flush=True)


def create_task(path: str, name: str) -> None:
    await_start()
    tasks = open_tasks(path)  # every worker opens the file, which does not exist before the first
    print(sum(tasks.create(new_task(f"{name} {number}")) for number in range(25)))
    tasks.close()


def count_up(path: str, name: str) -> None:
    """Claim sequences of our own, and win as many updates on rev as we can in a number of tries."""
    tasks = open_tasks(path)
    await_start()
    is_mine = 0
    for number in range(50):
        is_mine += tasks.claim(REF, Claim(int(name) * 100 + number, "a" * 32, 1, 1), at=2.0, due_at=3.0)
        task = tasks.read(REF)
        assert task is not None
        is_mine += tasks.update(REF, Guard(state=State.OPEN, rev=task.rev), {"owner": name})
    print(is_mine)
    tasks.close()


def put_parts(root: str, key: str, upload_id: str, name: str) -> None:
    """Put every fourth part; whoever is done completes with what everybody must have put."""
    store, upload = open_objects(root), Upload(key, upload_id)
    await_start()
    for number in range(int(name) + 1, 41, 4):
        store.put_part(upload, number, part(number))
    print("done")


def complete(root: str, key: str, upload_id: str, etags: str) -> None:
    store, upload = open_objects(root), Upload(key, upload_id)
    receipts = [PartReceipt(number, etag, len(part(number))) for number, etag in enumerate(etags.split(","), start=1)]
    await_start()
    try:
        store.complete_upload(upload, receipts)
    except NoSuchUpload:
        print("NoSuchUpload")
    else:
        print("done")


def part(number: int) -> bytes:
    return random.Random(number).randbytes(50_000)


def churn(root: str, name: str) -> None:
    """Put and delete in folders that everybody else fills and empties."""
    store = open_objects(root)
    await_start()
    for number in range(200):
        key = f"deep/{number % 3}/down/{name}"
        store.put(key, name.encode())
        assert store.get(key) == name.encode()
        store.delete([key])
    print("done")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
