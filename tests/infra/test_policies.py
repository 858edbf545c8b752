"""Each function's role allows exactly the calls that its use cases make, and no other call on any resource.

What is needed is not written down here: the use cases are run, and their calls noted. Then every action is tried on
every kind of resource there is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from infra.emulators.ram_policies import CloudCall, allows, filled_in, matches, role_documents
from infra.provision.template import build_template
from sluice.domain.keys import (
    INPUT_PREFIX,
    OUTPUT_PREFIX,
    TaskRef,
    TenantId,
    chunk_key,
    manifest_key,
    result_key,
    shared_key,
    task_id_from_key,
)
from tests.infra.cloud_recorder import (
    ACCOUNT,
    BUCKETS,
    FUNCTION,
    INSTANCE,
    READER,
    REGION,
    TEMPLATE_VALUES,
    CloudRecorder,
    object_resource,
    table_resource,
)
from tests.infra.role_days import DAYS, queue_resource

LOGSTORE = f"acs:log:{REGION}:{ACCOUNT}:project/sluice-dev-{ACCOUNT}/logstore/functions"
FUNCTION_ROLES = sorted(DAYS)
A_TASK = TaskRef(TenantId("other"), task_id_from_key(TenantId("other"), "probe"))
KEYS = {
    "chunk": chunk_key(A_TASK, 7, "a" * 32),
    "manifest": manifest_key(A_TASK, "b" * 32),
    "result": result_key(A_TASK, epoch=1, nonce="c" * 16, extension="xlsx"),
    "pointer": shared_key(A_TASK.tenant, "d" * 64),
}
RESOURCES = {
    **{kind: object_resource(key) for kind, key in KEYS.items()},
    "chunk in the output bucket": f"acs:oss:*:{ACCOUNT}:{BUCKETS['out']}/{KEYS['chunk']}",
    "result in the input bucket": f"acs:oss:*:{ACCOUNT}:{BUCKETS['in']}/{KEYS['result']}",
    "foreign object in the input bucket": f"acs:oss:*:{ACCOUNT}:{BUCKETS['in']}/backup/x",
    "foreign object in the output bucket": f"acs:oss:*:{ACCOUNT}:{BUCKETS['out']}/backup/x",
    "object of another version": f"acs:oss:*:{ACCOUNT}:{BUCKETS['in']}/in/v2/x",
    "object of another stage": f"acs:oss:*:{ACCOUNT}:sluice-prod-in-{ACCOUNT}/{KEYS['chunk']}",
    "object of another account": f"acs:oss:*:9999999999999999:{BUCKETS['in']}/{KEYS['chunk']}",
    "input bucket": f"acs:oss:*:{ACCOUNT}:{BUCKETS['in']}",
    "output bucket": f"acs:oss:*:{ACCOUNT}:{BUCKETS['out']}",
    "bucket of another stage": f"acs:oss:*:{ACCOUNT}:sluice-prod-in-{ACCOUNT}",
    "all of OSS": f"acs:oss:*:{ACCOUNT}:*",
    "tasks": table_resource(),
    "due": table_resource("_due"),
    "listing": table_resource("_listing"),
    "state listing": table_resource("_state_listing"),
    "keys": table_resource("_keys"),
    "another table": table_resource(table="orders"),
    "table of another stage": f"acs:ots:{REGION}:{ACCOUNT}:instance/sl-prod-1a2b/table/export_task",
    "table in another region": f"acs:ots:cn-beijing:{ACCOUNT}:instance/{INSTANCE}/table/export_task",
    "instance": f"acs:ots:{REGION}:{ACCOUNT}:instance/{INSTANCE}",
    "compose": FUNCTION,
    "a version of compose": f"{FUNCTION}/LATEST",
    "extract": READER,
    "a version of extract": f"{READER}/LATEST",
    "another function": FUNCTION.replace("-compose", "-relay-http"),
    "a function of a like name": f"{FUNCTION}r",
    "failure queue": queue_resource(),
    "another queue": queue_resource("orders"),
    "logstore": LOGSTORE,
    "another logstore": LOGSTORE.replace("functions", "audit"),
    "its own role": f"acs:ram::{ACCOUNT}:role/sluice-dev-relay",
    "everything": "*",
}
NAMES = {
    "oss": """
        GetObject PutObject DeleteObject ListObjects ListMultipartUploads ListParts AbortMultipartUpload CopyObject
        GetObjectAcl PutObjectAcl GetObjectVersion DeleteObjectVersion ListObjectVersions RestoreObject PutObjectTagging
        GetBucketInfo GetBucketAcl PutBucketAcl GetBucketPolicy PutBucketPolicy DeleteBucketPolicy PutBucketLifecycle
        PutBucketEncryption PutBucketPublicAccessBlock PutBucketNotification PutBucketCors PutBucket DeleteBucket
        ListBuckets PutBucketVersioning PutBucketWebsite PutBucketReferer""",
    "ots": """
        GetRow PutRow UpdateRow DeleteRow BatchGetRow BatchWriteRow GetRange Search BulkExport SQL_Select ListTable
        CreateTable UpdateTable DescribeTable DeleteTable CreateIndex DropDefinedColumn DeleteIndex CreateTunnel
        GetInstance UpdateInstance DeleteInstance StartLocalTransaction""",
    "fc": """
        InvokeFunction GetFunction CreateFunction UpdateFunction DeleteFunction PutAsyncInvokeConfig StopAsyncTask
        CreateTrigger DeleteTrigger PublishFunctionVersion""",
    "mns": "SendMessage ReceiveMessage DeleteMessage DeleteQueue PublishMessage",
    "log": "PostLogStoreLogs GetLogStoreLogs DeleteLogStore UpdateIndex DeleteProject",
    "ram": "PassRole AttachPolicyToRole CreateAccessKey CreatePolicyVersion",
    "sts": "AssumeRole",
    "kms": "Decrypt",
    "ros": "DeleteStack",
}
ACTIONS = [f"{service}:{name}" for service, names in NAMES.items() for name in names.split()]
PREFIXES = {None, "", "in/", "in/v1/", "in/v1/ab/acme/", "out/v1/", "out/v1/ab/", "backup/"}
"""What a listing may ask for; None for a call that is no listing."""


@cache
def documents_of(role: str) -> list[Any]:
    return role_documents(build_template(), TEMPLATE_VALUES)[role]


@cache
def needed_by(role: str) -> frozenset[CloudCall]:
    return frozenset(DAYS[role](CloudRecorder()))


def kind_of(resource: str) -> str:
    """Which of the kinds tried here a resource of the use cases' own keys is."""
    named = [kind for kind, known in RESOURCES.items() if known == resource]
    if named:
        return named[0]
    patterns = {
        "chunk": "*/in/v1/*/c/*.chunk",
        "manifest": "*/in/v1/*/m/*.manifest.json",
        "pointer": "*/out/v1/*/shared/*",
        "result": "*/out/v1/*/export.*",
    }
    return next(kind for kind, pattern in patterns.items() if matches(pattern, resource))


def expected_of(role: str) -> set[tuple[str, str]]:
    """Action and kind of resource, for each call that was made, and for what the platform does in the role's name."""
    made = {(call.action, kind_of(call.resource)) for call in needed_by(role)}
    made |= {(action, f"a version of {kind}") for action, kind in made if kind in {"compose", "extract"}}
    return made | {("log:PostLogStoreLogs", "logstore")}


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_every_call_of_its_use_cases_is_allowed(role: str) -> None:
    refused = [call for call in needed_by(role) if not allows(documents_of(role), call)]
    assert not refused
    assert len(needed_by(role)) > 3


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_nothing_else_is_allowed_on_any_resource(role: str) -> None:
    allowed = {
        (action, kind)
        for action in ACTIONS
        for kind, resource in RESOURCES.items()
        for prefix in (PREFIXES if action == "oss:ListObjects" else (None, INPUT_PREFIX, OUTPUT_PREFIX))
        if allows(documents_of(role), CloudCall(action, resource, prefix))
    }
    assert allowed == expected_of(role)


def test_a_listing_is_allowed_below_our_prefixes_only() -> None:
    for bucket, own in (("input bucket", "in/v1/"), ("output bucket", "out/v1/")):
        for prefix in PREFIXES:
            call = CloudCall("oss:ListObjects", RESOURCES[bucket], prefix)
            assert allows(documents_of("SweepRole"), call) == (prefix is not None and prefix.startswith(own)), call


def test_the_trigger_s_role_runs_the_composer_and_nothing_else() -> None:
    allowed = {
        (action, kind)
        for action in ACTIONS
        for kind, resource in RESOURCES.items()
        if allows(documents_of("TriggerRole"), CloudCall(action, resource))
    }
    assert allowed == {("fc:InvokeFunction", "compose"), ("fc:InvokeFunction", "a version of compose")}


@pytest.mark.parametrize(
    ("role", "action", "kind"),
    [
        ("RelayRole", "oss:GetObject", "chunk"),
        ("RelayRole", "oss:GetObject", "result"),
        ("RelayRole", "oss:ListObjects", "input bucket"),
        ("RelayRole", "oss:PutObject", "result"),
        ("RelayRole", "oss:PutBucketPolicy", "input bucket"),
        ("RelayRole", "ots:DeleteRow", "tasks"),
        ("QueryRole", "oss:PutObject", "result"),
        ("QueryRole", "oss:GetObject", "chunk"),
        ("QueryRole", "ots:UpdateRow", "tasks"),
        ("ComposeRole", "oss:PutObject", "chunk"),
        ("ComposeRole", "oss:PutObject", "foreign object in the output bucket"),
        ("ComposeRole", "oss:DeleteObject", "result"),
        ("ExtractRole", "oss:GetObject", "chunk"),
        ("ExtractRole", "oss:PutObject", "result"),
        ("ExtractRole", "oss:DeleteObject", "chunk"),
        ("SweepRole", "oss:GetObject", "chunk"),
        ("SweepRole", "oss:GetObject", "result"),
        ("SweepRole", "oss:PutObject", "chunk"),
        *((role, "ots:DeleteTable", "tasks") for role in FUNCTION_ROLES),
        *((role, "ots:PutRow", "keys") for role in FUNCTION_ROLES),
    ],
)
def test_what_the_security_tests_name_is_refused(role: str, action: str, kind: str) -> None:
    for prefix in PREFIXES:
        assert not allows(documents_of(role), CloudCall(action, RESOURCES[kind], prefix))


def test_no_statement_is_for_every_action_or_every_resource() -> None:
    for role, documents in role_documents(build_template(), TEMPLATE_VALUES).items():
        for statement in (statement for document in documents for statement in document["Statement"]):
            assert statement["Effect"] == "Allow", role
            assert not any("*" in action for action in statement["Action"]), role
            for resource in statement["Resource"]:
                service, _, rest = resource.removeprefix("acs:").partition(":")
                # OSS has no region in its names; everything else is spelled to the end of the resource's own name.
                assert "*" not in (rest.removeprefix("*:").partition("/")[0] if service == "oss" else rest[:-2]), (
                    resource
                )


def test_only_function_compute_and_oss_may_take_the_roles() -> None:
    resources = build_template()["Resources"]
    trusted = {
        name: filled_in(resource["Properties"]["AssumeRolePolicyDocument"], TEMPLATE_VALUES)["Statement"]
        for name, resource in resources.items()
        if resource["Type"] == "ALIYUN::RAM::Role"
    }
    assert set(trusted) == {*FUNCTION_ROLES, "TriggerRole"}
    for name, statements in trusted.items():
        service = "oss.aliyuncs.com" if name == "TriggerRole" else "fc.aliyuncs.com"
        expected = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": [service]}}
        assert statements == [expected], name


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [("a*c", "abbc", True), ("a*c", "ab", False), ("a?c", "abc", True), ("a.c", "abc", False), ("*", "", True)],
)
def test_wildcards_match_as_ram_s_do(pattern: str, text: str, *, matched: bool) -> None:
    assert matches(pattern, text) is matched


def test_a_deny_wins_over_any_allow() -> None:
    statement = {"Effect": "Allow", "Action": ["oss:*"], "Resource": ["*"]}
    denying = {"Effect": "Deny", "Action": ["oss:PutObject"], "Resource": ["b/secret*"]}
    documents = [{"Statement": [statement]}, {"Statement": [denying]}]
    assert allows(documents, CloudCall("oss:PutObject", "b/other"))
    assert not allows(documents, CloudCall("oss:putobject", "b/secret1"))
    assert not allows([], CloudCall("oss:PutObject", "b/other"))
