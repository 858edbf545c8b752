"""Who is taken for a user: whom a good token names, or a key that may; no other."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from sluice.adapters.directory.key_file import KeyFile
from sluice.api.auth import KeyRing
from sluice.api.users import HEADER_CHARS_MAX, TOKEN_CHARS_MAX, TokenRules, UserTokens, user_of_headers
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.secret import Secret
from sluice.domain.user import PERMISSIONS_MAX, User
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal

SECRET = "a secret of the application, of 32 bytes or more"
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_PEM = RSA_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
RSA_JWK = RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "r", "alg": "RS256", "use": "sig"}
EC_JWK = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "e"}
OCT_JWK = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "o", "alg": "HS256"}
SHARED = UserTokens(TokenRules(secret=Secret(SECRET)))


def claims(**more: Any) -> dict[str, Any]:
    said = {"sub": "ann", "tenant": "acme", "permissions": ["orders:read"], "exp": time.time() + 600, **more}
    return {name: value for name, value in said.items() if value is not None}


def signed(said: Mapping[str, Any] | None = None, secret: str = SECRET, **headers: Any) -> str:
    return jwt.encode(dict(claims() if said is None else said), secret, algorithm="HS256", headers=headers or None)


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [RSA_JWK, EC_JWK, OCT_JWK]}))
    return path


@pytest.fixture
def by_keys(keys_file: Path) -> UserTokens:
    return UserTokens(TokenRules(keys_file=str(keys_file)))


def test_a_good_token_says_who_the_user_is_and_what_is_known_of_them() -> None:
    said = claims(shops=[1, 2], region="north", admin=True, deep={"a": 1}, mixed=[1, {}], nothing=[], id="x")
    found = SHARED.verify(signed(said))
    assert found is not None
    assert (found.tenant, found.user.name, set(found.user.permissions)) == ("acme", "ann", {"orders:read"})
    known = dict(found.user.attributes)
    assert known.pop("exp") == said["exp"]
    assert known == {
        "sub": "ann",
        "id": "ann",
        "tenant": "acme",
        "permissions": ("orders:read",),
        "shops": (1, 2),
        "region": "north",
        "admin": 1,
        "nothing": (),
    }


def test_a_number_names_a_user_as_a_text_does_and_permissions_may_be_one_text() -> None:
    found = SHARED.verify(signed(claims(sub=42, permissions="a b\tc", jti=7)))
    assert found is not None
    assert (found.user.name, set(found.user.permissions)) == ("42", {"a", "b", "c"})
    assert SHARED.verify(signed(claims(permissions=None))) is not None


def test_claims_have_the_names_that_the_rules_give_them() -> None:
    rules = TokenRules(secret=Secret(SECRET), user_claim="uid", tenant_claim="org", permissions_claim="scope")
    found = UserTokens(rules).verify(signed(claims(uid="bob", org="globex", scope="p q")))
    assert found is not None
    assert (found.user.name, found.tenant, set(found.user.permissions)) == ("bob", "globex", {"p", "q"})
    assert (found.user.attributes["tenant"], found.user.attributes["id"]) == ("globex", "bob")
    assert UserTokens(rules).verify(signed()) is None


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "over": {"exp": time.time() - 31},
    "endless": {"exp": None},
    "an end that is a text": {"exp": "soon"},
    "an end that is a list": {"exp": [1]},
    "an end beyond all numbers": {"exp": float("inf")},
    "an end that is none": {"exp": float("nan")},
    "not yet": {"nbf": time.time() + 3_600},
    "a beginning that is a text": {"nbf": "x"},
    "issued later": {"iat": time.time() + 3_600},
    "no user": {"sub": None},
    "an empty user": {"sub": ""},
    "a user of two lines": {"sub": "ann\nroot"},
    "a user with a NUL": {"sub": "ann\0"},
    "a user that turns around": {"sub": "ann\u202e"},
    "a user that is too long": {"sub": "x" * 256},
    "a user that is a list": {"sub": ["ann"]},
    "a user that is an object": {"sub": {"name": "ann"}},
    "a user that is a truth": {"sub": True},
    "a user that is a fraction": {"sub": 1.5},
    "no tenant": {"tenant": None},
    "a tenant that is none": {"tenant": "No Tenant!"},
    "a tenant with a line end": {"tenant": "acme\n"},
    "a tenant that is a list": {"tenant": ["acme"]},
    "a tenant that is an object": {"tenant": {}},
    "a tenant that is a number": {"tenant": 7},
    "permissions that are a number": {"permissions": 3},
    "permissions that are an object": {"permissions": {"orders:read": True}},
    "permissions that are no texts": {"permissions": ["a", 1]},
    "a permission that is a list": {"permissions": [["orders:read"]]},
    "too many permissions": {"permissions": list(map(str, range(PERMISSIONS_MAX + 1)))},
}


@pytest.mark.parametrize("how", BAD_CLAIMS)
def test_a_token_that_does_not_say_who_and_until_when_is_none(how: str) -> None:
    assert SHARED.verify(signed(claims(**BAD_CLAIMS[how]))) is None


def test_a_clock_may_be_half_a_minute_off() -> None:
    assert SHARED.verify(signed(claims(exp=time.time() - 20, nbf=time.time() + 20))) is not None


def test_values_that_no_database_has_are_not_known_of_a_user() -> None:
    found = SHARED.verify(
        signed(claims(a=float("nan"), b=float("-inf"), c="x\0", d=["x", "\0"], g="\ud800", e=10**400, f=None))
    )
    assert found is not None
    assert {name for name in "abcdf" if name in found.user.attributes} == set()
    assert found.user.attributes["e"] == 10**400


DEEP = b"[" * 5_900
BAD_TOKENS: dict[str, Callable[[], str]] = {
    "none": lambda: jwt.encode(claims(), "", algorithm="none"),
    "None": lambda: f"{part({'alg': 'None', 'typ': 'JWT'})}.{part(claims())}.",
    "no algorithm": lambda: f"{part({'typ': 'JWT'})}.{part(claims())}.{part(b'x')}",
    "an algorithm that is a list": lambda: f"{part({'alg': ['HS256']})}.{part(claims())}.{part(b'x')}",
    "another secret": lambda: signed(secret=SECRET + "!"),
    "another algorithm": lambda: jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
    "what it says must be known": lambda: jwt.encode(claims(), SECRET, headers={"crit": ["exp"], "exp": 1}),
    "the algorithm of a key": lambda: jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "r"}),
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "another's claims": lambda: ".".join(
        (signed().split(".")[0], part(claims(tenant="globex")), signed().split(".")[2])
    ),
    "too long": lambda: signed(claims(x="y" * TOKEN_CHARS_MAX)),
    "nothing": lambda: "",
    "dots": lambda: "..",
    "no base64": lambda: "%.%.%",
    "no text": lambda: "\ud800.\ud800.\ud800",
    "two parts": lambda: "a.b",
    "a header that is a list": lambda: f"{part([1])}.{part(claims())}.{part(b'x')}",
    "a deep header": lambda: f"{part(DEEP)}.e30.x",
    "a deep header with a name": lambda: part(b'{"alg":' + DEEP) + ".e30.x",
    "a long number": lambda: part(b'{"alg":' + b"9" * 5_000 + b"}") + ".e30.x",
    "claims that are a list": lambda: jwt.api_jws.encode(b"[]", SECRET, algorithm="HS256"),
    "claims that are no JSON": lambda: jwt.api_jws.encode(b"{", SECRET, algorithm="HS256"),
    "deep claims": lambda: jwt.api_jws.encode(b"[" * 5_800, SECRET, algorithm="HS256"),
}


@pytest.mark.parametrize("how", BAD_TOKENS)
def test_what_is_no_token_of_ours_is_none(how: str) -> None:
    assert SHARED.verify(BAD_TOKENS[how]()) is None


@given(st.text(max_size=200))
def test_no_text_raises_an_error(text: str) -> None:
    assert SHARED.verify(text) is None
    assert SHARED.verify(f"{part(text.encode('utf-8', 'replace'))}.{part({})}.x") is None


@pytest.mark.parametrize(
    ("rule", "claim", "good", "bad"),
    [
        ("audience", "aud", ["sluice", ["x", "sluice"]], [None, "other", ["other"], [], {"sluice": 1}, 7]),
        ("issuer", "iss", ["sluice"], [None, "other", "Sluice", ["sluice"], 7]),
    ],
)
def test_audience_and_issuer_are_those_of_the_rules(rule: str, claim: str, good: list[Any], bad: list[Any]) -> None:
    named: dict[str, Any] = {rule: "sluice"}
    tokens = UserTokens(TokenRules(secret=Secret(SECRET), **named))
    assert all(tokens.verify(signed(claims(**{claim: value}))) is not None for value in good)
    assert [value for value in bad if tokens.verify(signed(claims(**{claim: value}))) is not None] == []


def test_tokens_of_the_two_kinds_of_keys_are_verified(by_keys: UserTokens) -> None:
    for key, algorithm, kid in ((RSA_KEY, "RS256", "r"), (EC_KEY, "ES256", "e")):
        found = by_keys.verify(jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": kid}))
        assert found is not None, algorithm
        assert found.user.name == "ann"


BY_KEYS: dict[str, Callable[[], str]] = {
    "no kid": lambda: jwt.encode(claims(), RSA_KEY, algorithm="RS256"),
    "an unknown kid": lambda: jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "x"}),
    "another's kid": lambda: jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "e"}),
    "another's key": lambda: jwt.encode(claims(), OTHER_RSA_KEY, algorithm="RS256", headers={"kid": "r"}),
    "another algorithm of the key": lambda: jwt.encode(claims(), RSA_KEY, algorithm="RS512", headers={"kid": "r"}),
    "another padding of the key": lambda: jwt.encode(claims(), RSA_KEY, algorithm="PS256", headers={"kid": "r"}),
    "a secret of the set": lambda: signed(kid="o"),
    "none": lambda: jwt.encode(claims(), "", algorithm="none", headers={"kid": "r"}),
    "over": lambda: jwt.encode(claims(exp=1), RSA_KEY, algorithm="RS256", headers={"kid": "r"}),
    "a kid that is a list": lambda: f"{part({'alg': 'RS256', 'kid': ['r']})}.{part(claims())}.{part(b'x')}",
}


@pytest.mark.parametrize("how", BY_KEYS)
def test_the_key_is_the_one_that_its_name_says_by_its_own_algorithm(by_keys: UserTokens, how: str) -> None:
    assert by_keys.verify(BY_KEYS[how]()) is None


@pytest.mark.parametrize("kid", ["r", "", "x"])
def test_a_public_key_is_no_shared_secret(keys_file: Path, kid: str) -> None:
    """Whose HMAC anyone could make (the confusion of RS256 with HS256), with or without a shared secret beside it."""
    head = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims())}"
    for public in (RSA_PEM, RSA_PEM.strip(), json.dumps(RSA_JWK).encode(), RSA_JWK["n"].encode()):
        forged = f"{head}.{part(hmac.new(public, head.encode(), hashlib.sha256).digest())}"
        assert UserTokens(TokenRules(keys_file=str(keys_file))).verify(forged) is None
        assert UserTokens(TokenRules(secret=Secret(SECRET), keys_file=str(keys_file))).verify(forged) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "7",
        '{"keys": []}',
        '{"keys": 7}',
        '{"keys": [{}]}',
        '{"keys": ["x"]}',
        json.dumps({"keys": [OCT_JWK]}),
        json.dumps({"keys": [{**RSA_JWK, "kid": ""}]}),
        json.dumps({"keys": [{**RSA_JWK, "n": "%"}]}),
    ],
)
def test_a_file_without_a_key_that_can_verify_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"keys\.json"):
        UserTokens(TokenRules(keys_file=str(path)))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        UserTokens(TokenRules(secret=Secret("x" * 31)))


def test_a_user_with_a_token_may_act_for_themselves_alone(tmp_path: Path) -> None:
    journal = RecordedJournal()
    ring = KeyRing(KeyFile(tmp_path / "keys.json"), clock=FakeClock(), journal=journal, tokens=SHARED)
    principal = ring.authenticate(f"Bearer {signed()}")
    assert principal.user is not None
    assert (principal.tenant, principal.user.name, set(principal.scopes)) == ("acme", "ann", {Scope.ACT_FOR})
    assert [scope for scope in Scope if principal.may(scope)] == [Scope.ACT_FOR]
    for header in (f"Basic {signed()}", f"Bearer {signed(secret=SECRET + '!')}", signed(), "Bearer a.b.c"):
        with pytest.raises(SluiceError, match="UNAUTHENTICATED"):
            ring.authenticate(header)
    assert SECRET not in repr(journal.entries)


def test_to_act_for_users_is_in_no_other_scope_and_includes_none() -> None:
    others = [scope for scope in Scope if scope is not Scope.ACT_FOR]
    assert Scope.ACT_FOR.includes(Scope.ACT_FOR)
    assert not any(Scope.ACT_FOR.includes(other) or other.includes(Scope.ACT_FOR) for other in others)


TENANT = TenantId("acme")


def of_headers(name: str | None = "ann", permissions: str | None = None, attributes: str | None = None) -> User | None:
    given = {"sluice-user": name, "sluice-user-permissions": permissions, "sluice-user-attributes": attributes}
    return user_of_headers({name: text for name, text in given.items() if text is not None}, TENANT)


def test_headers_name_a_user() -> None:
    sent = '{"shops": [1, 2], "region": "北", "id": "root", "tenant": "globex", "deep": {}}'.encode().decode("latin-1")
    found = of_headers("张伟".encode().decode("latin-1"), "a,b  c,, d", sent)
    assert found is not None
    assert (found.name, set(found.permissions)) == ("张伟", {"a", "b", "c", "d"})
    assert found.attributes == {"shops": (1, 2), "region": "北", "id": "张伟", "tenant": "acme"}
    assert of_headers(None, "a", "{") is None


@pytest.mark.parametrize(
    "sent",
    [
        {"name": ""},
        {"name": "ann\x00"},
        {"name": "ann\x1b[2J"},
        {"name": "ann\r\nroot"},
        {"name": "\u00e9"},  # é as Latin-1, which is no UTF-8
        {"name": "x" * 256},
        {"name": "x" * (HEADER_CHARS_MAX + 1)},
        {"name": "\u2603"},  # no byte of a header
        {"permissions": "x" * (HEADER_CHARS_MAX + 1)},
        {"permissions": " ".join(map(str, range(PERMISSIONS_MAX + 1)))},
        {"attributes": "{"},
        {"attributes": "[]"},
        {"attributes": "7"},
        {"attributes": "null"},
        {"attributes": '{"a": NaN}'},
        {"attributes": '{"a": 1e999}'},
        {"attributes": '{"a": "\xff"}'},
        {"attributes": '{"a": ' + "[" * 4_000},
        {"attributes": '{"a": "' + "x" * HEADER_CHARS_MAX + '"}'},
    ],
)
def test_headers_that_cannot_be_read_are_refused_and_not_repeated(sent: dict[str, str]) -> None:
    with pytest.raises(SluiceError) as caught:
        of_headers(**sent)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert str(caught.value.facts["field"]).startswith("sluice-user")
    assert len(caught.value.detail) < 200
    assert caught.value.detail.isprintable()
