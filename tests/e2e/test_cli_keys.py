"""`sluice keys`: the key is printed once and works; only its hash is kept."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from sluice.adapters.directory.key_file import KeyFile
from sluice.api.auth import KeyRing, Principal
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from tests.support.command_line import sluice
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal

DAY_S = 86_400


def add(data: Path, *arguments: str) -> str:
    return sluice("keys", "add", *arguments, "--data", data).stdout.strip()


def enter(data: Path, key: str, *, later_s: float = 0) -> Principal:
    clock = FakeClock(now=json.loads((data / "keys.json").read_bytes())[0]["created_at"] + later_s)
    return KeyRing(KeyFile(data / "keys.json"), clock=clock, journal=RecordedJournal()).authenticate(f"Bearer {key}")


def test_the_key_is_all_that_is_on_standard_output_and_it_works(tmp_path: Path) -> None:
    done = sluice("keys", "add", "shop", "--data", tmp_path / "data")
    assert re.fullmatch(r"slc_[a-z2-7]{12}_[a-z2-7]{52}\n", done.stdout)
    principal = enter(tmp_path / "data", done.stdout.strip())
    assert principal.tenant == "shop"
    assert principal.scopes == {Scope.WRITE}


def test_only_the_hash_is_kept_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    key = add(tmp_path, "shop")
    path = tmp_path / "keys.json"
    assert key.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_scopes_and_life_are_as_asked_for(tmp_path: Path) -> None:
    key = add(tmp_path, "shop", "--scope", "read", "--scope", "admin", "--expires-days", "2")
    assert enter(tmp_path, key, later_s=2 * DAY_S - 1).scopes == {Scope.READ, Scope.ADMIN}
    with pytest.raises(SluiceError) as caught:
        enter(tmp_path, key, later_s=2 * DAY_S)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


def test_the_first_key_of_a_service_that_has_data_needs_a_yes(tmp_path: Path) -> None:
    (tmp_path / "tasks.sqlite3").write_bytes(b"")
    refused = sluice("keys", "add", "shop", "--data", tmp_path, exit_code=2)
    assert "every caller without a key is refused" in " ".join(refused.stderr.split())
    assert not (tmp_path / "keys.json").exists()
    made = sluice("keys", "add", "shop", "--data", tmp_path, "--yes")
    assert "From now on callers without a key are refused." in made.stderr
    assert enter(tmp_path, made.stdout.strip()).tenant == "shop"
    assert sluice("keys", "add", "more", "--data", tmp_path).stdout.startswith("slc_")


def test_a_revoked_key_opens_nothing(tmp_path: Path) -> None:
    key, other = add(tmp_path, "shop"), add(tmp_path, "reports")
    sluice("keys", "revoke", key.split("_")[1], "--data", tmp_path)
    with pytest.raises(SluiceError):
        enter(tmp_path, key)
    assert enter(tmp_path, other).tenant == "reports"


def test_the_list_shows_each_key_but_neither_its_text_nor_its_hash(tmp_path: Path) -> None:
    first, second = add(tmp_path, "shop"), add(tmp_path, "reports", "--expires-days", "1")
    sluice("keys", "revoke", first.split("_")[1], "--data", tmp_path)
    text = sluice("keys", "list", "--data", tmp_path).stdout
    lines = [line.split() for line in text.splitlines()]
    assert [line[:4] for line in lines[1:]] == [
        [first.split("_")[1], "shop", "write", "revoked"],
        [second.split("_")[1], "reports", "write", "active"],
    ]
    views = json.loads(sluice("keys", "list", "--tenant", "shop", "--json", "--data", tmp_path).stdout)
    assert [(view["tenant"], view["state"]) for view in views] == [("shop", "revoked")]
    for kept in json.loads((tmp_path / "keys.json").read_bytes()):
        assert kept["secret_sha256"] not in text


def test_the_file_of_keys_is_where_the_settings_say(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"security:\n  api_keys_file: {tmp_path / 'elsewhere.json'}\n")
    sluice("keys", "add", "shop", "--config", config)
    assert json.loads((tmp_path / "elsewhere.json").read_bytes())[0]["tenant"] == "shop"


@pytest.mark.parametrize("tenant", ["Shop", "-shop", "a/b", "", "x" * 41])
def test_a_tenant_that_is_none_is_wrong_usage(tmp_path: Path, tenant: str) -> None:
    sluice("keys", "add", "--data", tmp_path, "--", tenant, exit_code=2)
    assert not (tmp_path / "keys.json").exists()


def test_revoking_a_key_that_does_not_exist_fails(tmp_path: Path) -> None:
    add(tmp_path, "shop")
    assert "no key" in sluice("keys", "revoke", "abc", "--data", tmp_path, exit_code=1).stderr


def test_a_damaged_file_of_keys_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    sluice("keys", "add", "shop", "--data", tmp_path, exit_code=1)
    assert (tmp_path / "keys.json").read_text() == "{"
