"""Answers as the SDK demands them: digest, date and signature over both; and as a test wants them spoiled."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from infra.emulators.faults import CutAnswer
from infra.emulators.tablestore import signatures
from infra.emulators.tablestore.access import DATE_FORMAT, Identity
from infra.emulators.tablestore.connections import HttpAnswer
from infra.emulators.tablestore.faults import Action, CorruptAnswer
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.refusals import Refused


def answer(path: str, message: Message, identity: Identity) -> HttpAnswer:
    """Answer with ``message``, signed with the caller's key."""
    return _signed(path, 200, message.SerializeToString(), identity)


def error_answer(path: str, refused: Refused, identity: Identity | None) -> HttpAnswer:
    """Answer with an error; unsigned if the caller is unknown."""
    body = pb.Error(code=refused.code, message=refused.message).SerializeToString()
    return _signed(path, refused.status, body, identity)


def spoiled(given: HttpAnswer, action: Action | None) -> HttpAnswer:
    """Return the answer as ``action`` wants it to arrive."""
    match action:
        case CutAnswer(after_bytes):
            promised = given.body or b"\0"
            return given._replace(body=promised, sent_bytes=min(after_bytes, len(promised) - 1))
        case CorruptAnswer("body"):
            return given._replace(body=bytes([given.body[0] ^ 1]) + given.body[1:] if given.body else b"\0")
        case CorruptAnswer(part):
            return given._replace(headers={**given.headers, **_CORRUPT[part]})
        case _:
            return given


_CORRUPT = {
    "md5": {"x-ots-contentmd5": "AAAAAAAAAAAAAAAAAAAAAA=="},
    "signature": {"authorization": "OTS nobody:AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    "date": {"x-ots-date": (datetime.now(UTC) - timedelta(hours=1)).strftime(DATE_FORMAT)},
    "request_id": {"x-ots-requestid": "another-request"},
}


def _signed(path: str, status: int, body: bytes, identity: Identity | None) -> HttpAnswer:
    headers = {
        "x-ots-contentmd5": signatures.content_md5(body),
        "x-ots-contenttype": "protocol buffer",
        "x-ots-date": datetime.now(UTC).strftime(DATE_FORMAT),
        "x-ots-requestid": str(uuid.uuid4()),
    }
    if identity is not None:
        signature = signatures.answer_signature(identity.signing_key, path, headers)
        headers["authorization"] = f"OTS {identity.access_key_id}:{signature}"
    return HttpAnswer(status, headers, body)
