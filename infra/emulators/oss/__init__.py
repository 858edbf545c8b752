"""An emulator of Alibaba Cloud's object storage: OSS over HTTP on this machine, for tests and for trying out.

    with serving_oss(buckets=("sluice-in", "sluice-out"), folder=tmp_path) as oss:
        bucket = oss2.Bucket(oss2.AuthV4(oss.access_key_id, oss.access_key_secret), oss.endpoint, "sluice-in", region=oss.region)
        oss.faults.add(Fault(operation="PutObject", key="in/*", action=DropAnswer()))
        oss.listen(events.append)
        oss.requests[-1].operation == "PutObject"

The README beside this file says what it does and what it does not do.
"""  # noqa: E501 - one line of example code per line

from infra.emulators.faults import CutAnswer, Delay, DoLater, DropAnswer, DropBefore, Hold
from infra.emulators.oss.exchange import Call
from infra.emulators.oss.faults import (
    Action,
    CorruptAnswer,
    CorruptRequest,
    CutRequest,
    Fault,
    Faults,
    Refuse,
    Throttle,
)
from infra.emulators.oss.server import OssServer, serving_oss

__all__ = [
    "Action",
    "Call",
    "CorruptAnswer",
    "CorruptRequest",
    "CutAnswer",
    "CutRequest",
    "Delay",
    "DoLater",
    "DropAnswer",
    "DropBefore",
    "Fault",
    "Faults",
    "Hold",
    "OssServer",
    "Refuse",
    "Throttle",
    "serving_oss",
]
