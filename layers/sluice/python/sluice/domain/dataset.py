"""What an operator defines: where tables are, and which of them may become files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Annotated, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sluice.domain.limits import DAY_S, HOUR_S
from sluice.domain.pulled import Consistency, Mask, Value
from sluice.domain.schema import ColumnSpec, ColumnType

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Of a connection or a dataset: lower-case letters, digits, - and _."""
Identifier = Annotated[str, Meta(min_length=1, max_length=255)]
"""What a database calls a table or a column; any character, since it is always quoted."""
_URL = r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9/%:@!$&'()*+,;=~._-]*)?$"
Port = Annotated[int, Meta(ge=1, le=65_535)]
TimeZone = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+:/-]{1,64}$")]
"""As the server names it."""
Permission = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:*/-]{1,128}$")]
"""Of users, as the application that vouches for them writes it."""
Count = Annotated[int, Meta(ge=1)]
Columns: TypeAlias = Annotated[tuple["DatasetColumn", ...], Meta(min_length=1, max_length=16_384)]


class DefinitionsError(Exception):
    """Every mistake that was found, a sentence each, with the file and the place in it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the definitions have mistakes:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


class SqliteConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="sqlite"):
    """A file of SQLite on this machine."""

    name: Name
    path: Annotated[str, Meta(min_length=1)]
    """Relative to the folder of the definitions."""


class ServerConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A database that a server keeps, and as whom it is read."""

    name: Name
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    """A name or an address; or a path on this machine, which begins with ``/``, of the server's socket."""
    database: Identifier
    user: Identifier
    password: str = ""
    """``${secret:name}`` or empty: a secret never stands in a file of definitions."""
    tls: Literal["verify", "off"] | bool | None = None
    """None is ``verify`` wherever the connection leaves this machine. YAML reads ``off`` as false, ``on`` as true."""
    tls_ca: str = ""
    """A file with the certificates that are trusted in place of the system's; relative to the folder."""
    timezone: TimeZone
    """In which points in time are written."""
    statement_timeout: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}(s|m|h)$")] = "1h"
    """How long one statement may take, as 30s, 5m or 1h; to read a table is one."""
    slots: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    """How many sessions there may be at a time, over all processes of a data directory; None is no bound."""
    writes: bool = False
    """Whether rows may be loaded into its tables. One that is only for reading is never written through."""

    @property
    def statement_timeout_s(self) -> int:
        return int(self.statement_timeout[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.statement_timeout[-1]]

    def within(self, seconds: int) -> Self:
        """The same connection for statements that take no longer than this."""
        return msgspec.structs.replace(self, statement_timeout=f"{min(seconds, self.statement_timeout_s)}s")

    @property
    def is_local(self) -> bool:
        """Whether the connection stays on this machine."""
        return self.host.startswith("/") or self.host == "localhost" or _is_loopback(self.host)

    @property
    def verifies(self) -> bool:
        """Whether the server has to prove by a certificate that it is the one of this name."""
        return not self.is_local if self.tls is None else self.tls in {True, "verify"}


class PostgresqlConnection(ServerConnection, frozen=True, kw_only=True, tag_field="type", tag="postgresql"):
    """A database of a PostgreSQL server. Where ``host`` is a path, it is of the folder of the socket."""

    port: Port = 5432
    timezone: TimeZone = "UTC"


class MysqlConnection(ServerConnection, frozen=True, kw_only=True, tag_field="type", tag="mysql"):
    """A database of a MySQL or MariaDB server. Where ``host`` is a path, it is of the socket itself."""

    port: Port = 3306
    timezone: TimeZone = "+00:00"


class FolderConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="folder"):
    """A folder of files on this machine. Nothing outside of it is read, whatever a job says."""

    name: Name
    path: Annotated[str, Meta(min_length=1)]
    """Relative to the folder of the definitions."""


class BucketConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="bucket"):
    """Objects below a URL of S3 and its kin, Google Cloud Storage or Azure Blob Storage, as files."""

    name: Name
    url: Annotated[str, Meta(pattern=r"^(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(/[^?#]*)?$", max_length=1_000)]
    region: str = ""
    endpoint: Annotated[str, Meta(pattern=r"^(https?://[A-Za-z0-9.:\[\]_-]+)?$", max_length=500)] = ""
    """Of S3's kin; the bucket's name goes into the path."""
    access_key_id: str = ""
    """Of S3. Without it the vendor's own variables say who asks, or the machine's role."""
    secret: str = ""
    """Of the access key, as ``${secret:name}``."""


class HttpConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="http"):
    """A service that answers with JSON. Its secret goes to no other service, wherever its answers lead."""

    name: Name
    url: Annotated[
        str, Meta(pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9/%:@!$&'()*+,;=~._-]*)?$", max_length=2_000)
    ]
    """https://; http:// only into a network of ``allow``."""
    auth: Literal["none", "bearer", "basic", "header"] = "none"
    user: Annotated[str, Meta(max_length=255)] = ""
    """Of ``basic``."""
    header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,100}$")] = "X-Api-Key"
    """Of ``header``: in which one the secret is sent."""
    secret: str = ""
    """``${secret:name}``."""
    allow: tuple[str, ...] = ()
    """Networks, as 10.1.0.0/16, that it may be in although they are not public."""
    tls_ca: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 60
    """Of one answer as a whole."""


FileConnection: TypeAlias = FolderConnection | BucketConnection
Connection: TypeAlias = SqliteConnection | PostgresqlConnection | MysqlConnection | FileConnection | HttpConnection


class TableSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table, and how it is read.

    ``key`` names the columns that no two rows have alike, and none without a value; they give the order.
    ``consistency`` is ``snapshot``, all rows of one moment; ``split``, the rows of each of several ranges of keys of
    one moment; or ``key``, rows in the order of their keys, of as many moments as it takes. A row whose key changes
    between moments may be missing or there twice.
    """

    connection: Name
    table: Identifier
    """Of a server also with its schema, in MySQL its database, before the first dot, unless ``schema`` is given."""
    schema: Identifier | None = None
    key: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=16)]
    consistency: Consistency = "snapshot"
    splits: Annotated[int, Meta(ge=2, le=64)] | None = None
    """Of ``split``, how many ranges at most; 8 by default."""
    snapshot_max_s: Annotated[float, Meta(ge=1)] = HOUR_S
    """How long the server keeps rows as they were for one reading, which keeps it from cleaning up."""

    @property
    def is_snapshot(self) -> bool:
        """Whether all rows of one reading are of one moment, also where they come page by page."""
        return self.consistency != "key"

    @property
    def place(self) -> tuple[str | None, str]:
        """The schema, None where the server knows it by itself, and the table in it."""
        schema, dot, table = self.table.partition(".")
        if self.schema is None and dot and schema and table:
            return schema, table
        return self.schema, self.table


class DatasetColumn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of the table and what it is in a file; the ``label`` is its header, ``name`` where there is none."""

    name: Identifier
    label: str = ""
    type: ColumnType = ColumnType.STRING
    format: str = ""
    width: Annotated[int, Meta(ge=0)] = 0
    permission: Permission | None = None
    """Without it a user has no such column."""
    mask: Mask | None = None
    hash_key: Name | None = None
    """Of ``mask: hash``, the name of its secret: equal values have equal hashes, found by none who has no key."""
    unmask_with: Permission | None = None
    """With it a user sees the values; without it, or where there is none, as ``mask`` writes them."""

    def spec(self) -> ColumnSpec:
        return ColumnSpec(self.label or self.name, self.type, self.width, self.format)


class Filters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only conditions that a caller may set, by the columns of the table that they compare."""

    ids: Identifier | None = None
    """Rows that are selected one by one; it should have an index."""
    date: Identifier | None = None
    """From a time on, until another."""
    equals: tuple[Identifier, ...] = ()


class Tiers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to how many rows a call is answered with the file itself, and for how long it waits for it."""

    direct_rows: Annotated[int, Meta(ge=0)] = 10_000
    waited_rows: Annotated[int, Meta(ge=0)] = 100_000
    direct_timeout_s: Annotated[float, Meta(ge=0, le=300)] = 30
    waited_timeout_s: Annotated[float, Meta(ge=0, le=3_600)] = 300


class DatasetLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one user may ask for."""

    per_user_hour: Annotated[int, Meta(ge=0)] = 10
    """Exports; 0 for no bound. One that is asked for again under its key does not count."""
    previews_per_user_hour: Annotated[int, Meta(ge=0)] = 100
    """Previews, in each process of the service; 0 for no bound."""
    rows: Count = 5_000_000
    ids: Count = 10_000


class Dataset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that may become a file: which columns and rows of it, for whom, how many at a time."""

    dataset: Name
    source: TableSource
    columns: Columns
    permission: Permission | None = None
    """Without it a user does not see that there is such a dataset; any user does where there is none."""
    rows: Mapping[Identifier, Value | tuple[Value, ...]] = {}
    """What the rows of every export must have in these columns: a value, one of several, or what is known of the user
    (``:user.tenant``)."""
    filters: Filters = Filters()
    tiers: Tiers = Tiers()
    limits: DatasetLimits = DatasetLimits()
    expires_s: Annotated[float, Meta(ge=60)] = DAY_S
    """How long a file is kept."""

    def version(self) -> str:
        """Digest of all that it says."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
