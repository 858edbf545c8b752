"""API keys and the file that holds their hashes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.api_keys import NewKey, add_key, list_keys, read_key, revoke_key
from sluice.domain.api_key import Scope
from sluice.ports.key_store import DamagedKeysError, Keys
from sluice.ports.store_errors import OutcomeUnknown, StoreError
from tests.support.fake_clock import START, FakeClock, SeededRandomness


def a_key(
    store: KeyFile, tenant: str = "acme", *, seed: int = 0, scopes: Iterable[Scope] = (Scope.WRITE,), life_s: float = 0
) -> NewKey:
    return add_key(store, tenant, scopes=scopes, clock=FakeClock(), randomness=SeededRandomness(seed), life_s=life_s)


@pytest.fixture
def store(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "data" / "keys.json")


def content(store: KeyFile) -> str:
    return store._path.read_text(encoding="ascii")


def test_a_new_key_has_the_agreed_form(store: KeyFile) -> None:
    text = a_key(store).text.reveal()
    assert re.fullmatch(r"slc_[a-z2-7]{12}_[a-z2-7]{52}", text)
    # 52 letters of 5 bits hold the 256 bits of the secret.
    assert 52 * 5 >= 256


def test_the_file_holds_the_hash_and_not_the_key(store: KeyFile) -> None:
    new = a_key(store, scopes=[Scope.READ], life_s=60)
    _, key_id, secret = new.text.reveal().split("_")
    assert json.loads(content(store)) == [
        {
            "key_id": key_id,
            "tenant": "acme",
            "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "scopes": ["read"],
            "created_at": START,
            "expires_at": START + 60,
            "revoked_at": 0,
        }
    ]
    assert secret not in content(store)
    assert secret not in repr(new)


def test_keys_are_not_alike() -> None:
    randomness = SystemRandomness()
    texts = {randomness.bytes(32) for _ in range(100)}
    assert len(texts) == 100


def test_only_the_owner_may_read_the_file_whatever_the_umask(store: KeyFile) -> None:
    before = os.umask(0)
    try:
        a_key(store)
    finally:
        os.umask(before)
    assert stat.S_IMODE(store._path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store._path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_by_the_next_change(store: KeyFile) -> None:
    a_key(store)
    store._path.chmod(0o644)
    a_key(store, seed=1)
    assert stat.S_IMODE(store._path.stat().st_mode) == 0o600


@pytest.mark.parametrize("tenant", ["", "Acme", "a/b", "../x", "-a", "a-", "a" * 41, "a\n", "ä", "a b"])
def test_a_tenant_that_is_no_tenants_name_gets_no_key(store: KeyFile, tenant: str) -> None:
    with pytest.raises(ValueError, match="a tenant is"):
        a_key(store, tenant)
    assert not store._path.exists()


def test_a_key_without_scopes_is_not_made(store: KeyFile) -> None:
    with pytest.raises(ValueError, match="at least one scope"):
        a_key(store, scopes=[])


def test_scopes_are_kept_once_and_in_order(store: KeyFile) -> None:
    assert a_key(store, scopes=[Scope.ADMIN, Scope.READ, Scope.ADMIN]).key.scopes == (Scope.READ, Scope.ADMIN)


def test_a_key_whose_id_is_taken_is_not_added(store: KeyFile) -> None:
    a_key(store, seed=1)
    with pytest.raises(ValueError, match="is taken"):
        a_key(store, "other", seed=1)
    assert [key.tenant for key in store.read()] == ["acme"]


def test_keys_are_listed_in_the_order_they_were_added(store: KeyFile) -> None:
    for seed, tenant in enumerate(["b", "a", "b"]):
        a_key(store, tenant, seed=seed)
    assert [key.tenant for key in list_keys(store)] == ["b", "a", "b"]
    assert len(list_keys(store, "b")) == 2
    assert list_keys(store, "c") == ()


def test_a_revoked_key_stays_in_the_list_with_the_time_of_its_first_revocation(store: KeyFile) -> None:
    kept, gone = a_key(store, seed=1).key, a_key(store, seed=2).key
    assert revoke_key(store, gone.key_id, clock=FakeClock(START + 5)).revoked_at == START + 5
    assert revoke_key(store, gone.key_id, clock=FakeClock(START + 9)).revoked_at == START + 5
    assert [key.revoked_at for key in store.read()] == [0, START + 5]
    assert store.read()[0] == kept


def test_revoking_an_unknown_key_says_so(store: KeyFile) -> None:
    with pytest.raises(LookupError):
        revoke_key(store, "a" * 12, clock=FakeClock())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "slc_",
        "slc__",
        f"slc_{'a' * 12}_{'a' * 51}",
        f"slc_{'a' * 12}_{'a' * 53}",
        f"slc_{'a' * 11}_{'a' * 52}",
        f"SLC_{'a' * 12}_{'a' * 52}",
        f"slc_{'A' * 12}_{'a' * 52}",
        f"slc_{'a' * 12}_{'1' * 52}",
        f"slc_{'a' * 12}_{'a' * 52}\n",
        f" slc_{'a' * 12}_{'a' * 52}",
        f"slc_{'a' * 12}_{chr(0xFF41) * 52}",
        f"slc_../../etc/pas_{'a' * 52}",
    ],
)
def test_what_is_no_key_is_not_read_as_one(text: str) -> None:
    assert read_key(text) is None


def test_a_file_that_does_not_exist_holds_no_keys(store: KeyFile) -> None:
    assert store.read() == ()


def test_the_same_tuple_is_given_until_the_file_changes(store: KeyFile) -> None:
    a_key(store)
    first = store.read()
    assert store.read() is first
    a_key(store, seed=1)
    assert len(store.read()) == 2


def test_a_change_by_another_process_or_by_hand_is_seen(store: KeyFile) -> None:
    a_key(store)
    assert len(store.read()) == 1
    a_key(KeyFile(store._path), seed=1)
    assert len(store.read()) == 2
    store._path.write_text("[]")
    assert store.read() == ()
    store._path.unlink()
    assert store.read() == ()


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '[{"key_id":"a"}]', '[{"scopes":["root"]}]', "\xff", '[{"key_id":"\xff"}]']
)
def test_a_damaged_file_is_an_error_and_never_no_keys(store: KeyFile, text: str) -> None:
    a_key(store)
    store._path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match="damaged"):
        store.read()
    with pytest.raises(StoreError, match="damaged"):
        a_key(store, seed=1)
    assert store._path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize(("right", "wrong"), [("acme", "ac\xffme"), ("acme", "ACME/.."), ('"created_at"', '"\xff"')])
def test_a_byte_that_changed_is_a_damaged_file_with_the_way_out(store: KeyFile, right: str, wrong: str) -> None:
    a_key(store)
    assert right in content(store)
    store._path.write_bytes(content(store).replace(right, wrong).encode("latin-1"))
    with pytest.raises(DamagedKeysError, match=r"keys\.json, .* is damaged: .* put back .* or remove it"):
        store.read()


def test_a_link_that_leads_nowhere_is_an_error_and_never_no_keys(store: KeyFile) -> None:
    """As where a secret is not mounted yet: a service on the loopback address would let everyone in."""
    a_key(store)
    elsewhere = store._path.rename(store._path.with_name("elsewhere"))
    store._path.symlink_to(elsewhere)
    assert len(store.read()) == 1
    elsewhere.unlink()
    with pytest.raises(DamagedKeysError, match="leads nowhere"):
        store.read()


def test_a_pipe_in_place_of_the_keys_keeps_nobody_waiting(store: KeyFile) -> None:
    store._path.parent.mkdir(exist_ok=True)
    os.mkfifo(store._path)
    done: list[Exception] = []

    def read() -> None:
        try:
            store.read()
        except StoreError as error:
            done.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(60)
    hung = thread.is_alive()
    if hung:
        os.close(os.open(store._path, os.O_RDWR | os.O_NONBLOCK))
    assert not hung
    assert done


def test_a_misspelt_field_is_an_error(store: KeyFile) -> None:
    """Somebody who writes ``revoked`` by hand must not believe that the key is dead."""
    a_key(store)
    store._path.write_text(content(store).replace('"revoked_at": 0', '"revoked": true'))
    with pytest.raises(StoreError, match="revoked"):
        store.read()


def test_a_file_that_cannot_be_read_is_an_error_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(OutcomeUnknown) as caught:
        KeyFile(tmp_path / "keys.json").read()
    assert str(caught.value) == "EISDIR"


def test_an_edit_that_fails_changes_nothing_and_leaves_nothing_behind(store: KeyFile) -> None:
    a_key(store)
    before = content(store)

    def fail(_: Keys) -> Keys:
        raise KeyError

    with pytest.raises(KeyError):
        store.change(fail)
    assert content(store) == before
    assert sorted(path.name for path in store._path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_what_a_process_that_died_left_behind_is_no_obstacle(store: KeyFile) -> None:
    a_key(store)
    store._path.with_name("keys.json.new").write_text("half a fi")
    a_key(store, seed=1)
    assert len(store.read()) == 2


def _add_some(path: Path, count: int) -> None:
    for _ in range(count):
        add_key(KeyFile(path), "acme", scopes=[Scope.READ], clock=SystemClock(), randomness=SystemRandomness())


def test_while_keys_are_changed_no_other_process_gets_the_lock(store: KeyFile) -> None:
    def change(keys: Keys) -> Keys:
        (lock,) = store._path.parent.glob("*.lock")
        with lock.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return keys

    assert store.change(change) == ()


@pytest.mark.slow
def test_command_lines_at_the_same_time_lose_no_key(store: KeyFile) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_add_some, args=(store._path, 10)) for _ in range(4)]
    for run in runs:
        run.start()
    while any(run.is_alive() for run in runs):
        assert len(store.read()) <= 40  # a reader never meets a half-written file
    for run in runs:
        run.join()
        assert run.exitcode == 0
    assert len({key.key_id for key in store.read()}) == 40
