"""The archive around the parts of a workbook, streamed and the same for the same parts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import repeat
from math import inf
from typing import Any

from isal import isal_zlib
from stream_zip import ZIP_64, ZIP_AUTO, Method, stream_zip

from sluice.tables.bytes.parts import slice_parts
from sluice.tables.file_plan import FilePlan, Replan

_DEFLATE_BLOCK_BYTES = 128 * 1024
"""ISA-L's output depends on how its input is cut, so the input is always cut alike."""
_OUTPUT_BLOCK_BYTES = 64 * 1024
_FAST_LEVEL = 1
_SMALL_LEVEL = 6
_RAW_DEFLATE = -15
_FILE_MODE = 0o100644
_FRAME_BYTES_MAX = 128
"""Header and descriptor of a member, its name apart."""
_MEMBER_TIME = datetime(1980, 1, 1, tzinfo=UTC)
"""The earliest an archive can have: its bytes depend on its content alone."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive. ``blocks`` are read once, when its turn comes."""

    name: str
    blocks: Iterable[bytes]


def archive(members: Iterable[Member], plan: FilePlan, *, folder: str = "", stored: bool = False) -> Iterator[bytes]:
    """Yield a ZIP archive, reading each member's blocks only as they are needed.

    ``compression_enabled`` deflates about a seventh smaller and several times
    slower; ``stored`` not at all, for what is packed already. A member is
    ZIP64 when ``plan.large`` names it, or when it begins behind 4 GiB. Raises
    ``Replan`` once it has read all members, if others than those have more
    than ``limits.zip32_bytes_max`` bytes, or a member is an archive that asks
    for it; the new plan names all of them, after ``folder``.
    """
    packing = _Packing(_deflate_for(plan, stored=stored), plan, folder)
    blocks: Iterable[bytes] = stream_zip(
        packing.entries(members, _MEMBER_TIME),
        chunk_size=_OUTPUT_BLOCK_BYTES,
        get_compressobj=packing.new_compressor,
        extended_timestamps=False,  # they would add nothing, and be wrong for times before 1970
    )
    yield from blocks


def _deflate_for(plan: FilePlan, *, stored: bool) -> Callable[[], Any]:
    if stored:
        return lambda: zlib.compressobj(0, zlib.DEFLATED, _RAW_DEFLATE)
    if plan.options.compression_enabled:
        return lambda: zlib.compressobj(_SMALL_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    return lambda: isal_zlib.compressobj(_FAST_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)


class _Zip32(Method):
    """An ordinary member, of an archive whose directory may all the same begin behind 4 GiB.

    The library's own ``ZIP_32`` refuses that; its ``ZIP_AUTO`` takes it, but not our compressors.
    """

    def _get(self, offset: int, default_get_compressobj: Callable[[], Any]) -> tuple[Any, ...]:
        form, directory, _, size, crc = ZIP_AUTO(0)._get(offset, default_get_compressobj)  # noqa: SLF001 -- what a Method of one's own is made of
        return form, directory, default_get_compressobj, size, crc


class _Packing:
    """Knows how far the archive has come, and so which members need ZIP64.

    A member's header says which form its sizes have, and is sent before its
    size is known: a size that does not fit is a reason to start again. What
    comes behind it is then read only to be measured, so that one new plan
    serves all members.
    """

    def __init__(self, new_deflate: Callable[[], Any], plan: FilePlan, folder: str) -> None:
        self._new_deflate = new_deflate
        self._plan = plan
        self._folder = folder
        self._offset_max = 0
        self._too_large: frozenset[str] = frozenset()

    def new_compressor(self) -> Any:
        return _CountedDeflate(self._new_deflate(), self)

    def count(self, data: bytes) -> bytes:
        self._offset_max += len(data)
        return data

    def entries(self, members: Iterable[Member], moment: datetime) -> Iterator[tuple[Any, ...]]:
        for member in members:
            self._offset_max += _FRAME_BYTES_MAX + len(member.name.encode())
            is_large = self._folder + member.name in self._plan.large
            is_far = self._offset_max > self._plan.limits.zip32_bytes_max
            method = ZIP_64 if is_large or is_far else _Zip32()
            blocks = self._fitting(member, inf if method is ZIP_64 else self._plan.limits.zip32_bytes_max)
            yield member.name, moment, _FILE_MODE, method, slice_parts(blocks, repeat(_DEFLATE_BLOCK_BYTES))
        if self._too_large:
            raise Replan(replace(self._plan, large=self._plan.large | self._too_large))

    def _fitting(self, member: Member, bytes_max: float) -> Iterator[bytes]:
        """The member's blocks; none any more once this or a member before it was too large."""
        size = 0
        try:
            for block in member.blocks:
                size += len(block)
                if size > bytes_max:
                    self._too_large |= {self._folder + member.name}
                if not self._too_large:
                    yield block
        except Replan as asked:  # by the archive that this member is; the members behind it are measured too
            self._too_large |= asked.plan.large


class _CountedDeflate:
    """A compressor that tells the archive what it gave."""

    def __init__(self, deflate: Any, packing: _Packing) -> None:
        self._deflate = deflate
        self._packing = packing

    def compress(self, data: bytes) -> bytes:
        return self._packing.count(self._deflate.compress(data))

    def flush(self) -> bytes:
        return self._packing.count(self._deflate.flush())
