"""Who is let in, as whom, for what; and that the refused learn nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sluice.adapters.directory.key_file import KeyFile
from sluice.api.api_keys import NewKey, add_key, revoke_key
from sluice.api.auth import AccessControl, KeyRing, OpenRing, Principal, RateLimiter, is_loopback
from sluice.api.loopback import KeysMissingError, require_keys_unless_loopback
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TenantId
from sluice.ports.store_errors import StoreError
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_journal import RecordedJournal

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Door:
    """A ring over a real file, with a clock and a journal in the test's hand."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "keys.json"
        self.store = KeyFile(self.path)
        self.clock = FakeClock()
        self.journal = RecordedJournal()
        self.ring = KeyRing(self.store, clock=self.clock, journal=self.journal)
        self.open_ring = OpenRing(self.ring)
        self._randomness = SeededRandomness()

    def add(self, tenant: str = "acme", *, scope: Scope = Scope.WRITE, life_s: float = 0) -> NewKey:
        # Another KeyFile, as the command line is another process.
        return add_key(
            KeyFile(self.path),
            tenant,
            scopes=[scope],
            clock=self.clock,
            randomness=self._randomness,
            life_s=life_s,
        )

    def enter(self, key: NewKey) -> Principal:
        return self.ring.authenticate(bearer(key))

    def refusal(self, header: str | None) -> SluiceError:
        with pytest.raises(SluiceError) as caught:
            self.ring.authenticate(header)
        return caught.value

    def admit(self, key: NewKey, scope: Scope, *, per_s: float = 0) -> Principal:
        limiter = RateLimiter(clock=self.clock, journal=self.journal, per_s=per_s)
        return AccessControl(self.ring, limiter, self.journal).admit(bearer(key), scope)

    def reasons(self) -> list[object]:
        return [fields["reason"] for fields in self.journal.of(Event.AUTHENTICATION_FAILED)]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def bearer(key: NewKey) -> str:
    return f"Bearer {key.text.reveal()}"


def test_a_key_lets_its_tenant_in(door: Door) -> None:
    acme, other = door.add("acme"), door.add("other", scope=Scope.READ)
    assert door.enter(acme) == Principal(
        tenant=TenantId("acme"), key_id=acme.key.key_id, scopes=frozenset({Scope.WRITE})
    )
    assert door.enter(other).tenant == "other"
    assert door.journal.entries == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(door: Door, scheme: str) -> None:
    text = door.add().text.reveal()
    assert door.ring.authenticate(f"{scheme} {text}").tenant == "acme"
    assert door.ring.authenticate(f"{scheme}   {text} ").tenant == "acme"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic {key}",
        "{key}",
        "Bearer {key}, Bearer {key}",
        "Bearer {key} x",
        "Bearer {key}\n",
        "Bearer\t{key}",
        "Bearer {key}\x00",
        "Bearer " + "a" * 100_000,
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer ü",
        "Bearer \ud800",
    ],
)
def test_anything_but_one_key_is_refused(door: Door, header: str | None) -> None:
    key = door.add()
    sent = header and header.replace("{key}", key.text.reveal())
    assert door.refusal(sent).code is ErrorCode.UNAUTHENTICATED


def test_every_cause_gets_the_same_answer_and_its_own_line_in_the_journal(door: Door) -> None:
    good, revoked, expired = door.add(), door.add(), door.add(life_s=10)
    revoke_key(door.store, revoked.key.key_id, clock=door.clock)
    door.clock.advance(10)
    unknown = f"Bearer slc_{'a' * 12}_{'a' * 52}"
    wrong = bearer(good)[:-52] + "a" * 52
    headers = [None, "Bearer x", unknown, wrong, bearer(revoked), bearer(expired)]
    answers = {(error.code, error.detail, str(error.facts)) for error in map(door.refusal, headers)}
    assert len(answers) == 1
    assert door.reasons() == ["missing", "malformed", "unknown_key", "wrong_secret", "revoked", "expired"]


def test_no_secret_gets_into_the_journal(door: Door) -> None:
    key = door.add()
    secret = key.text.reveal().rpartition("_")[2]
    door.refusal(bearer(key)[:-1] + ("a" if secret[-1] != "a" else "b"))
    door.refusal(f"Basic {secret}")
    assert secret[:-1] not in str(door.journal.entries)
    assert door.journal.entries[0].fields["key_id"] == key.key.key_id


@pytest.mark.parametrize("place", [*range(12), *range(13, 13 + 52)])
def test_a_key_with_one_letter_off_anywhere_is_refused(door: Door, place: int) -> None:
    text = door.add().text.reveal()
    at = len("slc_") + place
    other = random.Random(place).choice([letter for letter in ALPHABET if letter != text[at]])
    assert door.refusal(f"Bearer {text[:at]}{other}{text[at + 1 :]}").code is ErrorCode.UNAUTHENTICATED


def test_the_secret_of_one_key_does_not_open_another(door: Door) -> None:
    first, second = door.add("acme"), door.add("other")
    id_of_first, secret_of_second = first.text.reveal().split("_")[1], second.text.reveal().split("_")[2]
    door.refusal(f"Bearer slc_{id_of_first}_{secret_of_second}")
    assert door.reasons() == ["wrong_secret"]


def test_a_key_works_until_the_moment_it_expires(door: Door) -> None:
    key = door.add(life_s=10)
    door.clock.advance(9.999)
    assert door.enter(key).tenant == "acme"
    door.clock.advance(0.001)
    assert door.refusal(bearer(key)).code is ErrorCode.UNAUTHENTICATED


def test_keys_are_rotated_without_a_restart(door: Door) -> None:
    old = door.add()
    assert door.enter(old).key_id == old.key.key_id
    new = door.add()
    assert {door.enter(key).key_id for key in (old, new)} == {old.key.key_id, new.key.key_id}
    revoke_key(KeyFile(door.path), old.key.key_id, clock=door.clock)
    assert door.refusal(bearer(old)).code is ErrorCode.UNAUTHENTICATED
    assert door.enter(new).tenant == "acme"


def test_a_damaged_file_lets_nobody_in(door: Door) -> None:
    key = door.add()
    door.path.write_text("[")
    for ring in (door.ring, door.open_ring):
        with pytest.raises(StoreError):
            ring.authenticate(bearer(key))


def test_a_hash_that_somebody_spoilt_matches_nothing(door: Door) -> None:
    key = door.add()
    door.path.write_text(door.path.read_text().replace(key.key.secret_sha256, "ü"), encoding="utf-8")
    assert door.refusal(bearer(key)).code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        (Scope.READ, {Scope.READ}),
        (Scope.WRITE, {Scope.READ, Scope.WRITE}),
        (Scope.ADMIN, {Scope.READ, Scope.WRITE, Scope.ADMIN}),
        (Scope.RUN_JOBS, {Scope.RUN_JOBS}),
    ],
)
def test_a_scope_includes_the_lesser_ones(held: Scope, allowed: set[Scope]) -> None:
    principal = Principal(tenant=TenantId("a"), key_id="k", scopes=frozenset({held}))
    assert {scope for scope in Scope if principal.may(scope)} == allowed


def test_a_caller_without_the_scope_is_told_which_one() -> None:
    principal = Principal(tenant=TenantId("a"), key_id="k", scopes=frozenset({Scope.READ}))
    with pytest.raises(SluiceError) as caught:
        principal.require(Scope.WRITE)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    assert caught.value.facts == {"scope": "write"}
    principal.require(Scope.READ)


def test_a_principal_without_scopes_may_nothing() -> None:
    principal = Principal(tenant=TenantId("a"), key_id="k", scopes=frozenset())
    assert not any(principal.may(scope) for scope in Scope)


def test_who_is_admitted_has_the_scope(door: Door) -> None:
    key = door.add(scope=Scope.WRITE)
    assert door.admit(key, Scope.READ).tenant == "acme"
    assert door.journal.entries == []


def test_who_is_not_admitted_is_noted(door: Door) -> None:
    key = door.add(scope=Scope.READ)
    with pytest.raises(SluiceError) as caught:
        door.admit(key, Scope.WRITE)
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    assert door.journal.of(Event.AUTHORIZATION_FAILED) == [
        {"tenant": "acme", "key_id": key.key.key_id, "scope": "write"}
    ]


def test_trying_what_is_not_allowed_is_not_free(door: Door) -> None:
    key = door.add(scope=Scope.READ)
    limiter = RateLimiter(clock=door.clock, journal=door.journal, per_s=1)
    codes = []
    for _ in range(2):
        with pytest.raises(SluiceError) as caught:
            AccessControl(door.ring, limiter, door.journal).admit(bearer(key), Scope.WRITE)
        codes.append(caught.value.code)
    assert codes == [ErrorCode.PERMISSION_DENIED, ErrorCode.RATE_LIMITED]


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Bearer " + "a" * 1_000])
def test_while_there_is_no_key_everybody_is_local(door: Door, header: str | None) -> None:
    principal = door.open_ring.authenticate(header)
    assert principal.tenant == "local"
    assert principal.may(Scope.ADMIN)


def test_the_first_key_closes_the_open_door_at_once_and_for_good(door: Door) -> None:
    door.open_ring.authenticate(None)
    key = door.add()
    with pytest.raises(SluiceError):
        door.open_ring.authenticate(None)
    assert door.open_ring.authenticate(bearer(key)).tenant == "acme"
    revoke_key(door.store, key.key.key_id, clock=door.clock)
    with pytest.raises(SluiceError):
        door.open_ring.authenticate(None)
    door.path.unlink()
    with pytest.raises(SluiceError):
        door.open_ring.authenticate(None)


def test_a_file_of_revoked_keys_does_not_open_the_door_at_the_next_start(door: Door) -> None:
    key = door.add()
    revoke_key(door.store, key.key.key_id, clock=door.clock)
    again = OpenRing(KeyRing(KeyFile(door.path), clock=door.clock, journal=door.journal))
    with pytest.raises(SluiceError):
        again.authenticate(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_a_loopback_address_no_key_is_needed(door: Door, host: str) -> None:
    require_keys_unless_loopback(host, door.open_ring)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "192.168.1.1", "example.com", "localhost.example.com", "127.0.0.1.nip.io"]
)
def test_on_any_other_address_a_key_is_needed(door: Door, host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(KeysMissingError, match="sluice keys add"):
        require_keys_unless_loopback(host, door.open_ring)
    door.add()
    require_keys_unless_loopback(host, door.open_ring)


def test_a_ring_that_is_not_open_needs_a_key_everywhere(door: Door) -> None:
    with pytest.raises(KeysMissingError, match="nobody could call"):
        require_keys_unless_loopback("127.0.0.1", door.ring)
    door.add()
    require_keys_unless_loopback("127.0.0.1", door.ring)
