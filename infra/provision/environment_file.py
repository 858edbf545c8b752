"""Writes what the stack put out into the file of variables that s.yaml reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sluice.adapters.directory.atomic_file import whole_file

VARIABLES = {
    "SLUICE_OSS_REGION": "Region",
    "SLUICE_OSS_ENDPOINT": "OssEndpoint",
    "SLUICE_OSS_BUCKET": "InputBucket",
    "SLUICE_OSS_RESULT_BUCKET": "OutputBucket",
    "SLUICE_OSS_DOWNLOAD_DOMAIN": "OssDownloadDomain",
    "SLUICE_TABLESTORE_ENDPOINT": "TablestoreEndpoint",
    "SLUICE_TABLESTORE_INSTANCE": "TablestoreInstance",
    "SLUICE_TABLESTORE_TABLE": "Table",
    "DEPLOY_STAGE": "Stage",
    "DEPLOY_REGION": "Region",
    "DEPLOY_ACCOUNT_ID": "AccountId",
    "DEPLOY_TABLESTORE_PUBLIC_ENDPOINT": "TablestorePublicEndpoint",
    "DEPLOY_LOG_PROJECT": "LogProject",
    "DEPLOY_LOGSTORE": "Logstore",
    "DEPLOY_FAILURE_QUEUE_ARN": "FailureQueueArn",
    "DEPLOY_RELAY_ROLE_ARN": "RelayRoleArn",
    "DEPLOY_GRPC_ROLE_ARN": "GrpcRoleArn",
    "DEPLOY_COMPOSE_ROLE_ARN": "ComposeRoleArn",
    "DEPLOY_EXTRACT_ROLE_ARN": "ExtractRoleArn",
    "DEPLOY_QUERY_ROLE_ARN": "QueryRoleArn",
    "DEPLOY_SWEEP_ROLE_ARN": "SweepRoleArn",
    "DEPLOY_TRIGGER_ROLE_ARN": "TriggerRoleArn",
}
"""Variable: output of the stack. Those with ``SLUICE_`` are settings, which a function may get as they are."""
MADE_ONCE = ("SLUICE_SECURITY_WATCH_SECRET", "SLUICE_SECURITY_JWT_SECRET")
"""Secrets that sign addresses and tokens, made where there are none: with others those that were given out end."""

_HEADER = "# Written by `python -m infra.provision`. Other lines are left alone."


def variables_of(outputs: Mapping[str, str]) -> dict[str, str]:
    """Name each output. Raises KeyError for one that the stack should have and has not."""
    return {variable: outputs[output] for variable, output in VARIABLES.items()}


def read_variables(path: Path) -> dict[str, str]:
    """What the file sets; nothing when there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {_name_of(line): line.partition("=")[2].strip() for line in lines if "=" in line and line[0] != "#"}


def write_variables(path: Path, variables: Mapping[str, str]) -> None:
    """Set ``variables`` in the file, leaving all its other lines as they are; whole or not at all."""
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else [_HEADER]
    kept = [line for line in before if _name_of(line) not in variables]
    lines = [*kept, *(f"{name}={value}" for name, value in variables.items())]
    with whole_file(path, mode=0o600) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _name_of(line: str) -> str:
    return line.removeprefix("export ").partition("=")[0].strip()
