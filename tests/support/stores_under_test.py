"""Which stores the API's tests run over: those in memory, or the cloud's adapters over the stand-ins of its services.

``SLUICE_TEST_STORES=cloud`` chooses the second for a whole run: every test that
builds a `MemoryService` then drives the real SDKs over real HTTP.
"""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack
from functools import cache
from itertools import count
from typing import NamedTuple

from infra.emulators.oss import OssServer, serving_oss
from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.aliyun.tablestore.tables import create_tables
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.adapters.forwarding_store import SplitStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.adapters.retrying import RetryingStore, RetryingTasks
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.thread_pool import ThreadedPool
from sluice.ports.clock import Clock
from sluice.ports.object_store import MintsLinks, ObjectStore
from sluice.ports.pool import OrderedPool, SerialPool
from sluice.ports.task_store import TaskStore
from tests.support.oss_stores import stand_in_bucket
from tests.support.tablestore_tables import access_to

IS_CLOUD = os.environ.get("SLUICE_TEST_STORES") == "cloud"

SERVICES_PER_INSTANCE = 10
"""Each makes two tables and three indexes, and an instance holds 64 of them."""

_numbers = count()


class Stores(NamedTuple):
    """New and empty stores of one service."""

    objects: ObjectStore
    tasks: TaskStore
    links: MintsLinks
    pool: OrderedPool


def new_stores(clock: Clock) -> Stores:
    """Open the stores of one more service, apart from those of all others."""
    if IS_CLOUD:
        return _cloud_stores()
    store = MemoryStore(clock=clock)
    return Stores(store, MemoryTasks(), store, SerialPool())


def _cloud_stores() -> Stores:
    from sluice.adapters.aliyun.oss.links import OssLinks  # noqa: PLC0415  # only these runs need it

    number = next(_numbers)
    oss, ots, ending = _servers(number // SERVICES_PER_INSTANCE)
    names = [f"sluice-{way}-{number}" for way in ("in", "out")]
    buckets = []
    for name in names:
        oss.add_bucket(name)
        store = OssStore(stand_in_bucket(oss, name))
        ending.callback(store.close)
        buckets.append(store)
    access = access_to(ots, table=f"export_task_{number}")
    create_tables(access, timeout_s=5)
    tasks = TablestoreTasks(access, timeout_s=5)
    ending.callback(tasks.close)
    time, chance = SystemClock(), SystemRandomness()
    return Stores(
        RetryingStore(SplitStore(input=buckets[0], output=buckets[1]), clock=time, randomness=chance),
        RetryingTasks(tasks, clock=time, randomness=chance),
        OssLinks(stand_in_bucket(oss, names[1]), clock=time),
        ThreadedPool(),
    )


@cache
def _servers(instance: int) -> tuple[OssServer, TablestoreServer, ExitStack]:
    """One of each for so many services; they stop with the process."""
    del instance
    ending = ExitStack()
    atexit.register(ending.close)
    return ending.enter_context(serving_oss()), ending.enter_context(serving_tablestore()), ending
