"""`sluice keys`: makes, lists and revokes the API keys of a service, also while it runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.api_keys import add_key, list_keys, revoke_key
from sluice.app.backends import backend_of
from sluice.cli.data_options import Config, Data, settings_of
from sluice.cli.formatting import iso, json_of, lines_of, say, span
from sluice.cli.standard_files import is_closed
from sluice.domain.api_key import ApiKey, Scope
from sluice.domain.limits import DAY_S
from sluice.domain.secret import Secret

DAYS_MAX = 36_500

commands = typer.Typer(
    help="Make, list and revoke API keys. A running service sees changes at once, in the cloud within half a minute.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class NotShownError(Exception):
    """The key cannot be printed."""


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyView(msgspec.Struct, frozen=True):
    """A key as it is shown: never its text, never its hash."""

    key_id: str
    tenant: str
    scopes: tuple[Scope, ...]
    state: KeyState
    created_at: str
    expires_at: str
    revoked_at: str


def view_key(key: ApiKey, now: float) -> KeyView:
    """Show what may be known of a key."""
    state = KeyState.ACTIVE
    if key.revoked_at:
        state = KeyState.REVOKED
    elif key.expires_at and now >= key.expires_at:
        state = KeyState.EXPIRED
    return KeyView(
        key.key_id, key.tenant, key.scopes, state, iso(key.created_at), iso(key.expires_at), iso(key.revoked_at)
    )


@commands.command()
def add(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Who will own what is sent with the key.")],
    *,
    scope: Annotated[
        list[Scope],
        typer.Option(
            help="May read; write includes read; admin includes both; act_for and run_jobs stand beside. Repeatable."
        ),
    ] = [Scope.WRITE],  # noqa: B006 - typer copies defaults
    yes: Annotated[bool, typer.Option("--yes", help="Make the first key without asking.")] = False,
    expires_days: Annotated[int | None, typer.Option(min=1, max=DAYS_MAX, help="Days until it expires.")] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make a key and print it, once: the service keeps only its hash.

    The key is the only thing on standard output.

    Examples:
      sluice keys add shop --data /var/lib/sluice --yes
      sluice keys add reports --scope read --expires-days 90 > key.txt
    """
    settings = settings_of(data, config)
    backend = backend_of(settings)
    store, tasks_file = backend.open_keys(settings), backend.tasks_file(settings)
    is_first = tasks_file is not None and tasks_file.is_file() and not list_keys(store)
    if is_first and not yes:
        said = "This is the service's first key: from now on every caller without a key is refused, at once."
        if not sys.stdin.isatty():
            raise typer.BadParameter(f"{said} Say --yes to do it.", param_hint="--yes")
        say(said, is_error=True)
        typer.confirm("Make it?", abort=True, err=True)
    if is_closed("stdout"):
        raise typer.BadParameter("standard output is closed, where the key would be shown: no key was made")
    try:
        new = add_key(
            store,
            tenant,
            scopes=scope,
            clock=SystemClock(),
            randomness=SystemRandomness(),
            life_s=(expires_days or 0) * DAY_S,
            show=_show,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="TENANT") from None
    except NotShownError as error:
        say(f"sluice: no key was made, since it could not be shown: {error}", is_error=True)
        raise typer.Exit(1) from None
    life = f"expires {iso(new.key.expires_at)}" if new.key.expires_at else "never expires"
    scopes = ", ".join(new.key.scopes)
    place = backend.place_of_keys(settings)
    say(f"Key {new.key.key_id} of tenant {tenant} ({scopes}; {life}) is in {place}.", is_error=True)
    if is_first:
        say("From now on callers without a key are refused.", is_error=True)
    say("This is the only time it is shown. Callers send it as: authorization: Bearer KEY", is_error=True)


def _show(text: Secret) -> None:
    try:
        say(text.reveal())
        sys.stdout.flush()
    except OSError as error:  # not the store's, which would take it for its own disk's
        raise NotShownError(error.strerror) from error


@commands.command("list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List the keys: whose they are and what they allow, not the keys themselves.

    Examples:
      sluice keys list --data /var/lib/sluice
      sluice keys list --tenant shop --json
    """
    now = SystemClock().now()
    settings = settings_of(data, config)
    keys = list_keys(backend_of(settings).open_keys(settings), tenant)
    views = [view_key(key, now) for key in keys]
    if as_json:
        say(json_of(views))
        return
    head = ("KEY", "TENANT", "SCOPES", "STATE", "CREATED", "EXPIRES")
    rows = [(v.key_id, v.tenant, ",".join(v.scopes), v.state, v.created_at, v.expires_at or "never") for v in views]
    say("\n".join(lines_of([head, *rows])) if rows else "There are no keys.")


@commands.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `sluice keys list` shows it.")],
    *,
    data: Data = None,
    config: Config = None,
) -> None:
    """End a key at once and for good.

    Example: sluice keys revoke bq3vx5k2m7wa --data /var/lib/sluice
    """
    clock, settings = SystemClock(), settings_of(data, config)
    try:
        key = revoke_key(backend_of(settings).open_keys(settings), key_id, clock=clock)
    except LookupError as error:
        say(f"sluice: {error}", is_error=True)
        raise typer.Exit(1) from None
    say(f"Key {key.key_id} of tenant {key.tenant} was revoked {span(clock.now() - key.revoked_at)} ago.")
