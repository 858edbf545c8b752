"""Whatever comes in as an event, only a put of a manifest into our bucket is a bell."""

from __future__ import annotations

import base64
import hashlib
import json
import string
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.adapters.aliyun.function_compute.oss_event import TriggerBucket, manifest_put_event
from sluice.app.functions.compose import Dropped, Heard, read_events
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId

BUCKET = "sluice-in"
TASK = "bq3vx5k2m7wabq3vx5k2m7waxy"
SHA = "0123456789abcdef0123456789abcdef"
TRIGGER = ManifestRef(TaskRef(TenantId("shop"), TaskId(TASK)), SHA)


def key_of(task: str = TASK, *, tenant: str = "shop", sha: str = SHA) -> str:
    """Spelled here once more: what the page of keys says, without the code that follows it."""
    return f"in/v1/{hashlib.sha256(task.encode()).hexdigest()[:2]}/{tenant}/{task}/m/{sha}.manifest.json"


def event_of(key: str = "", *, name: str = "ObjectCreated:PutObject", bucket: str = BUCKET) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventSource": "acs:oss",
        "eventTime": "2026-11-20T03:04:05.000Z",
        "eventVersion": "1.0",
        "oss": {
            "bucket": {"arn": f"acs:oss:cn-hangzhou:1:{bucket}", "name": bucket, "ownerIdentity": "1"},
            "object": {"deltaSize": 1, "eTag": "E", "key": key or key_of(), "size": 1},
            "ossSchemaVersion": "1.0",
            "ruleId": "rule",
        },
        "region": "cn-hangzhou",
        "requestParameters": {"sourceIPAddress": "1.2.3.4"},
        "responseElements": {"requestId": "1"},
        "userIdentity": {"principalId": "1"},
    }


def encoded(*events: object) -> bytes:
    return json.dumps({"events": events}).encode()


def heard(*events: object) -> Heard:
    return read_events(encoded(*events), bucket=BUCKET)


def http_call(body: str, *, is_base64: bool) -> bytes:
    """What a handler gets when it is called by an HTTP trigger."""
    request = {"version": "v1", "rawPath": "/", "headers": {"Content-Type": "application/json"}, "queryParameters": {}}
    return json.dumps({**request, "body": body, "isBase64Encoded": is_base64}).encode()


def test_a_put_of_a_manifest_is_a_bell() -> None:
    assert heard(event_of()) == Heard((TRIGGER,), ())


def test_several_events_are_several_bells_in_order_and_each_rings_once() -> None:
    other = key_of("a" * 26)
    triggers, dropped = heard(event_of(), event_of(other), event_of())
    assert [trigger.task.task_id for trigger in triggers] == [TASK, "a" * 26]
    assert dropped == ()


@pytest.mark.parametrize("safe", ["/", ""])
def test_a_key_that_was_url_encoded_once_is_decoded(safe: str) -> None:
    every_character = "".join(f"%{ord(letter):02x}" for letter in key_of())
    for key in (quote(key_of(), safe=safe), every_character):
        assert heard(event_of(key)).triggers == (TRIGGER,)


def test_a_key_that_was_url_encoded_twice_is_foreign() -> None:
    twice = quote(quote(key_of(), safe=""), safe="")
    assert heard(event_of(twice)) == Heard((), (Dropped.FOREIGN,))


@pytest.mark.parametrize("form", ["plain", "base64"])
def test_the_body_of_an_http_call_is_read_like_an_event(form: str) -> None:
    body = encoded(event_of())
    text = base64.b64encode(body).decode() if form == "base64" else body.decode()
    assert read_events(http_call(text, is_base64=form == "base64"), bucket=BUCKET).triggers == (TRIGGER,)


def test_the_sweepers_own_bell_is_heard() -> None:
    event = manifest_put_event(TRIGGER, TriggerBucket(BUCKET, "cn-hangzhou"), at=1_700_000_000)
    assert read_events(event, bucket=BUCKET) == Heard((TRIGGER,), ())


def test_a_call_within_a_call_is_malformed() -> None:
    inner = http_call(encoded(event_of()).decode(), is_base64=False).decode()
    assert read_events(http_call(inner, is_base64=False), bucket=BUCKET) == Heard((), (Dropped.MALFORMED,))


@pytest.mark.parametrize(
    "name",
    [
        "ObjectCreated:PostObject",
        "ObjectCreated:CopyObject",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectCreated:InitiateMultipartUpload",
        "ObjectCreated:AppendObject",
        "ObjectRemoved:DeleteObject",
        "ObjectCreated:PutObjectX",
        "objectcreated:putobject",
        "ObjectCreated:*",
        "",
    ],
)
def test_another_deed_is_foreign(name: str) -> None:
    assert heard(event_of(name=name)) == Heard((), (Dropped.FOREIGN,))


@pytest.mark.parametrize("bucket", ["sluice-out", "sluice-in2", "Sluice-in", "", "sluice-in "])
def test_another_bucket_is_foreign(bucket: str) -> None:
    assert heard(event_of(bucket=bucket)) == Heard((), (Dropped.FOREIGN,))


def test_an_event_of_another_source_is_foreign() -> None:
    assert heard({**event_of(), "eventSource": "acs:mns"}) == Heard((), (Dropped.FOREIGN,))


@pytest.mark.parametrize(
    "key",
    [
        "in/v1/manifest.json",
        key_of().replace("in/v1", "out/v1"),
        "/" + key_of(),
        key_of() + "/",
        key_of() + "\n",
        key_of().replace("/m/", "/../m/"),
        key_of().replace("/m/", "//m/"),
        key_of(tenant="SHOP"),
        key_of(tenant="../shop"),
        key_of(sha=SHA.upper()),
        key_of(sha=SHA[:-1]),
        key_of("a" * 25),
        key_of("1" * 26),
        f"in/v1/zz/shop/{TASK}/m/{SHA}.manifest.json",
        f"in/v1/00/shop/{TASK}/m/{SHA}.manifest.json",
        key_of().replace(".manifest.json", ".manifest.json.gz"),
        key_of() + "\x00",
        "\uff49\uff4e" + key_of()[2:],
    ],
)
def test_a_key_that_is_no_manifests_is_foreign(key: str) -> None:
    assert heard(event_of(key)) == Heard((), (Dropped.FOREIGN,))


def _without(path: str) -> dict[str, Any]:
    event = event_of()
    *parents, last = path.split(".")
    place = event
    for name in parents:
        place = place[name]
    del place[last]
    return event


@pytest.mark.parametrize(
    "event",
    [
        *[_without(path) for path in ("eventName", "oss", "oss.bucket", "oss.bucket.name", "oss.object.key")],
        {**event_of(), "eventName": 7},
        {**event_of(), "oss": []},
        event_of("%ff%fe"),
        None,
        "event",
        [],
        1.5,
    ],
)
def test_what_a_trigger_would_not_send_is_malformed_and_does_not_silence_its_neighbours(event: object) -> None:
    assert heard(event, event_of()) == Heard((TRIGGER,), (Dropped.MALFORMED,))


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"events":{}}',
        b'{"events":"x"}',
        b'{"events":null}',
        b'{"events":[',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"events":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        http_call("not base64!", is_base64=True),
        http_call("", is_base64=False),
        http_call("null", is_base64=False),
        http_call("\udcff", is_base64=False),
    ],
)
def test_what_is_no_event_at_all_is_malformed(event: bytes) -> None:
    assert read_events(event, bucket=BUCKET) == Heard((), (Dropped.MALFORMED,))


def test_text_that_is_no_unicode_is_malformed() -> None:
    assert read_events("\udcff", bucket=BUCKET).dropped == (Dropped.MALFORMED,)


def test_of_two_values_under_one_name_the_last_counts_wherever_it_stands() -> None:
    forged = encoded(event_of()).replace(b'"name": "sluice-in"', b'"name": "sluice-in", "name": "evil"')
    assert read_events(forged, bucket=BUCKET) == Heard((), (Dropped.FOREIGN,))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
"""Any JSON."""
spoiled_keys = st.text(st.sampled_from(string.ascii_lowercase + "0123456789/%.-_\\\n\x00é"), max_size=80)


@given(st.binary(max_size=400))
@example(b'{"events":[{"eventName":"ObjectCreated:PutObject"}]}')
def test_any_bytes_are_dropped_and_never_raise(event: bytes) -> None:
    triggers, dropped = read_events(event, bucket=BUCKET)
    assert triggers == ()
    assert set(dropped) <= {Dropped.MALFORMED}


@given(json_values, json_values)
def test_any_json_is_dropped_and_never_raises(envelope: object, event: object) -> None:
    for data in (json.dumps(envelope).encode(), encoded(event), http_call(json.dumps(envelope), is_base64=False)):
        assert read_events(data, bucket=BUCKET).triggers == ()


@given(spoiled_keys, st.integers(0, 90), st.integers(0, 90))
def test_a_spoiled_key_rings_for_nobody_or_for_the_task_it_names(noise: str, start: int, end: int) -> None:
    key = key_of()[:start] + noise + key_of()[end:]
    (triggers, dropped) = heard(event_of(key))
    assert len(triggers) + len(dropped) == 1
    for trigger in triggers:
        assert unquote(key) == key_of(trigger.task.task_id, tenant=trigger.task.tenant, sha=trigger.sha)


@given(
    st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=26, max_size=26),
    st.from_regex(r"[a-z0-9]{1,40}", fullmatch=True),
)
def test_every_manifest_of_ours_is_heard(task: str, tenant: str) -> None:
    (trigger,), dropped = heard(event_of(quote(key_of(task, tenant=tenant), safe="")))
    assert (trigger.task.tenant, trigger.task.task_id, trigger.sha) == (tenant, task, SHA)
    assert dropped == ()
