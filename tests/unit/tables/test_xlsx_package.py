"""The archive around a workbook."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.tables.file_plan import FilePlan, Replan
from sluice.tables.writers.xlsx.package import Member, archive

GIB = 1024**3


def plan_of(*large: str, small: bool = False, zip32_bytes_max: int | None = None) -> FilePlan:
    """A plan of which only what an archive asks for matters."""
    limits = Limits() if zip32_bytes_max is None else Limits(zip32_bytes_max=zip32_bytes_max)
    options = ExportOptions(compression_enabled=small)
    return FilePlan(columns=(), options=options, rows=0, size=0, limits=limits, large=frozenset(large))


def packed(*members: Member, plan: FilePlan | None = None) -> bytes:
    return b"".join(archive(members, plan or plan_of()))


def is_zip64(data: bytes, name: str) -> bool:
    """Whether the member's local header says version 4.5, which ZIP64 needs."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        offset = opened.getinfo(name).header_offset
    (version,) = struct.unpack_from("<H", data, offset + 4)
    return bool(version == 45)


@given(st.lists(st.binary(max_size=200_000), max_size=6), st.booleans())
def test_an_archive_does_not_depend_on_how_its_content_is_cut(blocks: list[bytes], small: bool) -> None:  # noqa: FBT001 -- a property's parameter
    plan = plan_of(small=small)
    assert packed(Member("a", blocks), plan=plan) == packed(Member("a", [b"".join(blocks)]), plan=plan)


def test_zip64_only_when_needed_a_small_archive_has_none() -> None:
    data = packed(Member("a", [b"x"]), Member("b", [b"y"]))
    assert not is_zip64(data, "a")
    assert not is_zip64(data, "b")
    assert b"PK\x06\x06" not in data


def test_zip64_only_when_needed_the_plan_names_the_members() -> None:
    members = [Member("a", [b"x"]), Member("b", [b"y" * 9]), Member("c", [b"z"])]
    data = packed(*members, plan=plan_of("b"))
    assert [is_zip64(data, name) for name in "abc"] == [False, True, False]
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        assert [opened.read(name) for name in "abc"] == [b"x", b"y" * 9, b"z"]


def test_members_that_turn_out_too_large_are_all_named_by_one_new_plan() -> None:
    plan = plan_of("b", zip32_bytes_max=1_000)
    sizes = {"a": 1_000, "b": 5_000, "c": 1_001, "d": 1_000, "e": 1_500}
    with pytest.raises(Replan) as asked:
        packed(*(Member(name, repeat(b"x", size)) for name, size in sizes.items()), plan=plan)
    assert asked.value.plan.large == {"b", "c", "e"}
    data = packed(*(Member(name, repeat(b"x", size)) for name, size in sizes.items()), plan=asked.value.plan)
    assert [is_zip64(data, name) for name in sizes] == [False, True, True, False, True]


def test_the_members_of_an_inner_archive_are_named_with_their_folder() -> None:
    with pytest.raises(Replan) as asked:
        list(archive([Member("a", [bytes(1_001)])], plan_of(zip32_bytes_max=1_000), folder="one.xlsx/"))
    assert asked.value.plan.large == {"one.xlsx/a"}
    data = b"".join(archive([Member("a", [bytes(1_001)])], asked.value.plan, folder="one.xlsx/"))
    assert is_zip64(data, "a")


def test_a_member_that_begins_beyond_the_limit_is_zip64_without_a_new_plan() -> None:
    noise = random.Random(1).randbytes(4_000)
    members = [Member("a", [noise]), Member("b", [noise]), Member("c", [b"z"])]
    data = packed(*members, plan=plan_of(zip32_bytes_max=5_000))
    assert [is_zip64(data, name) for name in "abc"] == [False, False, True]


def test_archives_inside_an_archive_are_all_measured_before_a_new_plan_is_asked_for() -> None:
    def asked_of(plan: FilePlan) -> frozenset[str]:
        sizes = {"one": 1_001, "two": 9, "three": 1_002}
        inner = [
            Member(name, archive([Member("x", [bytes(size)])], plan, folder=f"{name}/")) for name, size in sizes.items()
        ]
        with pytest.raises(Replan) as asked:
            packed(*inner[:2], Member("plain", [bytes(1_003)]), *inner[2:], plan=plan)
        return asked.value.plan.large

    assert asked_of(plan_of(zip32_bytes_max=1_000)) == {"one/x", "plain", "three/x"}
    assert asked_of(plan_of("two", zip32_bytes_max=1_000)) == {"two", "one/x", "plain", "three/x"}


@pytest.mark.slow
def test_the_directory_of_ordinary_members_may_begin_behind_4_gib() -> None:
    """As that of an archive of two workbooks, each of less."""
    block = bytes(4 * 1024 * 1024)
    size, end = 0, b""
    members = [Member("a", repeat(block, 700)), Member("b", repeat(block, 400))]
    for piece in archive(members, plan_of(), stored=True):
        size, end = size + len(piece), (end + piece)[-1_000:]
    assert size > 4 * GIB
    entries, length, offset = struct.unpack_from("<3Q", end, end.index(b"PK\x06\x06") + 32)
    directory = end[len(end) - (size - offset) :][:length]
    versions = [struct.unpack_from("<H", part, 2)[0] for part in directory.split(b"PK\x01\x02")[1:]]
    assert (entries, versions) == (2, [20, 20])


def test_stored_members_are_not_compressed_again_and_open() -> None:
    text = b"a" * 300_000
    data = b"".join(archive([Member("a.xlsx", [text])], plan_of(), stored=True))
    assert len(text) < len(data) < 1.01 * len(text)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.read("a.xlsx") == text


def test_an_archive_has_no_time_of_its_own() -> None:
    with zipfile.ZipFile(io.BytesIO(packed(Member("a", [b"x"])))) as opened:
        assert opened.getinfo("a").date_time == (1980, 1, 1, 0, 0, 0)


def test_an_archive_in_small_form_is_smaller() -> None:
    words = ("deliver", "before", "noon", "ring", "twice", "leave", "at", "door", "gift", "paid", "city", "street")
    text = " ".join(words[number * number % 1009 % len(words)] for number in range(60_000)).encode()
    small = packed(Member("a", [text]), plan=plan_of(small=True))
    assert len(small) < 0.95 * len(packed(Member("a", [text])))


@pytest.mark.slow
def test_row_64_a_member_beyond_4_gib_is_a_valid_zip64_member() -> None:
    block = bytes(8 * 1024 * 1024)
    blocks = 4 * GIB // len(block) + 1
    data = packed(Member("a", repeat(block, blocks)), Member("b", [b"after"]), plan=plan_of("a"))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.getinfo("a").file_size == blocks * len(block)
        assert opened.read("b") == b"after"
