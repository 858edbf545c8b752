"""API keys in the cloud: kept by one conditional write, remembered by whoever answers requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from infra.emulators.tablestore import DropAnswer, DropBefore, Fault
from sluice.adapters.aliyun.tablestore.client import TablestoreClient
from sluice.adapters.aliyun.tablestore.conditions import any_row
from sluice.adapters.aliyun.tablestore.keys import ROW, TablestoreKeys
from sluice.adapters.aliyun.tablestore.schema import KEYS, TablestoreAccess
from sluice.adapters.cached_keys import FAILED_S, FRESH_S, USABLE_S, RememberedKeys
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.api_keys import add_key, list_keys, revoke_key
from sluice.domain.api_key import ApiKey, Scope
from sluice.domain.keys import TenantId
from sluice.ports.key_store import DamagedKeysError, Keys
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from tests.support.cloud_functions import Cloud, serving_cloud
from tests.support.command_line import sluice
from tests.support.fake_clock import FakeClock


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with serving_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: Cloud) -> Cloud:
    """The cloud, with no key in it."""
    client = TablestoreClient(_keys_access(shared), timeout_s=5)
    client.delete(ROW, any_row())
    client.close()
    return shared


@pytest.fixture
def store(cloud: Cloud) -> Iterator[TablestoreKeys]:
    keys = TablestoreKeys(cloud.access, timeout_s=5)
    yield keys
    keys.close()


def _keys_access(cloud: Cloud) -> TablestoreAccess:
    return replace(cloud.access, table=KEYS.name_by(cloud.access.table))


def a_key(store: TablestoreKeys, tenant: str = "shop") -> ApiKey:
    return add_key(store, tenant, scopes=[Scope.WRITE], clock=SystemClock(), randomness=SystemRandomness()).key


def test_keys_are_added_listed_and_revoked(store: TablestoreKeys) -> None:
    assert store.read() == ()
    first, second = a_key(store), a_key(store, "other")
    assert list_keys(store, None) == (first, second)
    revoke_key(store, first.key_id, clock=SystemClock())
    assert [bool(key.revoked_at) for key in store.read()] == [True, False]


def test_an_edit_that_fails_changes_nothing(store: TablestoreKeys) -> None:
    key = a_key(store)
    with pytest.raises(LookupError):
        revoke_key(store, "unknown", clock=SystemClock())
    assert store.read() == (key,)


def test_changes_at_the_same_time_lose_no_key(cloud: Cloud) -> None:
    def add(_: int) -> ApiKey:
        store = TablestoreKeys(cloud.access, timeout_s=5)
        try:
            return a_key(store)
        finally:
            store.close()

    with ThreadPoolExecutor(4) as pool:
        added = {key.key_id for key in pool.map(add, range(8))}
    store = TablestoreKeys(cloud.access, timeout_s=5)
    assert {key.key_id for key in store.read()} == added
    store.close()


def test_a_lost_answer_to_a_change_is_found_out_by_reading_back(cloud: Cloud, store: TablestoreKeys) -> None:
    cloud.tablestore.faults.add(Fault(operation="PutRow", action=DropAnswer()))
    key = a_key(store)
    assert store.read() == (key,)


def test_a_change_that_was_never_made_is_no_success(cloud: Cloud, store: TablestoreKeys) -> None:
    cloud.tablestore.faults.add(Fault(operation="PutRow", action=DropBefore()))
    with pytest.raises(OutcomeUnknown):
        a_key(store)
    assert store.read() == ()


@pytest.mark.parametrize("columns", [{"rev": 1}, {"rev": 1, "keys": "[{}]"}, {"rev": 1, "keys": "x"}, {"keys": "[]"}])
def test_a_damaged_row_is_an_error_and_never_no_keys(
    cloud: Cloud, store: TablestoreKeys, columns: dict[str, str | int | float]
) -> None:
    client = TablestoreClient(_keys_access(cloud), timeout_s=5)
    client.put(ROW, columns, any_row())
    client.close()
    with pytest.raises(DamagedKeysError):
        store.read()


class CountedKeys:
    """A store in memory that counts, and fails or waits on demand."""

    def __init__(self) -> None:
        self.keys: Keys = ()
        self.reads = 0
        self.error: Exception | None = None
        self.read_again = threading.Event()

    def read(self) -> Keys:
        self.reads += 1
        if self.error is not None:
            raise self.error
        self.read_again.set()
        return tuple(self.keys)

    def change(self, edit: Callable[[Keys], Keys]) -> Keys:
        self.keys = edit(self.keys)
        return self.keys

    def made(self, key_id: str) -> None:
        key = ApiKey(key_id=key_id, tenant=TenantId("shop"), secret_sha256="", scopes=(Scope.READ,), created_at=0)
        self.keys = (*self.keys, key)


@pytest.fixture
def counted() -> CountedKeys:
    store = CountedKeys()
    store.made("one")
    return store


def test_keys_at_hand_are_not_asked_for_and_stay_the_same_tuple(counted: CountedKeys) -> None:
    clock = FakeClock()
    keys = RememberedKeys(counted, clock=clock)
    first = keys.read()
    clock.advance(FRESH_S - 0.1)
    assert keys.read() is first
    assert counted.reads == 1


def test_keys_a_little_old_are_used_once_more_and_read_again_beside(counted: CountedKeys) -> None:
    clock = FakeClock()
    keys = RememberedKeys(counted, clock=clock)
    first = keys.read()
    counted.made("two")
    counted.read_again.clear()
    clock.advance(FRESH_S)
    assert keys.read() is first
    assert counted.read_again.wait(10)
    _join("keys")
    assert len(keys.read()) == 2


def test_keys_too_old_are_read_before_anybody_gets_in(counted: CountedKeys) -> None:
    clock = FakeClock()
    keys = RememberedKeys(counted, clock=clock)
    first = keys.read()
    clock.advance(USABLE_S)
    assert keys.read() is first  # nothing changed, so it is the same tuple
    counted.made("two")
    clock.advance(USABLE_S)
    assert len(keys.read()) == 2
    assert counted.reads == 3


def test_when_the_store_fails_old_keys_let_nobody_in_and_the_failure_is_remembered_for_a_moment(
    counted: CountedKeys,
) -> None:
    clock = FakeClock()
    keys = RememberedKeys(counted, clock=clock)
    keys.read()
    counted.error = StoreRefused("no")
    clock.advance(FRESH_S)
    assert len(keys.read()) == 1
    _join("keys")
    clock.advance(USABLE_S)
    for _ in range(3):
        with pytest.raises(StoreRefused):
            keys.read()
    asked = counted.reads
    counted.error = None
    clock.advance(FAILED_S)
    assert len(keys.read()) == 1
    assert counted.reads == asked + 1


def test_a_change_is_seen_here_at_once(counted: CountedKeys) -> None:
    keys = RememberedKeys(counted, clock=FakeClock())
    keys.read()
    keys.change(lambda held: held[:0])
    assert keys.read() == ()


def _join(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)


def test_the_command_line_keeps_keys_where_the_functions_look(cloud: Cloud) -> None:
    env = {**cloud.settings(), **cloud.access_key(), "SLUICE_STORAGE_BACKEND": "oss"}
    added = sluice("keys", "add", "shop", env=env)
    assert "table export_task_keys of instance sluice" in added.stderr
    listed = sluice("keys", "list", "--json", env=env)
    key_id = added.stdout.split("_")[1]
    assert key_id in listed.stdout
    sluice("keys", "revoke", key_id, env=env)
    store = TablestoreKeys(cloud.access, timeout_s=5)
    assert [bool(key.revoked_at) for key in store.read()] == [True]
    store.close()


def test_the_command_line_says_what_the_cloud_refuses_and_shows_no_secret(cloud: Cloud) -> None:
    secret = "canary-secret-of-an-operator"
    env = {**cloud.settings(), **cloud.access_key(), "SLUICE_STORAGE_BACKEND": "oss"}
    done = sluice("keys", "list", env={**env, "SLUICE_OSS_ACCESS_KEY_SECRET": secret}, exit_code=1)
    assert done.stderr.startswith("sluice: ")
    assert "Traceback" not in done.stderr
    assert secret not in done.stdout + done.stderr
