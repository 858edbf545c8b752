"""Who calls, what they may do, how often and how much at a time: from the API key alone, from nothing else sent."""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event as Signal
from threading import Lock

from sluice.api.api_keys import Refusal, read_key
from sluice.api.users import UserCounts, VerifiesTokens
from sluice.domain.api_key import ApiKey, Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TenantId
from sluice.domain.user import User
from sluice.ports.clock import Clock
from sluice.ports.journal import Journal
from sluice.ports.key_store import Keys, KeyStore
from sluice.ports.log_context import current_context, note_key

HEADER_CHARS_MAX = 512
"""Longer headers hold no key of ours and are not read."""

LOCAL_TENANT = TenantId("local")
NO_KEY = "none"
"""In place of a key's id while there are no keys."""
USERS = "users"
"""In place of a key's id for users who come with a token."""

TENANTS_MAX = 10_000
TENANT_SHARE = 0.5
"""Of all that is under way at a time; the rest is for the others, however many one tenant asks for."""
_ROUNDING_S = 1e-9
"""Sums of intervals are not exact; a call is not refused for that."""

_NO_SECRET = "0" * 64
"""Compared with when there is no such key, so that an unknown id costs what a wrong secret costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller that proved who it is."""

    tenant: TenantId
    key_id: str
    scopes: frozenset[Scope]
    user: User | None = None
    """For whom it calls, where its credential is that of a user."""

    @property
    def shown_key(self) -> str | None:
        """The id of its key for an audit; None where it has none: a user's token, a service without keys."""
        return None if self.key_id in {NO_KEY, USERS} else self.key_id

    def may(self, scope: Scope) -> bool:
        """Whether the caller may do what needs ``scope``."""
        return any(granted.includes(scope) for granted in self.scopes)

    def require(self, scope: Scope) -> None:
        """Raise PERMISSION_DENIED unless the caller may do what needs ``scope``."""
        if not self.may(scope):
            raise SluiceError(ErrorCode.PERMISSION_DENIED, scope=scope.value)


class KeyRing:
    """Knows callers by the keys of a store, as the store has them at each request. Safe to use from any thread."""

    def __init__(
        self, store: KeyStore, *, clock: Clock, journal: Journal, tokens: VerifiesTokens | None = None
    ) -> None:
        """``tokens`` are those of users, who may call for their datasets and for nothing else."""
        self._tokens = tokens
        self._store = store
        self._clock = clock
        self._journal = journal
        self._indexed: tuple[Keys, dict[str, ApiKey]] = ((), {})
        self._had_keys = False

    def has_keys(self) -> bool:
        """Whether there is a key, or was one since the start: a lost file must not open the door."""
        self._had_keys = self._had_keys or bool(self._store.read())
        return self._had_keys

    def is_open(self) -> bool:
        """Whether every caller is let in now."""
        return False

    def authenticate(self, header: str | None) -> Principal:
        """Read ``Bearer slc_…``. Raises UNAUTHENTICATED, with one and the same answer for all causes."""
        if self._tokens is not None and header is not None and self.is_token(header):
            return self._authenticate_user(self._tokens, header)
        presented = None
        if header is not None and len(header) <= HEADER_CHARS_MAX:
            scheme, _, text = header.partition(" ")
            presented = read_key(text.strip(" ")) if scheme.casefold() == "bearer" else None
        if presented is None:
            raise self._refuse(Refusal.MALFORMED if header else Refusal.MISSING)
        key = self._index().get(presented.key_id)
        expected = key.secret_sha256 if key else _NO_SECRET
        matches = hmac.compare_digest(presented.secret_sha256.encode(), expected.encode())
        if key is None or not matches:
            raise self._refuse(Refusal.WRONG_SECRET if key else Refusal.UNKNOWN_KEY, presented.key_id)
        if key.revoked_at:
            raise self._refuse(Refusal.REVOKED, key.key_id)
        if key.expires_at and self._clock.now() >= key.expires_at:
            raise self._refuse(Refusal.EXPIRED, key.key_id)
        return Principal(tenant=key.tenant, key_id=key.key_id, scopes=frozenset(key.scopes))

    def is_token(self, header: str | None) -> bool:
        """Whether it may be a user's token, which is verified then, and no key."""
        return self._tokens is not None and header is not None and header.count(".") == 2  # noqa: PLR2004 - a JWT's

    def _authenticate_user(self, tokens: VerifiesTokens, header: str) -> Principal:
        scheme, _, text = header.partition(" ")
        verified = tokens.verify(text.strip(" ")) if scheme.casefold() == "bearer" else None
        if verified is None:
            raise self._refuse(Refusal.TOKEN)
        scopes = frozenset({Scope.ACT_FOR})
        return Principal(tenant=verified.tenant, key_id=USERS, scopes=scopes, user=verified.user)

    def _index(self) -> dict[str, ApiKey]:
        keys = self._store.read()
        indexed, by_id = self._indexed
        if keys is not indexed:
            by_id = {key.key_id: key for key in keys}
            self._indexed = (keys, by_id)
        return by_id

    def _refuse(self, reason: Refusal, key_id: str | None = None) -> SluiceError:
        """Record why, and of which address where it is known; the caller gets no reason."""
        client = {name: value for name, value in current_context().items() if name == "client"}
        self._journal.record(Event.AUTHENTICATION_FAILED, reason=reason.value, key_id=key_id, **client)
        return SluiceError(ErrorCode.UNAUTHENTICATED)


class OpenRing:
    """Lets every caller in as the tenant ``local`` until the first key is made; from then on as ``KeyRing``."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def has_keys(self) -> bool:
        return self._ring.has_keys()

    def is_open(self) -> bool:
        return not self._ring.has_keys()

    def authenticate(self, header: str | None) -> Principal:
        if self._ring.has_keys() or self._ring.is_token(header):
            return self._ring.authenticate(header)
        return Principal(tenant=LOCAL_TENANT, key_id=NO_KEY, scopes=frozenset({Scope.ADMIN, Scope.RUN_JOBS}))


class RateLimiter:
    """A token bucket for each tenant: ``burst`` calls at once, then ``per_s`` in a second. ``per_s`` 0 is no limit.

    Keeps one number for each tenant (when its bucket will be full again) and forgets those that called longest ago
    beyond ``tenants_max``. Safe to use from any thread.
    """

    def __init__(
        self, *, clock: Clock, journal: Journal, per_s: float, burst: int = 0, tenants_max: int = TENANTS_MAX
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._interval_s = 1 / per_s if per_s else 0.0
        self._slack_s = ((burst or max(1, math.floor(per_s))) - 1) * self._interval_s
        self._tenants_max = tenants_max
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def take(self, tenant: str) -> None:
        """Count one call. Raises RATE_LIMITED with ``retry_after_s``; such a call does not count."""
        if not self._interval_s:
            return
        wait_s = self._take(tenant)
        if wait_s > 0:
            self._journal.record(Event.RATE_LIMIT_REACHED, tenant=tenant)
            raise SluiceError(ErrorCode.RATE_LIMITED, retry_after_s=math.ceil((wait_s - _ROUNDING_S) * 1000) / 1000)

    def _take(self, tenant: str) -> float:
        """Take a token, or say in how many seconds there will be one."""
        now = self._clock.monotonic()
        with self._lock:
            full_at = max(self._full_at.get(tenant, now), now)
            wait_s = full_at - now - self._slack_s
            if wait_s <= _ROUNDING_S:
                full_at += self._interval_s
                wait_s = 0
            self._full_at[tenant] = full_at
            self._full_at.move_to_end(tenant)
            if len(self._full_at) > self._tenants_max:
                self._full_at.popitem(last=False)
        return wait_s


class Shares:
    """Counts what is under way. Safe to use from any thread.

    A tenant has its share of all at most, and half of what the others leave, so that what is free is halved by each
    that takes all it may, and not used up by two: 48 places are full with seven tenants, and the one with most of them
    gets none back before the others have as many. Nothing is taken from those that have it. Where there are no API keys
    every caller is the one tenant there is, and may take everything. Of a tenant's share a user with a token has, in
    the same way, half of what the tenant's others leave.
    """

    def __init__(
        self, total: int, *, share: float = TENANT_SHARE, what: str, of: str = "tenant", least: int = 1
    ) -> None:
        """``what`` is counted ``of`` each tenant, for the sentences of refusals.

        Each may have ``least`` wherever there is room for it: what a caller needs at once.
        """
        self._of = of
        self._total = total
        self._least = least
        self._share_of_rest = max(share, TENANT_SHARE)
        self._of_tenant_max = max(1, int(total * share))
        self._what = what
        self._users = UserCounts(what, least=least)
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, principal: Principal, amount: int = 1) -> None:
        """Count ``amount`` more. Raises QUEUE_FULL, which says whose bound was reached."""
        tenant = principal.tenant
        with self._lock:
            if self._taken.total() + amount > self._total:
                detail = f"As many {self._what} are under way as may be."
                raise SluiceError(ErrorCode.QUEUE_FULL, detail, retry_after_s=1)
            bound = self._bound(tenant)
            if principal.key_id != NO_KEY and self._taken[tenant] + amount > bound:
                more = "" if bound == self._of_tenant_max else " while others have theirs"
                detail = f"The {self._of} has as many {self._what} under way as one {self._of} may{more}."
                facts = {f"{self._of}_max": bound}
                raise SluiceError(ErrorCode.QUEUE_FULL, detail, **facts, retry_after_s=1)
            if principal.user is not None:
                self._users.add(tenant, principal.user, amount, of_tenant=self._taken[tenant], tenant_max=bound)
            self._taken[tenant] += amount

    def _bound(self, tenant: str) -> int:
        """How much a tenant may have now."""
        others = self._taken.total() - self._taken[tenant]
        return min(self._of_tenant_max, max(self._least, int((self._total - others) * self._share_of_rest)))

    def remove(self, principal: Principal, amount: int = 1) -> None:
        """Give back what was counted."""
        with self._lock:
            self._taken[principal.tenant] -= amount
            if not self._taken[principal.tenant]:
                del self._taken[principal.tenant]
            if principal.user is not None:
                self._users.remove(principal.tenant, principal.user, amount)

    def take(self, principal: Principal) -> Callable[[], None]:
        """Count one more, as ``add``; returns what gives it back, once."""
        self.add(principal)
        left = [principal]

        def give_back() -> None:
            with suppress(IndexError):
                self.remove(left.pop())

        return give_back


class DecodingPlace:
    """One call's place in the line, and its turn when that has come, until it leaves."""

    def __init__(self, turns: DecodingTurns, tenant: TenantId, tenant_max: int, on_turn: Callable[[], object]) -> None:
        self.tenant, self.tenant_max, self.on_turn = tenant, tenant_max, on_turn
        self._turns = turns
        self._has_turn = Signal()

    def has_turn(self) -> bool:
        return self._has_turn.is_set()

    def begin(self) -> None:
        self._has_turn.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the turn, in the caller's thread. False when it has not come in time."""
        return self._has_turn.wait(timeout_s)

    def leave(self) -> None:
        """Give the turn back, or no longer wait for it. Once only."""
        self._turns.leave(self)


class DecodingTurns:
    """However many calls of a tenant wait, one of another waits for one of them at a time.

    Where there are no API keys the one tenant there is may have all turns. Safe to use from any thread.
    """

    def __init__(self, total: int, *, of_tenant: int) -> None:
        self._total = total
        self._of_tenant = of_tenant
        self._lock = Lock()
        self._free = total
        self._taken: Counter[TenantId] = Counter()
        self._waiting: OrderedDict[TenantId, deque[DecodingPlace]] = OrderedDict()
        """Whose turn is next comes first. None is empty."""

    @property
    def free(self) -> int:
        """Turns that are not taken."""
        return self._free

    @property
    def waiting(self) -> int:
        """Calls that wait for a turn."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def ask(self, principal: Principal, on_turn: Callable[[], object] = bool) -> DecodingPlace:
        """Stand in line. When the turn has come any thread calls ``on_turn``, which must neither wait nor raise."""
        tenant_max = self._total if principal.key_id == NO_KEY else self._of_tenant
        place = DecodingPlace(self, principal.tenant, tenant_max, on_turn)
        with self._lock:
            self._waiting.setdefault(place.tenant, deque()).append(place)
            begun = self._begin()
        for one in begun:
            one.on_turn()
        return place

    def leave(self, place: DecodingPlace) -> None:
        with self._lock:
            if place.has_turn():
                self._free += 1
                self._taken[place.tenant] -= 1
                if not self._taken[place.tenant]:
                    del self._taken[place.tenant]
            else:
                queue = self._waiting[place.tenant]
                queue.remove(place)
                if not queue:
                    del self._waiting[place.tenant]
            begun = self._begin()
        for one in begun:
            one.on_turn()

    def _begin(self) -> list[DecodingPlace]:
        """Give the free turns to those that are next."""
        begun = []
        while self._free and (tenant := next(filter(self._may_begin, self._waiting), None)) is not None:
            queue = self._waiting.pop(tenant)
            place = queue.popleft()
            if queue:
                self._waiting[tenant] = queue
            self._free -= 1
            self._taken[tenant] += 1
            place.begin()
            begun.append(place)
        return begun

    def _may_begin(self, tenant: TenantId) -> bool:
        return self._taken[tenant] < self._waiting[tenant][0].tenant_max


class AccessControl:
    """The one way in, so that every refusal is recorded."""

    def __init__(self, ring: KeyRing | OpenRing, limiter: RateLimiter, journal: Journal) -> None:
        self.ring = ring
        self._limiter = limiter
        self._journal = journal

    def admit(self, header: str | None, scope: Scope) -> Principal:
        """Let a caller in for what needs ``scope``.

        Raises UNAUTHENTICATED, RATE_LIMITED or PERMISSION_DENIED, in that order: a
        call that is refused for its scope counts, so that trying is not free.
        """
        principal = self.ring.authenticate(header)
        if principal.shown_key is not None:
            note_key(principal.shown_key)
        self._limiter.take(principal.tenant)
        if not principal.may(scope):
            self._journal.record(
                Event.AUTHORIZATION_FAILED, tenant=principal.tenant, key_id=principal.key_id, scope=scope.value
            )
        principal.require(scope)
        return principal


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. A name other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
