"""One stage: its name, its region, and the parameters of its stack."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

INPUT_DAYS_MIN = 7
MARGIN_DAYS = 4
"""A lifecycle rule is for what the sweeper missed, so it must be the later one.

A task may be open for two days and wait for a store for another before its retention begins, and garbage is collected
for a day after it.
"""
STAGE_NAME = re.compile(r"[a-z][a-z0-9]{1,7}")
_FORBIDDEN_IN_INSTANCES = ("ali", "ay", "ots", "taobao", "admin")


TABLESTORE_DOMAINS = ("ots-internal.aliyuncs.com", "vpc.tablestore.aliyuncs.com")
"""Of the classic network and of VPCs."""


class StageError(ValueError):
    """A stage that cannot be."""


class Stage(NamedTuple):
    """What the operator chooses."""

    name: str
    alert_email: str
    retention_days: int = 7
    log_days: int = 30
    cluster_type: str = "HYBRID"
    action_policy: str = "sls.builtin"
    tablestore_domain: str = TABLESTORE_DOMAINS[0]

    @property
    def stack_name(self) -> str:
        return stack_name(self.name)

    def parameters(self, *, account_id: str) -> dict[str, str]:
        """What the stage's template is filled with."""
        days = self.retention_days + MARGIN_DAYS
        shared_days = 2 * self.retention_days + MARGIN_DAYS  # an export at a result's last hour may still share it
        return {
            "Stage": self.name,
            "InstanceName": instance_name(self.name, account_id),
            "InputDays": str(max(INPUT_DAYS_MIN, days)),
            "OutputDays": str(shared_days),
            "LogDays": str(self.log_days),
            "ClusterType": self.cluster_type,
            "TablestoreDomain": self.tablestore_domain,
            "EmptyBuckets": "false",
        }

    def watch_parameters(self) -> dict[str, str]:
        """What the template of alarms is filled with."""
        return {"Stage": self.name, "AlertEmail": self.alert_email, "ActionPolicy": self.action_policy}


class Choices(NamedTuple):
    """What an operator says of a stage at one run; None is what it had, or the default of a new one."""

    alert_email: str | None = None
    retention_days: int | None = None
    log_days: int | None = None
    cluster_type: str | None = None
    action_policy: str | None = None
    tablestore_domain: str | None = None

    def of_stage(self, name: str, stage: Mapping[str, str], watch: Mapping[str, str]) -> Stage:
        """The stage as it will be, from the parameters that its stacks have; those of a new one are empty.

        Raises ``StageError`` where the first run names no address.
        """
        before = {
            "alert_email": watch.get("AlertEmail"),
            "retention_days": retention_days_of(stage) if "OutputDays" in stage else None,
            "log_days": int(stage["LogDays"]) if "LogDays" in stage else None,
            "cluster_type": stage.get("ClusterType"),
            "action_policy": watch.get("ActionPolicy"),
            "tablestore_domain": stage.get("TablestoreDomain"),
        }
        chosen = {**before, **{what: choice for what, choice in self._asdict().items() if choice is not None}}
        if chosen["alert_email"] is None:
            raise StageError("who gets the alarms of this stage? --alert-email says it, the first time")
        return Stage(name, **{what: choice for what, choice in chosen.items() if choice is not None})


def retention_days_of(parameters: Mapping[str, str]) -> int:
    """How long files are kept by a stack with these parameters. Raises KeyError when they do not say."""
    return (int(parameters["OutputDays"]) - MARGIN_DAYS) // 2


def check_stage_name(name: str) -> str:
    """The name itself. Raises ``StageError`` for one that some resource could not bear."""
    if not STAGE_NAME.fullmatch(name):
        raise StageError(f"{name!r} is no name of a stage: 2 to 8 lower-case letters and digits, a letter first")
    if any(word in name for word in _FORBIDDEN_IN_INSTANCES):
        raise StageError(f"Tablestore takes no instance with {', '.join(_FORBIDDEN_IN_INSTANCES)} in its name")
    return name


def stack_name(stage: str) -> str:
    """The stack of what the stage is made of."""
    return f"sluice-{check_stage_name(stage)}"


def watch_stack_name(stage: str) -> str:
    """The stack of what watches the stage."""
    return f"{stack_name(stage)}-watch"


def instance_name(stage: str, account_id: str) -> str:
    """Unique in the region, and the same at every run: 16 characters at most, so the account is cut to a digest."""
    digest = hashlib.sha256(account_id.encode()).hexdigest()
    return f"sl-{check_stage_name(stage)}-{digest[:4]}"
