"""How large the parts of an upload must be."""

from __future__ import annotations

from sluice.domain.limits import KIB, Limits


def plan_part_bytes(file_bytes_max: int, limits: Limits) -> int:
    """Choose the part size for a file of at most ``file_bytes_max`` bytes.

    The smallest part that memory likes, ``limits.part_bytes_min``, unless the
    file would then need more than ``limits.parts_max`` parts: then just large
    enough, in whole KiB.
    """
    if file_bytes_max < 0:
        raise ValueError("a file has no negative size")
    needed_bytes = -(-file_bytes_max // limits.parts_max)
    if needed_bytes <= limits.part_bytes_min:
        return limits.part_bytes_min
    return -(-needed_bytes // KIB) * KIB
