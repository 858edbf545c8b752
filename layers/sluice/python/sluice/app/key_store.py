"""Where API keys are kept: in a file beside the data, or in the cloud beside the tasks."""

from __future__ import annotations

from sluice.adapters.aliyun.credentials import CredentialsSource
from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.system_clock import SystemClock
from sluice.app.settings.settings import Settings
from sluice.ports.key_store import KeyStore


def open_key_store(settings: Settings, *, credentials: CredentialsSource | None = None) -> KeyStore:
    """Open the store that the settings name. A file that they name wins over the cloud."""
    if not in_cloud(settings):
        return KeyFile(settings.api_keys_path)
    # Only who uses the cloud loads its SDK.
    from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys  # noqa: PLC0415  # as above
    from sluice.adapters.cached_keys import RememberedKeys  # noqa: PLC0415  # as above
    from sluice.app.aliyun import credentials_of, tablestore_access  # noqa: PLC0415  # as above

    access = tablestore_access(settings, credentials or credentials_of(settings))
    return RememberedKeys(TablestoreKeys(access, timeout_s=settings.tablestore.timeout_s), clock=SystemClock())


def in_cloud(settings: Settings) -> bool:
    """Whether the keys are in the cloud."""
    return settings.storage.backend == "oss" and not settings.security.api_keys_file


def place_of_keys(settings: Settings) -> str:
    """Say where the keys are, for people."""
    if not in_cloud(settings):
        return str(settings.api_keys_path)
    from sluice.adapters.aliyun.tablestore.schema import KEYS  # noqa: PLC0415  # as above

    return f"table {KEYS.name_by(settings.tablestore.table)} of instance {settings.tablestore.instance}"
