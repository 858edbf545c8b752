"""`sluice tables`: makes and checks the tables of a service in the cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from sluice.adapters.aliyun.tablestore.tables import Finding, check_tables, create_tables
from sluice.app.aliyun import AliyunBackend, credentials_of, tablestore_access
from sluice.app.backends import backend_of
from sluice.app.settings.validation import SettingsError, load_settings
from sluice.cli.data_options import Config
from sluice.cli.formatting import lines_of, say

commands = typer.Typer(
    help="Make and check the tables of a service in the cloud.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Wait = Annotated[float, typer.Option("--timeout", min=1, metavar="SECONDS", help="The longest wait for one answer.")]
"""Longer than what calls wait: creating a table takes a while."""


@commands.command()
def create(*, config: Config = None, timeout_s: Wait = 30) -> None:
    """Create the tables and indexes that are missing; what is there is never changed.

    May be repeated. Exits with 1 if something that is there differs from what
    the service needs. A new table takes about a minute to be ready.

    Example: sluice tables create --config /etc/sluice/config.yaml
    """
    _report(create_tables, config, timeout_s)


@commands.command()
def check(*, config: Config = None, timeout_s: Wait = 30) -> None:
    """Compare the tables and indexes with what the service needs; changes nothing.

    Exits with 1 if something is missing or differs.

    Example: sluice tables check --config /etc/sluice/config.yaml
    """
    _report(check_tables, config, timeout_s)


def _report(do: Callable[..., list[Finding]], config: Config, timeout_s: float) -> None:
    settings = load_settings(config)
    if not isinstance(backend_of(settings), AliyunBackend):
        raise SettingsError(["storage.backend is not oss: there are tables only in the cloud"])
    findings = do(tablestore_access(settings, credentials_of(settings)), timeout_s=timeout_s)
    lines = lines_of([(finding.name, finding.standing, finding.detail) for finding in findings])
    say("\n".join(lines))
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)
