"""Keys of users' tokens from an identity provider: who is let in while it turns its keys, is away, or is attacked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sluice.adapters.https_document import HttpsDocument
from sluice.api.token_keys import FRESH_S, PAUSE_S, USABLE_S, WAITING_MAX, FetchedKeys, read_key_set
from sluice.api.users import TokenRules, UserTokens
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.documents import FetchesDocument
from tests.support.fake_clock import FakeClock
from tests.support.key_provider import KeyProvider, answering, key_set, providing, public_key
from tests.support.recorded_journal import RecordedJournal
from tests.support.running_service import eventually

RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
WEAK_RSA = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
EC = ec.generate_private_key(ec.SECP256R1())
NEW_EC = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
SHOWN_RSA, SHOWN_EC, SHOWN_NEW = public_key(RSA, "r", alg="RS256"), public_key(EC, "e"), public_key(NEW_EC, "new")


class World:
    """A provider, the tokens that are verified by its keys, and a clock that is driven."""

    def __init__(self, provider: KeyProvider, document: FetchesDocument | None = None) -> None:
        self.provider = provider
        self.clock = FakeClock()
        self.journal = RecordedJournal()
        self.keys = FetchedKeys(document or HttpsDocument(provider.url), clock=self.clock, journal=self.journal)
        self.tokens = UserTokens(TokenRules(), keys=self.keys)

    def lets_in(self, token: str) -> bool:
        return self.tokens.verify(token) is not None

    @property
    def reasons(self) -> list[Any]:
        return [entry["reason"] for entry in self.journal.of(Event.SYSTEM_ERROR)]


@pytest.fixture
def world() -> Iterator[World]:
    with providing(SHOWN_RSA, SHOWN_EC) as provider:
        yield World(provider)


def signed(key: Any = EC, kid: str = "e", algorithm: str = "ES256") -> str:
    claims = {"sub": "ann", "tenant": "acme", "exp": time.time() + 600}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def test_tokens_of_the_provider_s_keys_are_verified_and_the_keys_fetched_once(world: World) -> None:
    assert world.provider.asked == 0, "nothing is asked before there is a token"
    assert world.lets_in(signed())
    assert world.lets_in(signed(RSA, "r", "RS256"))
    assert not world.lets_in(signed(NEW_EC))
    assert world.provider.asked == 1


def test_a_key_that_is_new_is_found_and_one_that_is_withdrawn_is_refused(world: World) -> None:
    assert world.lets_in(signed())
    world.provider.show(SHOWN_NEW)
    world.clock.advance(PAUSE_S)
    assert world.lets_in(signed(NEW_EC, "new"))
    assert not world.lets_in(signed()), "the set is taken whole"
    assert world.provider.asked == 2


def test_a_stranger_who_makes_up_names_of_keys_causes_one_fetch_within_a_pause(world: World) -> None:
    for number in range(200):
        assert not world.lets_in(signed(kid=f"made up {number}"))
    assert world.provider.asked == 1
    world.provider.show(SHOWN_EC, SHOWN_NEW)
    world.clock.advance(PAUSE_S - 0.1)
    assert not world.lets_in(signed(NEW_EC, "new"))
    world.clock.advance(0.1)
    assert world.lets_in(signed(NEW_EC, "new"))
    assert not world.lets_in(signed(kid="made up"))
    assert world.provider.asked == 2


@pytest.mark.parametrize(
    "token",
    [
        lambda: jwt.encode({"sub": "ann"}, "x" * 32, algorithm="HS256", headers={"kid": "made up"}),
        lambda: jwt.encode({"sub": "ann"}, "", algorithm="none", headers={"kid": "made up"}),
        lambda: signed(P384, "made up", "ES384"),
        lambda: signed(RSA, "made up", "PS256"),
        lambda: jwt.encode({"sub": "ann"}, EC, algorithm="ES256"),
        lambda: "a.b.c",
    ],
)
def test_what_no_key_of_a_provider_could_verify_causes_no_fetch(world: World, token: Any) -> None:
    assert not world.lets_in(token())
    assert world.provider.asked == 0


def test_keys_that_are_not_fresh_are_used_and_fetched_again_beside_the_request(world: World) -> None:
    assert world.lets_in(signed())
    world.provider.show(SHOWN_NEW)
    world.clock.advance(FRESH_S)
    assert world.lets_in(signed())
    eventually(lambda: not world.lets_in(signed()))
    assert world.lets_in(signed(NEW_EC, "new"))
    assert world.provider.asked == 2


def test_while_the_provider_is_away_the_last_good_keys_serve_for_a_stated_time(world: World) -> None:
    assert world.lets_in(signed())
    world.provider.answer = answering(b"away", status=503)
    world.clock.advance(USABLE_S - 1)
    assert world.lets_in(signed())
    eventually(lambda: world.provider.asked == 2)
    eventually(lambda: world.reasons == ["security.jwt_keys: 127.0.0.1 answers with status 503"])
    assert not world.lets_in(signed(NEW_EC, "new")), "an unknown key is no reason to say that the service is away"
    world.clock.advance(PAUSE_S)
    with pytest.raises(SluiceError) as refused:
        world.lets_in(signed())
    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    world.provider.show(SHOWN_EC)
    world.clock.advance(PAUSE_S)
    assert world.lets_in(signed())


def test_a_provider_that_never_answered_is_asked_again_after_a_pause_and_its_callers_may_come_again(
    world: World,
) -> None:
    world.provider.answer = answering(b"{}")
    for _ in range(20):
        with pytest.raises(SluiceError, match="STORE_UNAVAILABLE"):
            world.lets_in(signed())
    assert world.provider.asked == 1
    world.provider.show(SHOWN_EC)
    world.clock.advance(PAUSE_S)
    assert world.lets_in(signed())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'{"keys": []}',
        b'{"keys": {"kty": "EC"}}',
        b'{"keys": [7, null, {}]}',
        b"[" * 100_000,
        key_set([{"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "e", "alg": "HS256"}]),
        key_set([{**SHOWN_EC, "use": "enc"}]),
        key_set([{**SHOWN_EC, "kid": ["e"]}]),
        key_set([{**SHOWN_EC, "alg": "HS256"}]),
        key_set([{**SHOWN_EC, "x": "%"}]),
        key_set([SHOWN_EC, {**SHOWN_NEW, "kid": "e"}]),
        key_set([public_key(P384, "e", alg="ES256")]),
        key_set([public_key(WEAK_RSA, "e")]),
    ],
)
def test_a_set_without_a_good_key_takes_the_place_of_none(world: World, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it (is no JSON Web Key Set|has no key)"):
        read_key_set(body)
    assert world.lets_in(signed())
    world.provider.answer = answering(body)
    world.clock.advance(PAUSE_S)
    assert not world.lets_in(signed(kid="made up"))
    assert world.provider.asked == 2
    assert len(world.reasons) == 1
    assert world.lets_in(signed())


def test_a_key_that_cannot_be_used_spoils_no_other() -> None:
    others = [
        {"kty": "new kind"},
        {**SHOWN_EC, "kid": "bad", "x": "%"},
        public_key(P384, "p"),
        public_key(WEAK_RSA, "w"),
    ]
    assert set(read_key_set(key_set([*others, SHOWN_EC, SHOWN_RSA]))) == {"e", "r"}


@pytest.mark.parametrize("kid", ["r", "e"])
def test_a_public_key_of_the_provider_is_no_shared_secret_and_has_one_algorithm(world: World, kid: str) -> None:
    public = (RSA if kid == "r" else EC).public_key()
    texts = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        json.dumps(SHOWN_RSA if kid == "r" else SHOWN_EC).encode(),
    ]
    head = f"{_part({'alg': 'HS256', 'kid': kid})}.{_part({'sub': 'ann', 'tenant': 'acme', 'exp': time.time() + 60})}"
    for text in texts:
        mac = base64.urlsafe_b64encode(hmac.digest(text, head.encode(), hashlib.sha256)).decode().rstrip("=")
        assert not world.lets_in(f"{head}.{mac}")
    for algorithm, key in (("RS512", RSA), ("PS256", RSA), ("ES256", EC), ("RS256", RSA)):
        is_its_own = (kid, algorithm) in {("r", "RS256"), ("e", "ES256")}
        assert world.lets_in(signed(key, kid, algorithm)) is is_its_own, algorithm


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class SlowDocument:
    """Implements ``FetchesDocument``: answers when it is let to."""

    def __init__(self) -> None:
        self.go, self.asked = Flag(), 0

    def fetch(self) -> bytes:
        self.asked += 1
        assert self.go.wait(60)
        return key_set([SHOWN_EC])


def test_one_fetch_serves_all_who_wait_and_only_so_many_do(world: World) -> None:
    slow = SlowDocument()
    world = World(world.provider, slow)
    let_in: list[bool] = []
    threads = [Thread(target=lambda: let_in.append(world.lets_in(signed()))) for _ in range(WAITING_MAX)]
    for thread in threads:
        thread.start()
    eventually(lambda: world.keys._waiting._value == 0)
    with pytest.raises(SluiceError, match="STORE_UNAVAILABLE"):
        world.lets_in(signed())
    slow.go.set()
    for thread in threads:
        thread.join()
    assert (let_in, slow.asked) == ([True] * WAITING_MAX, 1)
