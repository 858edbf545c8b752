"""Load and check a process's settings: options over environment over file over defaults, every mistake at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from ipaddress import ip_network
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from sluice.app.settings.schema import BACKENDS, WATCH_SECRET_BYTES, Settings, Storage
from sluice.app.settings.source import Given, from_environment, from_file, from_flags, with_new_names
from sluice.domain.secret import Secret

__all__ = [
    "Settings",
    "SettingsError",
    "environment",
    "load_settings",
    "setting_types",
    "settings_for_child",
    "settings_from",
]

SHOWN_CHARS_MAX = 60
_OSS_ENDPOINT = re.compile(r"(https?://)?oss-(?P<region>[a-z]+(-[a-z0-9]+)+?)(-internal)?\.aliyuncs\.com/?")


class SettingsError(Exception):
    """What is wrong with the settings: every mistake with the place it was made in."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("the settings cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems))


def environment() -> Mapping[str, str]:
    """What the platform tells this process, as it is at each look."""
    return os.environ


def load_settings(
    file: Path | None, flags: Mapping[str, object] | None = None, *, warnings: list[str] | None = None
) -> Settings:
    """Read the settings of this process, as ``settings_from`` does."""
    return settings_from(os.environ, file, flags, warnings=warnings)


def settings_from(
    env: Mapping[str, str],
    file: Path | None,
    flags: Mapping[str, object] | None = None,
    *,
    warnings: list[str] | None = None,
) -> Settings:
    """Read the settings from ``flags`` (by ``category.name``), ``env`` and ``file``.

    A sentence for each setting under an old name goes to ``warnings``. Raises ``SettingsError``.
    """
    problems: list[str] = []
    types = setting_types()
    secrets = {setting for setting, kind in types.items() if kind is Secret}
    said: list[str] = [] if warnings is None else warnings
    given = from_file(file, types, secrets=secrets, problems=problems, warnings=said) if file else {}
    given |= from_environment(env, types, problems)
    given |= from_flags(flags or {})
    given = with_new_names(given, said)
    values: dict[str, object] = {}
    for setting, one in given.items():
        try:
            values[setting] = _convert(one, types[setting])
        except ValueError as error:
            problems.append(f"{one.source}: {error}")
    for setting, value in implied(values).items():
        values.setdefault(setting, value)
        given.setdefault(setting, Given(value, f"{setting} (by {given['oss.endpoint'].source})", is_text=False))
    backend = BACKENDS[str(values.get("storage.backend", Storage().backend))]
    settings = _tree({**backend.defaults, **values})
    sources = {setting: given[setting].source if setting in given else f"{setting} (default)" for setting in types}
    problems += broken_rules(settings, sources=sources, skip=given.keys() - values.keys())
    if problems:
        raise SettingsError(problems)
    return settings


def implied(values: Mapping[str, object]) -> dict[str, object]:
    """What the settings of OSS say without saying it.

    Its endpoint names the region; and where it is given with a bucket and an
    access key and no backend is chosen, that is the choice: the commissioned
    configuration has no more than these four.
    """
    found: dict[str, object] = {}
    if region := _OSS_ENDPOINT.fullmatch(str(values.get("oss.endpoint", ""))):
        found["oss.region"] = region["region"]
    commissioned = ("oss.endpoint", "oss.bucket", "oss.access_key_id", "oss.access_key_secret")
    if all(values.get(name) for name in commissioned) and not values.get("tablestore.endpoint"):
        found["storage.backend"] = "oss_files"
    return found


def is_one_machine(settings: Settings) -> bool:
    """Whether all processes of the service have ``settings.data_directory`` in common."""
    return BACKENDS[settings.storage.backend].one_machine


def settings_for_child(settings: Settings) -> dict[str, object]:
    """Every setting by ``category.name``, secrets too, for the private pipe to a process that this one starts.

    There they are the ``flags`` of ``load_settings``: whatever file they came from is not read again.
    """
    values = {name: attrgetter(name)(settings) for name in setting_types()}
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in values.items()}


def setting_types() -> dict[str, Any]:
    """List the type of each setting by ``category.name``, in the order of the schema."""
    return {
        f"{category.name}.{field.name}": field.type
        for category in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(category.type)
    }


def _tree(values: Mapping[str, object]) -> Settings:
    categories = {}
    for category in msgspec.structs.fields(Settings):
        prefix = category.name + "."
        chosen = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
        categories[category.name] = category.type(**chosen)
    return Settings(**categories)


def _convert(given: Given, kind: Any) -> object:
    """Make the value what its type says. Raises ValueError with a sentence that says what was expected."""
    value = given.value
    if isinstance(value, str) and not value.isascii() and value != value.encode(errors="replace").decode():
        raise ValueError("expected text in UTF-8")  # a name of other bytes has no form that composers could be given
    if kind is Secret:
        return Secret(str(value))
    if get_origin(kind) is Literal:
        return _choose(value, get_args(kind))
    if given.is_text and get_origin(kind) is tuple:
        value = [item.strip() for item in str(value).split(",")]
    try:
        return msgspec.convert(value, kind, strict=not given.is_text)
    except msgspec.ValidationError as error:
        expected = str(error).replace("`", "").partition(" - at ")[0].partition(", got ")[0]
        raise ValueError(f"{expected[:1].lower()}{expected[1:]}, not {_shown(given.value)}") from error


def _choose(value: object, choices: tuple[str, ...]) -> str:
    for choice in choices:
        if isinstance(value, str) and value.casefold() == choice.casefold():
            return choice
    raise ValueError(f"expected one of {', '.join(choices)}, not {_shown(value)}")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN_CHARS_MAX else shown[:SHOWN_CHARS_MAX] + "…"


class Rule(NamedTuple):
    """What must hold between settings, each fine on its own."""

    settings: tuple[str, ...]
    holds: Callable[[Settings], bool]
    sentence: str


def _ports_differ(settings: Settings) -> bool:
    ports = [settings.server.grpc_port, settings.server.http_port, settings.monitoring.metrics_port]
    chosen = [port for port in ports if port]  # 0 lets the system choose
    return len(chosen) == len(set(chosen))


_ORIGIN = re.compile(
    r"(?:https://(?![^/]*:443$)|http://(?![^/]*:80$))(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)


def _are_networks(texts: tuple[str, ...]) -> bool:
    try:
        return all(ip_network(text) for text in texts)
    except ValueError:
        return False


def _needed_by(backend: str, needs: tuple[str, ...]) -> Rule:
    """What ``backend`` needs must be given when it is chosen."""

    def is_given(settings: Settings) -> bool:
        return settings.storage.backend != backend or all(attrgetter(name)(settings) for name in needs)

    return Rule(("storage.backend", *needs), is_given, f"the {backend} backend needs each of these")


RULES = (
    Rule(
        ("server.grpc_port", "server.http_port", "monitoring.metrics_port"),
        _ports_differ,
        "each needs a port of its own",
    ),
    Rule(
        ("server.trusted_proxies",),
        lambda s: _are_networks(s.server.trusted_proxies),
        "each is an address, or a network without bits of an address in it, such as 10.0.0.0/8",
    ),
    Rule(
        ("datasets.allowed_origins",),
        lambda s: all(_ORIGIN.fullmatch(text) for text in s.datasets.allowed_origins),
        "each is what browsers send as the Origin of a page, such as https://app.example.com or http://127.0.0.1:8000: "
        "lower case, no path, no * and no port that is the usual one",
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
        ("security.watch_secret",),
        lambda s: not s.security.watch_secret or len(s.security.watch_secret.reveal().encode()) >= WATCH_SECRET_BYTES,
        f"a secret that signs has at least {WATCH_SECRET_BYTES} bytes; `openssl rand -hex 32` makes one",
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
    *(_needed_by(name, backend.needs) for name, backend in BACKENDS.items() if backend.needs),
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
