"""Tags and access of one object."""

from __future__ import annotations

from dataclasses import replace

from infra.emulators.oss.answer import Answer, Node, document_answer, parsed
from infra.emulators.oss.events import ACCOUNT_ID
from infra.emulators.oss.object_headers import acl_of
from infra.emulators.oss.request import Request
from infra.emulators.oss.store import Store


def object_tagging(store: Store, request: Request) -> Answer:
    tags: dict[str, str] = {}
    if request.method == "PUT":
        root = parsed(request.body.read_all())
        tags = {tag.findtext("Key", ""): tag.findtext("Value", "") for tag in root.iter("Tag")}
    with store.storage.lock:
        stored = store.storage.find(request.bucket, request.key)
        if request.method != "GET":
            store.storage.bucket(request.bucket).place(replace(stored, tags=tags))
            return Answer(200 if request.method == "PUT" else 204)
    pairs = [Node("Tag", Node("Key", name), Node("Value", value)) for name, value in stored.tags.items()]
    return document_answer(Node("Tagging", Node("TagSet", *pairs)))


def object_acl(store: Store, request: Request) -> Answer:
    with store.storage.lock:
        stored = store.storage.find(request.bucket, request.key)
        if request.method == "PUT":
            store.storage.bucket(request.bucket).place(replace(stored, acl=acl_of(request)))
            return Answer()
    return document_answer(acl_document(stored.acl))


def acl_document(acl: str) -> Node:
    return Node("AccessControlPolicy", owner(), Node("AccessControlList", Node("Grant", acl)))


def owner() -> Node:
    return Node("Owner", Node("ID", ACCOUNT_ID), Node("DisplayName", ACCOUNT_ID))
