"""Lists of objects against a plain reading of the rules, whatever the names and the size of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import oss2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.emulators.oss import OssServer, serving_oss
from infra.emulators.oss.bucket_listings import page_of
from tests.emulators.oss_callers import bucket_of, call

NAMES = st.text(alphabet="ab/-\U0010ffff空", min_size=1, max_size=6)


@pytest.fixture
def oss() -> Iterator[OssServer]:
    with serving_oss() as server:
        yield server


@pytest.fixture
def bucket(oss: OssServer) -> Iterator[oss2.Bucket]:
    with bucket_of(oss) as caller:
        yield caller


def expected(names: set[str], prefix: str, delimiter: str) -> tuple[set[str], set[str]]:
    """The rules without pages: keys, and prefixes they are rolled up under."""
    keys, prefixes = set(), set()
    for name in names:
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            cut = rest.find(delimiter) if delimiter else -1
            if cut < 0:
                keys.add(name)
            else:
                prefixes.add(prefix + rest[: cut + len(delimiter)])
    return keys, prefixes


@given(
    st.sets(NAMES, max_size=30),
    st.sampled_from(["", "a", "a/", "b/a", "空"]),
    st.sampled_from(["", "/", "-"]),
    st.integers(1, 5),
)
@settings(max_examples=300)
def test_pages_together_hold_each_name_once_and_in_order(
    names: set[str], prefix: str, delimiter: str, size: int
) -> None:
    ordered = sorted(names, key=str.encode)
    keys: list[str] = []
    prefixes: list[str] = []
    marker, more = "", True
    while more:
        page = page_of(ordered, prefix=prefix, delimiter=delimiter, marker=marker, size=size)
        assert len(page.keys) + len(page.prefixes) <= size
        assert not page.is_truncated or len(page.keys) + len(page.prefixes) == size
        keys += page.keys
        prefixes += page.prefixes
        marker, more = page.last, page.is_truncated
    wanted_keys, wanted_prefixes = expected(names, prefix, delimiter)
    assert keys == sorted(wanted_keys, key=str.encode)
    assert prefixes == sorted(wanted_prefixes, key=str.encode)


def test_a_marker_need_not_be_a_name_that_is_there(bucket: oss2.Bucket) -> None:
    for name in "acd":
        bucket.put_object(name, b"1")
    assert [entry.key for entry in bucket.list_objects(marker="b").object_list] == ["c", "d"]
    assert [entry.key for entry in bucket.list_objects_v2(start_after="c").object_list] == ["d"]


def test_a_page_holds_100_unless_asked_and_1000_at_most(oss: OssServer, bucket: oss2.Bucket) -> None:
    for number in range(101):
        bucket.put_object(f"{number:03d}", b"")
    page = bucket.list_objects()
    assert (len(page.object_list), page.is_truncated, page.next_marker) == (100, True, "099")
    assert len(bucket.list_objects(max_keys=1000).object_list) == 101
    for size in ("0", "1001", "x", "-1"):
        reply = call(oss, "GET", bucket_link(bucket, {"max-keys": size}))
        assert (reply.status, reply.error()["ArgumentName"]) == (400, "max-keys")


def test_names_are_written_plainly_unless_quoting_is_asked_for(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("空 &", b"")
    assert "<Key>空 &amp;</Key>".encode() in call(oss, "GET", bucket_link(bucket, {})).body
    assert b"<Key>%E7%A9%BA%20%26</Key>" in call(oss, "GET", bucket_link(bucket, {"encoding-type": "url"})).body


def test_a_listing_sees_every_put_and_delete_that_was_answered(bucket: oss2.Bucket) -> None:
    for number in range(20):
        bucket.put_object(f"k{number:02d}", b"1")
        assert len(bucket.list_objects_v2().object_list) == number + 1
    for number in range(20):
        bucket.delete_object(f"k{number:02d}")
        assert len(bucket.list_objects_v2().object_list) == 19 - number


def test_a_bad_continuation_token_is_refused(oss: OssServer, bucket: oss2.Bucket) -> None:
    reply = call(oss, "GET", bucket_link(bucket, {"list-type": "2", "continuation-token": "!"}))
    assert (reply.status, reply.error()["ArgumentName"]) == (400, "continuation-token")


def bucket_link(bucket: oss2.Bucket, parameters: dict[str, str]) -> str:
    """The SDK signs links to objects only; a link to no key in particular is one to the bucket."""
    request = oss2.http.Request("GET", f"{bucket.endpoint}/{bucket.bucket_name}", params=dict(parameters))
    request.region, request.product = bucket.region, "oss"
    return str(bucket.auth._sign_url(request, bucket.bucket_name, "", 60))
