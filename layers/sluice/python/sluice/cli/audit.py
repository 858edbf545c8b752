"""`sluice audit`: who asked for rows of which dataset, who was refused, and what became of the files."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sluice.adapters.directory.atomic_file import open_file
from sluice.adapters.system_clock import SystemClock
from sluice.app.backends import backend_of
from sluice.app.telemetry.audit import AUDIT_FILE, AuditRecord, read_lines
from sluice.cli.data_options import AsJson, Config, Data, settings_of
from sluice.cli.formatting import counted, json_of, printable, say
from sluice.domain.limits import DAY_S, HOUR_S, MINUTE_S
from sluice.domain.timestamps import iso_time

_AGO = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_UNITS_S = {"m": MINUTE_S, "h": HOUR_S, "d": DAY_S}
_HEAD = ("time", "user", "tenant", "dataset", "what", "outcome")


def audit(
    *,
    data: Data = None,
    config: Config = None,
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Of this dataset alone.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Since then: 2026-11-30, 2026-11-30T08:15:00+08:00, 24h or 7d.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print who asked for what of which dataset, oldest first: exports, previews, downloads, refusals.

    A file that was moved away is read as --data names its folder.

    Examples:
      sluice audit --data /var/lib/sluice --since 24h
      sluice audit --data /var/lib/sluice --dataset orders --user ann --json
    """
    after = "" if since is None else _read_since(since)
    settings = settings_of(data, config)
    tasks_file = backend_of(settings).tasks_file(settings)
    path = settings.data_directory / AUDIT_FILE
    if not path.exists():
        if tasks_file is None or not tasks_file.is_file():
            raise typer.BadParameter(f"no service has its data in {settings.data_directory}", param_hint="--data")
        return
    damaged = _print(path, user=user, dataset=dataset, after=after, as_json=as_json)
    if damaged:
        say(f"{counted(damaged, 'line')} of {path} cannot be read", is_error=True)


def _print(path: Path, *, user: str | None, dataset: str | None, after: str, as_json: bool) -> int:
    """Print what fits; returns how many lines could not be read."""
    damaged = 0
    with os.fdopen(open_file(path), "rb") as file:
        for record in read_lines(file):
            if record is None:
                damaged += 1
                continue
            fits = user in {None, record.user} and dataset in {None, record.dataset}
            if fits and record.time >= after:
                say(json_of(record, is_line=True) if as_json else _worded(record))
    return damaged


def _worded(record: AuditRecord) -> str:
    facts = msgspec.structs.asdict(record)
    head = "  ".join(printable(str(facts[name])) or "-" for name in _HEAD)
    shown = {name: value for name, value in facts.items() if value is not None and value is not False}
    rest = [f"{name}={_shown(value)}" for name, value in shown.items() if name not in _HEAD]
    return "  ".join([head, *rest])


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _read_since(text: str) -> str:
    """The time as records have theirs, which are compared as texts."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return iso_time(max(0.0, SystemClock().now() - int(ago[1]) * _UNITS_S[ago[2]]))
    try:
        given = datetime.fromisoformat(text)
        return iso_time((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        detail = f"{printable(text)} is no time: 2026-11-30, 2026-11-30T08:15:00+08:00, 24h or 7d"
        raise typer.BadParameter(detail, param_hint="--since") from None
