"""Which settings contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sluice.app.settings.settings import Settings


class Rule(NamedTuple):
    """What must hold between settings, each fine on its own."""

    settings: tuple[str, ...]
    holds: Callable[[Settings], bool]
    sentence: str


def _ports_differ(settings: Settings) -> bool:
    ports = [settings.server.grpc_port, settings.server.http_port, settings.monitoring.metrics_port]
    chosen = [port for port in ports if port]  # 0 lets the system choose
    return len(chosen) == len(set(chosen))


CLOUD_SETTINGS = (
    "oss.endpoint",
    "oss.region",
    "oss.bucket",
    "oss.result_bucket",
    "tablestore.endpoint",
    "tablestore.instance",
)


def _cloud_values(settings: Settings) -> list[str]:
    oss, tablestore = settings.oss, settings.tablestore
    return [oss.endpoint, oss.region, oss.bucket, oss.result_bucket, tablestore.endpoint, tablestore.instance]


RULES = (
    Rule(
        ("server.grpc_port", "server.http_port", "monitoring.metrics_port"),
        _ports_differ,
        "each needs a port of its own",
    ),
    Rule(
        ("concurrency.heartbeat_s", "concurrency.lease_s"),
        lambda s: s.concurrency.heartbeat_s < s.concurrency.lease_s,
        "the heartbeat must come before the lease ends",
    ),
    Rule(
        ("concurrency.backoff_s", "concurrency.backoff_max_s"),
        lambda s: s.concurrency.backoff_s <= s.concurrency.backoff_max_s,
        "the first wait is longer than the longest",
    ),
    Rule(
        ("storage.link_life_s", "storage.retention_s"),
        lambda s: s.storage.link_life_s <= s.storage.retention_s,
        "a link would outlive its file",
    ),
    Rule(
        ("security.rate_limit_burst", "security.rate_limit_per_s"),
        lambda s: not s.security.rate_limit_burst or s.security.rate_limit_per_s > 0,
        "a burst needs a rate above 0",
    ),
    Rule(
        ("security.tls_certificate_file", "security.tls_key_file"),
        lambda s: bool(s.security.tls_certificate_file) == bool(s.security.tls_key_file),
        "TLS needs both the certificate and its key",
    ),
    Rule(
        ("oss.access_key_id", "oss.access_key_secret"),
        lambda s: bool(s.oss.access_key_id) == bool(s.oss.access_key_secret),
        "an access key has both an id and a secret",
    ),
    Rule(
        ("oss.security_token", "oss.access_key_id"),
        lambda s: not s.oss.security_token or bool(s.oss.access_key_id),
        "a security token belongs to an access key",
    ),
    Rule(
        ("storage.backend", *CLOUD_SETTINGS),
        lambda s: s.storage.backend != "oss" or all(_cloud_values(s)),
        "the oss backend needs each of these",
    ),
    Rule(
        ("oss.bucket", "oss.result_bucket"),
        # A result in the trigger's bucket could set off another composer.
        lambda s: not s.oss.bucket or s.oss.bucket != s.oss.result_bucket,
        "batches and results need a bucket each",
    ),
    Rule(
        ("oss.download_endpoint", "oss.download_domain"),
        lambda s: not (s.oss.download_endpoint and s.oss.download_domain),
        "links point to the one or to the other",
    ),
    Rule(
        ("functions.invoker", "functions.compose_url"),
        lambda s: s.functions.invoker != "http" or bool(s.functions.compose_url),
        "the http invoker needs the address of the composer",
    ),
    Rule(
        ("functions.invoker", "functions.fc2_endpoint", "functions.fc2_service", "functions.fc2_function"),
        lambda s: (
            s.functions.invoker != "fc2"
            or bool(s.functions.fc2_endpoint and s.functions.fc2_service and s.functions.fc2_function)
        ),
        "the fc2 invoker needs endpoint, service and function",
    ),
)


def broken_rules(settings: Settings, *, sources: Mapping[str, str], skip: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each rule that does not hold. Rules about a setting in ``skip`` are left out."""
    for rule in RULES:
        if not any(name in skip for name in rule.settings) and not rule.holds(settings):
            yield f"{', '.join(sources[name] for name in rule.settings)}: {rule.sentence}"
