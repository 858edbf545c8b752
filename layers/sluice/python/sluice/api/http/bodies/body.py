"""Reads request bodies: what they say they are, and how large, how slow and how packed they may be."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect, Request

from sluice.api.auth import TENANT_SHARE, Principal, Shares
from sluice.api.http.errors import HttpError, invalid_request
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB, MIB
from sluice.tables.readers.gunzip import GZIP_MAGIC, Gunzip

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
TSV = "text/tab-separated-values"
PROTOBUF = "application/x-protobuf"
_ALIASES = {"application/ndjson": NDJSON, "application/jsonl": NDJSON, "application/protobuf": PROTOBUF, TSV: CSV}

PACE_BYTES = 1 * KIB
"""A body brings at least this many bytes in each ``idle_s``, or it is dripped to hold a connection."""

TYPE_CHARS_MAX = 256
"""Of a ``Content-Type``; longer ones are not looked at."""
_PARTS = re.compile(r'(?:"[^"]*"|[^;])+')
"""The parts of a content type, divided by semicolons that are in no quotes."""
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Media(NamedTuple):
    """A content type."""

    kind: str
    has_header: bool = True
    """Of CSV: whether its first line is the names of the columns."""
    delimiter: str = ""
    """Of CSV; empty to tell it by the first line."""


def media_of(request: Request, *, allowed: tuple[str, ...]) -> Media:
    """Read ``Content-Type``. Raises UNSUPPORTED_ENCODING for a type, or a character set, that is not read here."""
    sent = request.headers.get("content-type", "")
    if len(sent) > TYPE_CHARS_MAX:
        raise _unsupported(f"Content-Type has at most {TYPE_CHARS_MAX} characters.")
    kind, *parameters = _PARTS.findall(sent) or [""]
    kind = kind.strip().lower()
    is_tab = kind == TSV
    kind = _ALIASES.get(kind, kind)
    if kind not in allowed:
        raise _unsupported(f"Content-Type is one of {', '.join(allowed)}.")
    pairs = (parameter.partition("=") for parameter in parameters)
    settings = {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in pairs}
    if settings.get("charset", "utf-8") not in {"utf-8", "utf8"}:
        raise _unsupported("The character set is utf-8.")
    header = settings.get("header", "present")
    if header not in {"present", "absent"}:
        raise _unsupported("The header parameter of text/csv is present or absent.")
    delimiter = settings.get("delimiter", "\t" if is_tab else "")
    delimiter = "\t" if delimiter == "tab" else delimiter
    if len(delimiter) > 1 or delimiter in {"\r", "\n"}:
        raise _unsupported("The delimiter parameter of text/csv is one character, or tab.")
    return Media(kind, header == "present", delimiter)


def _unsupported(detail: str) -> SluiceError:
    return SluiceError(ErrorCode.UNSUPPORTED_ENCODING, detail, field="Content-Type")


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyTimeouts:
    """How long a body may take to arrive."""

    idle_s: float = 15
    """For the next ``PACE_BYTES`` of a body."""
    total_s: float = 60
    """For the whole of a body that is buffered."""


class BodyBudget:
    """Bounds the bytes of all bodies that are buffered at a time, and those of one tenant."""

    def __init__(self, bytes_max: int = 128 * MIB, *, share: float = TENANT_SHARE, body_bytes_max: int = 0) -> None:
        """One body has ``body_bytes_max`` at most: a tenant's only one finds room wherever there is any."""
        self._bytes = Shares(bytes_max, share=share, what="bytes of bodies", least=body_bytes_max)

    @contextmanager
    def reserve(self, principal: Principal) -> Iterator[ReservedBytes]:
        """Count what one request buffers, until it is answered."""
        reserved = ReservedBytes(self._bytes, principal)
        try:
            yield reserved
        finally:
            self._bytes.remove(principal, reserved.size)


class ReservedBytes:
    """The share of one request in the budget."""

    def __init__(self, shares: Shares, principal: Principal) -> None:
        self._shares = shares
        self._principal = principal
        self.size = 0

    def add(self, size: int) -> None:
        """Raises QUEUE_FULL when there is no room now."""
        self._shares.add(self._principal, size)
        self.size += size


class BodyDigest:
    """Compares the body, as it was sent, with the caller's ``X-Content-SHA256``."""

    def __init__(self, request: Request) -> None:
        self._expected = request.headers.get("x-content-sha256")
        if self._expected is not None and not _SHA256.fullmatch(self._expected):
            raise invalid_request("X-Content-SHA256 is 64 lower-case hexadecimal digits", field="X-Content-SHA256")
        self._digest = hashlib.sha256()

    def update(self, block: bytes) -> None:
        if self._expected is not None:
            self._digest.update(block)

    def check(self) -> None:
        """Raises CHECKSUM_MISMATCH."""
        if self._expected is not None and self._digest.hexdigest() != self._expected:
            raise SluiceError(ErrorCode.CHECKSUM_MISMATCH, "The body does not have the checksum that was sent.")


async def read_body(
    request: Request, reserved: ReservedBytes, *, bytes_max: int, timeouts: BodyTimeouts, turn: CapacityLimiter
) -> bytes:
    """Read a whole body, unpacked. Nothing over ``bytes_max`` is ever buffered, packed or not.

    A packed body is unpacked in its ``turn`` and little by little: a few bytes may become millions, and the event loop
    is everybody's. Raises BATCH_TOO_LARGE (at once when ``Content-Length`` says so),
    UNSUPPORTED_ENCODING, CHECKSUM_MISMATCH, and 408 for a caller too slow.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal():
        _check_size(int(declared[:20]), bytes_max)
    gunzip = make_gunzip(request)
    digest = BodyDigest(request)
    body = bytearray()

    def keep(piece: bytes) -> None:
        reserved.add(len(piece))
        body.extend(piece)
        _check_size(len(body), bytes_max)

    async with _within(timeouts.total_s), aclosing(body_blocks(request, timeouts)) as blocks:
        async for block in blocks:
            digest.update(block)
            if gunzip is None:
                keep(block)
                continue
            async with turn:
                for piece in gunzip.feed(block):
                    keep(piece)
                    await asyncio.sleep(0)  # the others' turn
    if gunzip:
        gunzip.finish()
    digest.check()
    refuse_packed(body)
    return bytes(body)


@asynccontextmanager
async def _within(seconds: float) -> AsyncGenerator[None, None]:
    """Answer 408 when the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise HttpError(408, SluiceError(ErrorCode.SENDER_TOO_SLOW)) from None


async def body_blocks(request: Request, timeouts: BodyTimeouts) -> AsyncGenerator[bytes, None]:
    """Yield the body as it was sent, in order. Raises ``ClientDisconnect``, and 408 for a caller too slow."""
    more = True
    while more:
        arrived = bytearray()
        async with _within(timeouts.idle_s):
            while more and len(arrived) < PACE_BYTES:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                arrived += message.get("body", b"")
                more = message.get("more_body", False)
        if arrived:
            yield bytes(arrived)


def make_gunzip(request: Request) -> Gunzip | None:
    """What unpacks the body; None for a plain one. Raises UNSUPPORTED_ENCODING for any other coding."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"gzip", "x-gzip"}:
        return Gunzip()
    if coding in {"identity", ""}:
        return None
    raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, "Content-Encoding is gzip or absent.", field="Content-Encoding")


def refuse_packed(head: bytes | bytearray) -> None:
    """Raise UNSUPPORTED_ENCODING for data that is still gzip: packed twice, or without saying so."""
    if head.startswith(GZIP_MAGIC):
        raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, "The body is gzip where rows are expected.")


def _check_size(size: int, bytes_max: int) -> None:
    if size > bytes_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, body_bytes_max=bytes_max)
