"""The tree of settings: names, types, ranges and defaults. `config.example.yaml` says what each is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from sluice.domain.limits import DAY_S, GIB, HOUR_S, KIB, MIB, Limits, Timings
from sluice.domain.secret import Secret

LINK_S_MAX = 7 * DAY_S
"""The longest life of a download link; OSS signs for no longer."""

_LIMITS, _TIMINGS = Limits(), Timings()

Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
CountOrOff = Annotated[int, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=365 * DAY_S)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=365 * DAY_S)]
Rate = Annotated[float, Meta(ge=0, le=1_000_000)]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]+$")]
UrlOrNone = Annotated[str, Meta(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")]
EndpointOrNone = Annotated[str, Meta(pattern=r"^((https?://)?[A-Za-z0-9.:_-]+/?)?$")]
BucketUrlOrNone = Annotated[str, Meta(pattern=r"^((s3|gs|az)://[A-Za-z0-9._-]+(/[A-Za-z0-9/._-]*)?)?$")]
NameOrNone = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]*$")]
Text = Annotated[str, Meta(min_length=1)]


WATCH_SECRET_BYTES = 32
"""The least that signs watch addresses."""


class BackendSettings(NamedTuple):
    """What a choice of ``storage.backend`` means for the other settings."""

    needs: tuple[str, ...] = ()
    """Settings that must not be empty."""
    defaults: Mapping[str, object] = MappingProxyType({})
    """Defaults in place of those below."""
    one_machine: bool = True
    """Whether all processes of a service have its data directory in common."""


BACKENDS: Mapping[str, BackendSettings] = {
    "directory": BackendSettings(),
    "oss": BackendSettings(
        needs=(
            "oss.endpoint",
            "oss.region",
            "oss.bucket",
            "oss.result_bucket",
            "tablestore.endpoint",
            "tablestore.instance",
        ),
        # Many machines, whose clocks differ, and a network between them.
        defaults={
            "concurrency.lease_s": _TIMINGS.lease_s,
            "concurrency.heartbeat_s": _TIMINGS.heartbeat_s,
            "concurrency.clock_skew_s": _TIMINGS.skew_s,
            "concurrency.trigger_grace_s": _TIMINGS.trigger_grace_s,
        },
        one_machine=False,
    ),
    "oss_files": BackendSettings(needs=("oss.endpoint", "oss.region", "oss.bucket")),
    "s3": BackendSettings(needs=("s3.url",)),
}
"""By ``storage.backend``; how each opens its stores is in ``app/backends.BACKENDS``."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service listens, and for how long it waits for callers."""

    host: Host = "127.0.0.1"
    grpc_port: Port = 9090
    http_port: Port = 9091
    public_url: UrlOrNone = ""
    trusted_proxies: tuple[Text, ...] = ()
    environment: Literal["production", "development"] = "production"
    connections_max: Count = 1_000
    grpc_calls_max: Count = 200
    tenant_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    request_timeout_s: Seconds = 60
    sender_timeout_s: Seconds = 300
    idle_timeout_s: Seconds = 15
    shutdown_grace_s: SecondsOrNone = 30

    @property
    def reflection(self) -> bool:
        """Whether gRPC tells callers what it offers: a convenience for developers, and for attackers."""
        return self.environment == "development"


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks at once, and when a silent composer is replaced.

    The defaults for leases are shorter than those of ``Timings``: the embedded
    service has one machine and one clock, so the clocks cannot differ and a
    composer that died is known at once; nothing has to wait for a network.
    A backend of many machines has others in ``BACKENDS``.
    """

    max_concurrent_tasks: Annotated[int, Meta(ge=1, le=1_000)] = 10
    task_queue_size: Count = 1_000
    queue_timeout_s: SecondsOrNone = 30
    open_tasks_max: Count = _LIMITS.open_tasks_max
    renders_max: Annotated[int, Meta(ge=1, le=100)] = _LIMITS.renders_max
    tenant_composing_max: CountOrOff | None = None
    lease_s: Seconds = 10
    heartbeat_s: Seconds = 1
    clock_skew_s: SecondsOrNone = 1
    trigger_grace_s: Seconds = 5
    attempts_max: Annotated[int, Meta(ge=1, le=100)] = _TIMINGS.attempts_max
    backoff_s: Seconds = _TIMINGS.backoff_s
    backoff_max_s: Seconds = _TIMINGS.backoff_max_s
    sweep_interval_s: Seconds = 5


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What one composer may hold in memory and how hard it tries."""

    max_batch_bytes: Annotated[int, Meta(ge=64 * KIB, le=64 * MIB)] = _LIMITS.batch_bytes_max
    max_batch_rows: Count = _LIMITS.batch_rows_max
    max_batches: Annotated[int, Meta(ge=1, le=_LIMITS.batches_max)] = _LIMITS.batches_max
    max_rows: Annotated[int, Meta(ge=1, le=_LIMITS.rows_max)] = _LIMITS.rows_max
    max_result_bytes: Annotated[int, Meta(ge=0)] = _LIMITS.result_bytes_max
    # The commissioned default of 10 MB would hold 60 MB with five parts in flight, and the
    # promise of less than 64 MB for a whole composer weighs more. Long files get larger parts.
    part_bytes: Annotated[int, Meta(ge=100 * KIB, le=100 * MIB)] = _LIMITS.part_bytes_min
    parallel_parts: Annotated[int, Meta(ge=1, le=20)] = _LIMITS.parallel_parts
    prefetched_chunks: Annotated[int, Meta(ge=1, le=20)] = _LIMITS.prefetched_chunks
    retries: Annotated[int, Meta(ge=0, le=20)] = 3
    upload_timeout_s: Seconds = _TIMINGS.attempt_max_s


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Where files are kept, and for how long."""

    backend: Literal["directory", "oss", "oss_files", "s3"] = "directory"
    data_directory: Text = "sluice-data"
    min_free_bytes: Annotated[int, Meta(ge=0)] = 64 * MIB
    tenant_leaves_bytes: Annotated[int, Meta(ge=0)] = 4 * GIB
    retention_s: Seconds = _TIMINGS.retention_s
    link_life_s: Annotated[float, Meta(gt=0, le=LINK_S_MAX)] = _TIMINGS.link_s
    idle_expiry_s: Seconds = _TIMINGS.idle_s
    open_expiry_s: Seconds = _TIMINGS.open_max_s
    tombstone_s: Seconds = _TIMINGS.tombstone_s
    cleanup_delays_s: tuple[SecondsOrNone, ...] = (HOUR_S, DAY_S)


class Oss(msgspec.Struct, frozen=True, kw_only=True):
    """Alibaba Cloud OSS, and the access key for all of the cloud, when ``storage.backend`` is ``oss`` or ``oss_files``.

    Without an access key the credentials are those of the function's role.
    """

    endpoint: EndpointOrNone = ""
    region: NameOrNone = ""
    bucket: NameOrNone = ""
    result_bucket: NameOrNone = ""
    download_endpoint: EndpointOrNone = ""
    download_domain: EndpointOrNone = ""
    connect_timeout_s: Seconds = 3
    read_timeout_s: Seconds = 20
    access_key_id: Secret = Secret("")
    access_key_secret: Secret = Secret("")
    security_token: Secret = Secret("")


class Tablestore(msgspec.Struct, frozen=True, kw_only=True):
    """Alibaba Cloud Tablestore, when ``storage.backend`` is ``oss``."""

    endpoint: EndpointOrNone = ""
    instance: NameOrNone = ""
    table: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,200}$")] = "export_task"
    timeout_s: Seconds = 5


class S3(msgspec.Struct, frozen=True, kw_only=True):
    """S3 and its kin, Google Cloud Storage or Azure Blob Storage, when ``storage.backend`` is ``s3``.

    The credentials are those of the vendor's own variables or of the machine's role.
    """

    url: BucketUrlOrNone = ""
    result_url: BucketUrlOrNone = ""
    region: NameOrNone = ""
    endpoint: UrlOrNone = ""
    download_endpoint: UrlOrNone = ""
    connect_timeout_s: Seconds = 3
    read_timeout_s: Seconds = 20


class Functions(msgspec.Struct, frozen=True, kw_only=True):
    """How Function Compute is asked for a reader of tables, and for a composer beside the bucket's trigger."""

    invoker: Literal["none", "http", "fc2"] = "none"
    compose_url: UrlOrNone = ""
    extract_url: UrlOrNone = ""
    fc2_endpoint: EndpointOrNone = ""
    fc2_service: NameOrNone = ""
    fc2_function: NameOrNone = ""
    timeout_s: Seconds = 5
    stop_margin_s: Seconds = 60


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call, and how often."""

    auth_required: bool = False
    api_keys_file: str = ""
    rate_limit_per_s: Rate = 0
    rate_limit_burst: CountOrOff = 0
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    watch_secret: Secret = Secret("")
    jwt_secret: Secret = Secret("")
    jwt_keys: str = ""
    jwt_audience: str = ""
    jwt_issuer: str = ""
    jwt_user_claim: Text = "sub"
    jwt_tenant_claim: Text = "tenant"
    jwt_permissions_claim: Text = "permissions"


class Datasets(msgspec.Struct, frozen=True, kw_only=True):
    """Tables that the service reads itself."""

    definitions: str = ""
    allowed_origins: tuple[Text, ...] = ()
    user_rate_per_s: Rate = 2
    user_rate_burst: CountOrOff = 60
    wait_max_s: Seconds = _TIMINGS.answer_s


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged, in which form, and where to."""

    level: Literal["DEBUG", "INFO", "WARN", "ERROR", "FATAL"] = "INFO"
    format: Literal["auto", "json", "console"] = "auto"
    output: Text = "stderr"
    rotate_bytes: Annotated[int, Meta(ge=64 * KIB, le=10_240 * MIB)] = 100 * MIB
    rotated_files_max: Annotated[int, Meta(ge=1, le=1_000)] = 10


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics and health."""

    metrics_port: Port = 8080
    health_check_interval_s: Seconds = 10


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Immutable; secrets in it do not print."""

    server: Server = Server()
    concurrency: Concurrency = Concurrency()
    performance: Performance = Performance()
    storage: Storage = Storage()
    oss: Oss = Oss()
    tablestore: Tablestore = Tablestore()
    s3: S3 = S3()
    functions: Functions = Functions()
    security: Security = Security()
    datasets: Datasets = Datasets()
    logging: Logging = Logging()
    monitoring: Monitoring = Monitoring()

    def limits(self) -> Limits:
        """Give the bounds of a task; only those that no file format or store dictates can be set.

        Unless it is set, one tenant has four of five composers, so that others never wait for all of its files: at
        least one is left to others, unless there is only one.
        """
        composers, share = self.concurrency.max_concurrent_tasks, self.concurrency.tenant_composing_max
        return Limits(
            batches_max=self.performance.max_batches,
            batch_bytes_max=self.performance.max_batch_bytes,
            batch_rows_max=self.performance.max_batch_rows,
            rows_max=self.performance.max_rows,
            result_bytes_max=self.performance.max_result_bytes,
            part_bytes_min=self.performance.part_bytes,
            parallel_parts=self.performance.parallel_parts,
            prefetched_chunks=self.performance.prefetched_chunks,
            open_tasks_max=self.concurrency.open_tasks_max,
            renders_max=self.concurrency.renders_max,
            tenant_composing_max=max(1, composers - max(1, composers // 5)) if share is None else share,
        )

    def timings(self) -> Timings:
        """Give how long the protocol waits."""
        waits, kept = self.concurrency, self.storage
        return Timings(
            lease_s=waits.lease_s,
            skew_s=waits.clock_skew_s,
            heartbeat_s=waits.heartbeat_s,
            trigger_grace_s=waits.trigger_grace_s,
            attempt_max_s=self.performance.upload_timeout_s,
            attempts_max=waits.attempts_max,
            backoff_s=waits.backoff_s,
            backoff_max_s=waits.backoff_max_s,
            idle_s=kept.idle_expiry_s,
            open_max_s=kept.open_expiry_s,
            retention_s=kept.retention_s,
            link_s=kept.link_life_s,
            gc_delays_s=kept.cleanup_delays_s,
            tombstone_s=kept.tombstone_s,
            answer_s=self.datasets.wait_max_s,
        )

    @property
    def data_directory(self) -> Path:
        return Path(self.storage.data_directory)

    @property
    def api_keys_path(self) -> Path:
        """Where the API keys are kept: beside the data unless another file is named."""
        return Path(self.security.api_keys_file or self.data_directory / "keys.json")
