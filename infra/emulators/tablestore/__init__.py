"""An emulator of Alibaba Cloud's table store: Tablestore over HTTP on this machine, for tests and for trying out.

    with serving_tablestore(instance="sluice") as ots:
        client = OTSClient(ots.endpoint, ots.access_key_id, ots.access_key_secret, ots.instance, region=ots.region)
        ots.faults.add(Fault(operation="UpdateRow", table="export_task", row="task-1*", action=DropAnswer()))
        ots.index_lag_s = 0.2
        ots.requests[-1].operation == "UpdateRow"

The README beside this file says what it does and what it does not do.
"""

from infra.emulators.faults import CutAnswer, Delay, DoLater, DropAnswer, DropBefore, Hold
from infra.emulators.tablestore.access import StsCredentials
from infra.emulators.tablestore.calls import Call
from infra.emulators.tablestore.faults import Action, CorruptAnswer, Fault, Faults, Refuse
from infra.emulators.tablestore.server import TablestoreServer, serving_tablestore

__all__ = [
    "Action",
    "Call",
    "CorruptAnswer",
    "CutAnswer",
    "Delay",
    "DoLater",
    "DropAnswer",
    "DropBefore",
    "Fault",
    "Faults",
    "Hold",
    "Refuse",
    "StsCredentials",
    "TablestoreServer",
    "serving_tablestore",
]
