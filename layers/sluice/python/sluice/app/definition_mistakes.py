"""What is wrong with connections and datasets beyond their form: a sentence for each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from sluice.app.secrets import FOLDER_VARIABLE, secret_name
from sluice.app.settings.source import SECRET_PREFIX
from sluice.domain.dataset import (
    BucketConnection,
    Connection,
    Dataset,
    FolderConnection,
    HttpConnection,
    ServerConnection,
    SqliteConnection,
)
from sluice.domain.schema import ColumnType
from sluice.domain.suggestion import did_you_mean


def mistakes_of_connection(connection: Connection) -> list[str]:
    """What is wrong with it beyond its form. No secret is quoted, whatever it is."""
    match connection:
        case ServerConnection():
            return _mistakes_of_server(connection)
        case HttpConnection():
            return _mistakes_of_service(connection)
        case BucketConnection():
            found = _in_the_open("secret", connection.secret, connection.name)
            if (connection.access_key_id == "") != (connection.secret == ""):
                found.append("access_key_id: goes with a secret, and a secret with it")
            return found
        case _:
            return []


def _mistakes_of_server(connection: ServerConnection) -> list[str]:
    found = _in_the_open("password", connection.password, connection.name)
    if connection.tls_ca and not connection.verifies:
        found.append("tls_ca: is of no use without tls: verify")
    if connection.host.startswith("/") and connection.verifies:
        found.append("tls: a socket has no name to verify")
    return found


def _mistakes_of_service(connection: HttpConnection) -> list[str]:
    found = _in_the_open("secret", connection.secret, connection.name)
    if (connection.auth == "none") != (connection.secret == ""):
        found.append("auth: bearer, basic or header goes with a secret, and none without one")
    if (connection.auth == "basic") != (connection.user != ""):
        found.append("user: goes with auth: basic")
    for network in connection.allow:
        try:
            ip_network(network)
        except ValueError:
            found.append(f"allow: {network!r} is no network as 10.1.0.0/16")
    if connection.url.startswith("http://") and not connection.allow:
        found.append("url: http:// goes into a network of allow alone, since anyone between could read and change it")
    try:
        urlsplit(connection.url).port  # noqa: B018  # which is read here
    except ValueError:
        found.append("url: its port is none")
    return found


def _in_the_open(field: str, text: str, name: str) -> list[str]:
    if not text or secret_name(text) is not None:
        return []
    variable = SECRET_PREFIX + name.upper().replace("-", "_")
    said = (
        f'{field}: stands in the file itself: write "${{secret:{name}}}" here, and give it as the variable {variable}'
    )
    return [f"{said} or as a file {name} in the folder {FOLDER_VARIABLE}"]


def mistakes_of_dataset(dataset: Dataset, connections: Mapping[str, Any]) -> list[str]:
    """What is wrong with it beyond its form."""
    found = []
    if dataset.source.connection not in connections:
        near = did_you_mean(dataset.source.connection, connections)
        found.append(f"source.connection: there is no connection {dataset.source.connection!r}{near}")
    elif isinstance(connections[dataset.source.connection], SqliteConnection) and dataset.source.schema:
        found.append("source.schema: a file of SQLite has none")
    elif isinstance(connections[dataset.source.connection], FolderConnection | BucketConnection | HttpConnection):
        found.append("source.connection: is of no database, and a dataset reads a table of one")
    names = [column.name for column in dataset.columns]
    labels = [column.spec().name for column in dataset.columns]
    found += [f"columns: {name} is given twice" for name in _twice(names)]
    found += [f"columns: two have the header {label!r}" for label in _twice(labels) if label not in _twice(names)]
    found += [f"source.key: {name} is given twice" for name in _twice(dataset.source.key)]
    if dataset.source.splits is not None and dataset.source.consistency != "split":
        found.append("source.splits: is of no use without consistency: split")
    found += [
        f"columns: {column.name} is masked, so its values are texts: type: string"
        for column in dataset.columns
        if column.mask is not None and column.type is not ColumnType.STRING
    ]
    found += [
        f"columns: {column.name} is unmasked by a permission, but has no mask"
        for column in dataset.columns
        if column.unmask_with is not None and column.mask is None
    ]
    found += [
        f"columns: {column.name} needs mask: hash and hash_key together"
        for column in dataset.columns
        if (column.mask == "hash") != (column.hash_key is not None)
    ]
    return found


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
