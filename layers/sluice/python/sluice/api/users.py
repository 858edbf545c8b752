"""Who the user is for whom an application calls: by a signed token, or by the word of a key that may say so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from sluice.api.token_keys import PUBLIC_ALGORITHMS, UNREADABLE, FindsKey, KnownKeys, read_key_set
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TENANT_ID, TenantId
from sluice.domain.pulled import Value
from sluice.domain.secret import Secret
from sluice.domain.user import PERMISSIONS_MAX, USER_CHARS_MAX, Attribute, User

if TYPE_CHECKING:
    import jwt

TOKEN_CHARS_MAX = 8_192
HEADER_CHARS_MAX = 8_192
USER_HEADER = "sluice-user"
PERMISSIONS_HEADER = "sluice-user-permissions"
ATTRIBUTES_HEADER = "sluice-user-attributes"
USER_SHARE = 0.5
"""Of what its tenant may have less what the tenant's others have: what a user with a token may have under way."""
LEEWAY_S = 30
"""How far the clock of who signs may be from ours."""


class TokenRules(NamedTuple):
    """How tokens are signed, and what their claims are called."""

    secret: Secret = Secret("")
    """Of HS256; at least 32 bytes."""
    keys_file: str = ""
    """A JSON Web Key Set, for RS256 and ES256."""
    audience: str = ""
    issuer: str = ""
    user_claim: str = "sub"
    tenant_claim: str = "tenant"
    permissions_claim: str = "permissions"


class VerifiedToken(NamedTuple):
    tenant: TenantId
    user: User


class VerifiesTokens(Protocol):
    def verify(self, token: str) -> VerifiedToken | None:
        """Who a user's token is for; None unless it is good."""


class UserCounts:
    """What each user has under way, of what its tenant may have. Its caller sees to it that one thread is here."""

    def __init__(self, what: str, *, least: int) -> None:
        """``what`` is counted, for the sentence of a refusal; each user may have ``least`` wherever there is room."""
        self._what = what
        self._least = least
        self._taken: Counter[tuple[TenantId, str]] = Counter()

    def add(self, tenant: TenantId, user: User, amount: int, *, of_tenant: int, tenant_max: int) -> None:
        """Count ``amount`` more, where the tenant has ``of_tenant``. Raises QUEUE_FULL beyond ``USER_SHARE``."""
        taken = self._taken[tenant, user.name]
        bound = max(self._least, math.ceil((tenant_max - of_tenant + taken) * USER_SHARE))
        if taken + amount > bound:
            detail = f"The user has as many {self._what} under way as one user may."
            raise SluiceError(ErrorCode.QUEUE_FULL, detail, user_max=bound, retry_after_s=1)
        self._taken[tenant, user.name] += amount

    def remove(self, tenant: TenantId, user: User, amount: int) -> None:
        """Give back what was counted."""
        self._taken[tenant, user.name] -= amount
        if not self._taken[tenant, user.name]:
            del self._taken[tenant, user.name]


class UserTokens:
    """Verifies JSON Web Tokens. Each has to end (``exp``), and to be signed as the rules say: never ``none``."""

    def __init__(self, rules: TokenRules, *, keys: FindsKey | None = None) -> None:
        """``keys`` are of a provider, in place of a file. Raises ValueError for rules that no good token could keep."""
        import jwt  # noqa: PLC0415  # an extra, for those who have users with tokens

        self._jwt = jwt
        self._rules = rules
        self._shared = rules.secret.reveal()
        if self._shared and len(self._shared.encode()) < 32:  # noqa: PLR2004 - RFC 7518, 3.2
            raise ValueError("security.jwt_secret has at least 32 bytes")
        self._keys = keys or KnownKeys(_read_keys(Path(rules.keys_file)) if rules.keys_file else {})

    def verify(self, token: str) -> VerifiedToken | None:
        """Who the token is for; None for one that is none of ours, is over, or names no user or tenant.

        Raises STORE_UNAVAILABLE where the keys of a provider cannot be had.
        """
        if len(token) > TOKEN_CHARS_MAX:
            return None
        try:
            header = self._jwt.get_unverified_header(token)
            key, algorithms = self._key_for(header)
            rules = self._rules
            claims = self._jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=rules.audience or None,
                issuer=rules.issuer or None,
                leeway=LEEWAY_S,
                # What names a user is read below; a number does, and this library would refuse it.
                options={
                    "require": ["exp"],
                    "verify_aud": bool(rules.audience),
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except (self._jwt.PyJWTError, *UNREADABLE):
            return None
        return self._read(claims)

    def _key_for(self, header: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """The key is chosen by the algorithm that we expect of it, never the other way round."""
        algorithm = header.get("alg")
        if "crit" in header:
            raise LookupError("it asks for what is not known here")  # RFC 7515, 4.1.11
        if algorithm == "HS256" and self._shared:
            return self._shared, ["HS256"]
        kid = header.get("kid")
        if algorithm not in PUBLIC_ALGORITHMS or not isinstance(kid, str):
            raise LookupError("no key could verify it")
        key = self._keys.find(kid)
        if key is None or key.algorithm_name != algorithm:
            raise LookupError("no key of ours has this name and algorithm")
        return key, [key.algorithm_name]

    def _read(self, claims: Mapping[str, Any]) -> VerifiedToken | None:
        rules = self._rules
        name, tenant = claims.get(rules.user_claim), claims.get(rules.tenant_claim)
        permissions = claims.get(rules.permissions_claim, [])
        if isinstance(permissions, str):
            permissions = permissions.split()
        is_name = isinstance(name, str | int) and not isinstance(name, bool)
        if not (is_name and isinstance(tenant, str) and TENANT_ID.fullmatch(tenant)):
            return None
        try:
            user = make_user(str(name), tenant, permissions, claims)
        except ValueError:
            return None
        return VerifiedToken(TenantId(tenant), user)


def _read_keys(path: Path) -> dict[str, jwt.PyJWK]:
    try:
        return read_key_set(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def make_user(name: str, tenant: str, permissions: object, attributes: Mapping[str, Any]) -> User:
    """A user by what a credential says. Raises ValueError for what is no name, permissions or attributes."""
    if not 0 < len(name) <= USER_CHARS_MAX or not name.isprintable():
        raise ValueError(f"a user's name is 1 to {USER_CHARS_MAX} printable characters")
    if not isinstance(permissions, list) or len(permissions) > PERMISSIONS_MAX:
        raise ValueError(f"permissions are a list of at most {PERMISSIONS_MAX}")
    if not all(isinstance(one, str) for one in permissions):
        raise ValueError("permissions are texts")
    known = {key: value for key, given in attributes.items() if (value := _attribute(given)) is not None}
    return User(name=name, permissions=frozenset(permissions), attributes={**known, "id": name, "tenant": tenant})


def _attribute(given: object) -> Attribute | None:
    """A claim as a definition may use it; None for what has no place in a condition."""
    if isinstance(given, list):
        values = [value for one in given if (value := _value(one)) is not None]
        return tuple(values) if len(values) == len(given) else None
    return _value(given)


def _value(given: object) -> Value | None:
    if isinstance(given, bool):
        return int(given)
    if isinstance(given, str):
        return given if "\0" not in given and _is_unicode(given) else None  # no database has others in a text
    if isinstance(given, float):
        return given if math.isfinite(given) else None
    return given if isinstance(given, int) else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def user_of_headers(headers: Mapping[str, str], tenant: TenantId) -> User | None:
    """The user that a key names which may act for users; None where it names none.

    ``Sluice-User``, ``Sluice-User-Permissions`` (separated by blanks or commas) and ``Sluice-User-Attributes``, a JSON
    object. Raises INVALID_REQUEST for what cannot be read.
    """
    sent = {name: headers.get(name) for name in (USER_HEADER, PERMISSIONS_HEADER, ATTRIBUTES_HEADER)}
    for field, text in sent.items():
        if text is not None and len(text) > HEADER_CHARS_MAX:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "the header is too long", field=field)
    if sent[USER_HEADER] is None:
        return None
    try:
        name = str(sent[USER_HEADER]).encode("latin-1").decode()
        attributes = msgspec.json.decode(str(sent[ATTRIBUTES_HEADER] or "{}").encode("latin-1"), type=dict[str, Any])
        permissions = (sent[PERMISSIONS_HEADER] or "").replace(",", " ").split()
        return make_user(name, tenant, permissions, attributes)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        detail = f"the user that the headers name cannot be read: {error}"
        raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field=USER_HEADER) from None
