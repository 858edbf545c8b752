"""`sluice backup` and `sluice restore`: a copy of what a service on one machine has, and its way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sluice.app.backup import BackupError, Copied, back_up
from sluice.app.backup import restore as put_back
from sluice.cli.data_options import Config, Data, settings_of
from sluice.cli.formatting import say
from sluice.ports.store_errors import StoreRefused

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.", file_okay=False)]


def backup(folder: Folder, *, data: Data = None, config: Config = None) -> None:
    """Copy rows, files and keys to DIR, which is new or empty. The service may run meanwhile.

    Batches that were acknowledged before the command began are in the copy. It
    has keys and data: keep it as safe as the service.

    Examples:
      sluice backup /backup/2026-11-29 --data /var/lib/sluice
    """
    with _one_sentence():
        _report("Backed up", back_up(settings_of(data, config), folder))


def restore(folder: Folder, *, data: Data = None, config: Config = None) -> None:
    """Put the backup in DIR where a new service finds it: its data directory has to be new or empty.

    Examples:
      sluice restore /backup/2026-11-29 --data /var/lib/sluice-new
    """
    with _one_sentence():
        _report("Restored", put_back(folder, settings_of(data, config)))


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        raise StoreRefused(
            f"the copy stopped: {error.strerror or error}; what is in the folder is no backup"
        ) from error


def _report(done: str, copied: Copied) -> None:
    say(f"{done} {copied.tasks:,} tasks and {copied.objects:,} files, {copied.bytes:,} bytes.")
