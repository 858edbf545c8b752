"""Finds the secrets that definitions name: in the environment, one by one or all in one, or as files of one folder."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from sluice.app.settings.source import SECRET_PREFIX
from sluice.app.settings.validation import environment
from sluice.domain.secret import NO_SECRET, Secret
from sluice.ports.source import SourceError

FOLDER_VARIABLE = "SLUICE_SECRETS_DIR"
ALL_VARIABLE = "SLUICE_SECRETS"
"""A JSON object of secrets by their names, for where the names of variables are given before the secrets are known."""
_REFERENCE = re.compile(r"\$\{secret:([a-z0-9][a-z0-9_-]{0,62})\}")
SECRET_BYTES_MAX = 65_536


def secret_name(text: str) -> str | None:
    """The name in ``${secret:name}``, None for any other text."""
    found = _REFERENCE.fullmatch(text)
    return found[1] if found else None


def find_key(name: str) -> Secret:
    """The secret of this name. Raises ``SourceError`` where there is none."""
    return find_secret(f"${{secret:{name}}}")


def find_secret(reference: str) -> Secret:
    """The secret of ``${secret:name}``, none for the empty text. Raises ``SourceError`` where there is none.

    A variable of its own goes before ``SLUICE_SECRETS``, and that before a file; of a file the line break at its end
    is no part of the secret.
    """
    name = secret_name(reference)
    if name is None:
        return NO_SECRET
    variable = SECRET_PREFIX + name.upper().replace("-", "_")
    if text := environment().get(variable):
        return Secret(text)
    if text := _all_secrets().get(name):
        return Secret(text)
    folder = environment().get(FOLDER_VARIABLE)
    if not folder:
        raise SourceError(
            f"there is no secret {name}: set {variable}, or {FOLDER_VARIABLE} to a folder with a file {name}"
        )
    try:
        with (Path(folder) / name).open(encoding="utf-8", newline="") as file:
            text = file.read(SECRET_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"there is no secret {name}: {variable} is not set, and {Path(folder) / name} cannot be read"
        ) from error
    return Secret(text.removesuffix("\n").removesuffix("\r"))


def _all_secrets() -> dict[str, str]:
    """Those of ``SLUICE_SECRETS``, which may be ``null``. Raises ``SourceError``, which quotes nothing of them."""
    try:
        return msgspec.json.decode(environment().get(ALL_VARIABLE) or "null", type=dict[str, str] | None) or {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SourceError(f"{ALL_VARIABLE} is no JSON object of texts") from None
