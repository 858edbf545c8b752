"""What each function's role may do in OSS, by the policies of the ROS template, in the terms of the emulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.emulators.ram_policies import filled_in, role_documents
from infra.provision.template import build_template

OPERATIONS = {
    "oss:PutObject": ("PutObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "oss:GetObject": ("GetObject", "HeadObject"),
    "oss:DeleteObject": ("DeleteObject",),
    "oss:AbortMultipartUpload": ("AbortMultipartUpload",),
    "oss:ListObjects": ("ListObjects", "ListObjectsV2"),
    "oss:ListMultipartUploads": ("ListMultipartUploads",),
}
"""One permission covers several calls; a permission that is not here is none that a function needs."""

Grant = tuple[str, str]


def grants_of(role_arn: str, values: Mapping[str, str]) -> list[Grant]:
    """Pairs of operation and ``bucket/key`` that the role's policies allow. ``values`` fill the template in.

    The emulator cannot tell the keys of a batch of deletions apart when it
    decides, so one who may delete any object of a bucket may send it batches.
    """
    template = build_template()
    documents = role_documents(template, values)
    role_name = role_arn.rpartition("/")[2]
    for logical, resource in template["Resources"].items():
        if logical in documents and filled_in(resource["Properties"]["RoleName"], values) == role_name:
            return [grant for document in documents[logical] for grant in _grants(document)]
    raise KeyError(f"the template has no role {role_name}")


def _grants(document: dict[str, Any]) -> Iterator[Grant]:
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            raise ValueError("only what is allowed can be put into grants")
        for action in statement["Action"]:
            for resource in statement["Resource"]:
                yield from _pairs(action, resource.rpartition(":")[2])


def _pairs(action: str, pattern: str) -> Iterator[Grant]:
    for operation in OPERATIONS.get(action, ()):
        yield operation, pattern
    if action == "oss:DeleteObject":
        yield "DeleteMultipleObjects", pattern.partition("/")[0]
