"""`sluice backup` and `sluice restore`: a copy of what a service on one machine has, and its way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sluice.app.backends import DirectoryBackend, backend_of
from sluice.app.backup import BackupError, Copied, KeysOutcome, back_up
from sluice.app.backup import restore as put_back
from sluice.app.settings.validation import Settings
from sluice.cli.data_options import Config, Data, settings_of
from sluice.cli.formatting import say
from sluice.ports.store_errors import StoreRefused

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.", file_okay=False)]


def backup(folder: Folder, *, data: Data = None, config: Config = None) -> None:
    """Copy rows, files and keys to DIR, which is new or empty. The service may run meanwhile.

    Batches that were acknowledged before the command began are in the copy. It
    has keys and data: keep it as safe as the service. Settings, certificates
    and files in a bucket are not in it.

    Examples:
      sluice backup /backup/2026-11-29 --data /var/lib/sluice
    """
    settings = settings_of(data, config)
    with _one_sentence():
        copied = back_up(settings, folder)
    _report("Backed up", copied)
    place = settings.api_keys_path
    none = f"It has no API keys: there is no {place}."
    say(f"The API keys of {place} are in it." if copied.keys == "copied" else none)
    if _has_bucket(settings):
        say("Files in the bucket are not copied.")


def restore(folder: Folder, *, data: Data = None, config: Config = None) -> None:
    """Put the backup in DIR where a new service finds it: its data directory has to be new or empty.

    API keys are those of the backup, so keys revoked since then are valid again.
    A file of keys outside the data directory that exists is left as it is.

    Examples:
      sluice restore /backup/2026-11-29 --data /var/lib/sluice-new
    """
    settings = settings_of(data, config)
    with _one_sentence():
        copied = put_back(folder, settings)
    _report("Restored", copied)
    place = settings.api_keys_path
    said: dict[KeysOutcome, str] = {
        "copied": f"The API keys in {place} are those of the backup: keys revoked since then are valid again, "
        "and newer ones are missing (sluice keys list).",
        "kept": f"{place} was there and stays as it is; the API keys of the backup are in {folder / 'keys.json'}.",
        "none": "The backup has no API keys.",
    }
    say(said[copied.keys])
    if _has_bucket(settings):
        say(
            "Files are in the bucket, which is that of the service that was backed up. Once that runs no more, remove "
            "the objects in/owner and owner from the bucket, and a service here may have it."
        )


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        raise StoreRefused(
            f"the copy stopped: {error.strerror or error}{place}; what is in the folder is no backup"
        ) from error


def _report(done: str, copied: Copied) -> None:
    say(f"{done} {copied.tasks:,} tasks and {copied.objects:,} files, {copied.bytes:,} bytes.")


def _has_bucket(settings: Settings) -> bool:
    return not isinstance(backend_of(settings), DirectoryBackend)
